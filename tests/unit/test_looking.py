"""What `radmill init` sees in a folder of hospitals' data: right proposals, and nobody's name on the terminal."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import generate_uid

from pipelines.looking import NoDataError, Proposal, find_centers, look_at_center, propose
from pipelines.looking.choosing import (
    AnswerNeededError,
    AnswerWrongError,
    chosen_phases,
    clinical_columns,
    label_column,
    outcome,
)
from pipelines.looking.columns import covariates, declared, label_candidates, likely_label
from pipelines.looking.folders import NoTableError
from pipelines.looking.found import SeenColumn, shown_tally
from pipelines.looking.phases import seen_phases
from pipelines.looking.telling import are_identifiers, is_telling, names_people
from tests.unit.dicom_writing import blank, ct_slice

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
SURNAME = "Mustermann"


def nifti_center(
    folder: Path, n: int = 4, *, names: tuple[str, ...] = ("Arterial", "late_2mm"), value: int = 1
) -> None:
    """Patients with an image and a mask of each name, and a clinical table."""
    image = sitk.GetImageFromArray(np.zeros((2, 3, 4), np.int16))
    mask = sitk.GetImageFromArray(np.ones((2, 3, 4), np.uint8))
    rows = ["patient_id;Age;sex;ihc;outcome;remark"]
    for number in range(n):
        patient = folder / f"{SURNAME}{number}"
        patient.mkdir(parents=True)
        for name in names:
            stem, reader = name.format(number=number), "a" if number % 2 else SURNAME
            sitk.WriteImage(image, patient / f"{stem}.nii")
            sitk.WriteImage(mask, patient / f"{stem}_mask-{reader}.nii")
        told = f"{60 + number};{'FM'[number % 2]};{['0', '2+'][number // 2 % 2]};{['alive', 'dead'][number // 2 % 2]}"
        rows.append(f"{SURNAME}{number};{told};{SURNAME}{number} was seen")
    (folder / "clinical.csv").write_text("\n".join(rows))


def dicom_center(
    folder: Path, descriptions: list[str], n: int = 4, *, roi: str = "GTV-1", id_column: str = "PatNr"
) -> None:
    """Patients with a flat folder of series of two slices each, and an RTSTRUCT on all but the first series."""
    for number in range(n):
        patient = folder / f"{SURNAME}{number}"
        patient.mkdir(parents=True)
        uids = [generate_uid(entropy_srcs=[f"{folder.name} {number} {place}"]) for place in range(len(descriptions))]
        for place, text in enumerate(descriptions):
            for index in range(2):
                _slice(patient, index, place, text.format(number=number), uids[place], f"P{number}")
        _outlines(patient, uids[1:], roi.format(number=number), f"P{number}")
    rows = [f"P{number},{number % 2},{50 + number}" for number in range(n)]
    (folder / "clinical.csv").write_text("\n".join(["PatNr,ihc,age", *rows]))


def _slice(folder: Path, index: int, place: int, text: str, uid: str, patient: str) -> None:
    dataset = ct_slice(index)
    dataset.SeriesDescription, dataset.SeriesInstanceUID, dataset.PatientID = text, uid, patient
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[uid, str(index)])
    dataset.ContrastBolusStartTime, dataset.AcquisitionTime = "120000", f"12{place:02d}30"
    dataset.save_as(folder / f"{place}-{index}", enforce_file_format=True)


def _outlines(folder: Path, uids: list[str], roi: str, patient: str) -> None:
    dataset: FileDataset = blank(RTSTRUCT, patient)
    dataset.Modality, dataset.PatientID, dataset.SeriesInstanceUID = "RTSTRUCT", patient, generate_uid()
    region = Dataset()
    region.ROINumber, region.ROIName = 1, roi
    dataset.StructureSetROISequence = [region]
    frame, study = Dataset(), Dataset()
    study.RTReferencedSeriesSequence = []
    for uid in uids:
        series = Dataset()
        series.SeriesInstanceUID = uid
        study.RTReferencedSeriesSequence.append(series)
    frame.RTReferencedStudySequence = [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.save_as(folder / "outlines", enforce_file_format=True)


def seen(root: Path) -> Proposal:
    return propose([look_at_center(name, folder) for name, folder in find_centers(root).items()])


def shown(proposal: Proposal) -> str:
    names = [column.name for column in proposal.columns]
    rows = [*proposal.center_rows(), *proposal.phase_rows(), *proposal.region_rows(), *proposal.column_rows(names)]
    return str([rows, proposal.remarks()])


def test_two_hospitals_in_two_formats_are_one_study(tmp_path: Path) -> None:
    """Words of the trade join what each hospital calls a phase; outlines tell which series are meant at all."""
    nifti_center(tmp_path / "St. Anna")
    dicom_center(tmp_path / "west", ["Scout", "CORTICO 1.0 B30f", "Abd delayed"])
    proposal = seen(tmp_path)
    assert [(p.name, p.n_one, p.n_several, p.n_none) for p in proposal.phases] == [
        ("corticomedullary", 8, 0, 0),
        ("delayed", 8, 0, 0),
    ]
    assert [row["center"] for row in proposal.center_rows()] == ["st_anna", "west"]
    assert proposal.centers[1].table is not None
    assert proposal.centers[1].table.patient_column == "PatNr"
    assert [center.n_matched() for center in proposal.centers] == [4, 4]
    assert proposal.roi_label == "auto"
    assert proposal.centers[0].labels == Counter({1: 4})


def test_nobody_is_named_on_the_terminal(tmp_path: Path) -> None:
    nifti_center(tmp_path / "a", names=("Arterial", f"{SURNAME}{{number}}"))
    dicom_center(tmp_path / "b", [f"{SURNAME} {{number}}", f"Art {SURNAME}^{{number}}"], roi=f"{SURNAME}{{number}}")
    assert SURNAME not in shown(seen(tmp_path))


def test_short_names_and_dates_are_withheld_and_scores_are_not() -> None:
    assert is_telling("Anna^Berta", 99)
    for text in ("Kim", "Li", "J.S.", "1204", "12.03.56", "P12", "Mr. Wu", "MARY"):
        assert is_telling(text, 2), text
        assert not is_telling(text, 3), text
    for text in ("3+", "0", "F", "pT2a", "IV", "No", "high", "Female", "CT", "MR_T1", "GTV-1", "reader1"):
        assert not is_telling(text, 1), text
    assert shown_tally(Counter({"2+": 1, "Kim": 1, "Li": 2})) == "2+ (1), 2 withheld"


def column(name: str, **values: int) -> SeenColumn:
    is_private = names_people(name) or are_identifiers(values)
    return SeenColumn(
        name=name, kind="category", values=Counter(values), n_missing=0, centers=("a",), is_private=is_private
    )


def test_columns_of_names_ids_and_dates_are_neither_proposed_nor_shown() -> None:
    for name in ("Name", "first_name", "PatNr", "hospitalNumber", "MRN", "case_id", "dateOfBirth", "physician"):
        assert names_people(name), name
    for name in ("age", "idh_status", "number_of_lesions", "site", "update", "study_arm", "patient_group"):
        assert not names_people(name), name
    assert are_identifiers({"10023": 1, "10417": 1, "99321": 1})
    assert not are_identifiers({"61": 1, "17": 1, "22": 1})
    people, sex = column("physician", Kim=9, Wu=8), column("sex", F=9, M=8)
    assert label_candidates([people, sex], 1) == [sex]
    assert covariates([people, sex], "ihc", []) == [sex]
    grade, mets = column("grade", low=9, high=8), replace(column("mets", yes=9, no=8), kind="boolean")
    assert [likely_label(some) for some in ([sex], [sex, grade], [sex, grade, mets])] == ["sex", "grade", "mets"]
    assert likely_label([sex, grade, column("status", D=9, A=8)]) is None
    proposal = replace(propose([]), columns=(people, sex), labels=(sex,))
    assert "Kim" not in str(proposal.column_rows(["physician"]))
    for ask in (lambda: label_column(proposal, "physician"), lambda: clinical_columns(proposal, "sex", ["physician"])):
        with pytest.raises(AnswerWrongError, match="not read out"):
            ask()


def test_a_value_of_few_patients_goes_into_settings_only_when_it_is_named() -> None:
    label = column("response", CR=9, PD=8, Kim=1)
    with pytest.raises(AnswerNeededError, match="1 values of response") as caught:
        outcome(label, ["CR"])
    assert "Kim" not in f"{caught.value}"
    assert outcome(label, ["CR"], ["PD"]).negative == ("PD",)
    assert declared(label, 1)["values"] == ["CR", "PD"]


def test_a_linked_folder_is_called_as_the_user_called_it(tmp_path: Path) -> None:
    nifti_center(tmp_path / "store" / "v17")
    (tmp_path / "West").symlink_to(tmp_path / "store" / "v17")
    assert list(find_centers(tmp_path / "West")) == ["west"]


def test_folders_of_patients_are_not_taken_for_centers(tmp_path: Path) -> None:
    """Of DICOM in a folder a patient, without a table, each folder would be a center called as the patient."""
    dicom_center(tmp_path, ["Scout", "CORTICO"], n=2)
    assert list(find_centers(tmp_path)) == [tmp_path.name]
    (tmp_path / "clinical.csv").unlink()
    with pytest.raises(NoTableError) as caught:
        find_centers(tmp_path)
    assert SURNAME not in f"{caught.value}{caught.value.remedy}"


def test_phases_of_one_name_are_told_apart_by_their_delay(tmp_path: Path) -> None:
    dicom_center(tmp_path / "a", ["Scout", "Abdomen CE", "Abdomen CE"])
    phases = seen_phases([look_at_center(*next(iter(find_centers(tmp_path).items())))])
    assert [(phase.name, phase.delay_s) for phase in phases] == [
        ("abdomen_ce_1", (0.0, 120.0)),
        ("abdomen_ce_2", (120.0, 86400.0)),
    ]
    assert [(phase.n_one, phase.n_several) for phase in phases] == [(4, 0), (4, 0)]


def test_a_folder_of_patients_is_one_center(tmp_path: Path) -> None:
    nifti_center(tmp_path / "My Cohort")
    assert list(find_centers(tmp_path / "My Cohort")) == ["my_cohort"]
    (tmp_path / "My Cohort" / "clinical.csv").unlink()
    assert list(find_centers(tmp_path / "My Cohort")) == ["my_cohort"]
    assert "no clinical.csv" in str(seen(tmp_path / "My Cohort").remarks())
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoDataError, match="no files"):
        find_centers(tmp_path / "empty")


def test_the_label_is_asked_for_and_never_guessed(tmp_path: Path) -> None:
    nifti_center(tmp_path / "a")
    proposal = seen(tmp_path)
    with pytest.raises(AnswerNeededError) as caught:
        label_column(proposal, None)
    assert "ihc" in caught.value.remedy
    with pytest.raises(AnswerWrongError, match="is it ihc"):
        label_column(proposal, "ihcc")
    with pytest.raises(AnswerNeededError, match=r"0 \(2\), 2\+ \(2\)"):
        outcome(label_column(proposal, "IHC"), ())
    result = outcome(label_column(proposal, "IHC"), ["2+"])
    assert (result.column.name, result.positive, result.negative, result.n_fewest) == ("ihc", ("2+",), ("0",), 2)
    with pytest.raises(AnswerWrongError, match="nowhere '3\\+'"):
        outcome(result.column, ["3+"])


def test_what_tells_the_outcome_is_no_covariate(tmp_path: Path) -> None:
    """`outcome` is dead exactly where ihc is 2+, and a remark is free text; only age and sex are left."""
    nifti_center(tmp_path / "a")
    proposal = seen(tmp_path)
    assert [column.name for column in clinical_columns(proposal, "ihc", None)] == ["Age", "sex"]
    with pytest.raises(AnswerWrongError, match="is the label"):
        clinical_columns(proposal, "ihc", ["ihc"])


def test_another_writing_of_a_category_is_not_declared() -> None:
    column = SeenColumn(
        name="sex", kind="category", values=Counter({"F": 30, "M": 40, "male": 1}), n_missing=0, centers=("a",)
    )
    assert declared(column, 2) == {"kind": "category", "values": ["F", "M"], "required": False}


def test_a_pattern_of_ones_own_is_tried_on_what_was_seen(tmp_path: Path) -> None:
    dicom_center(tmp_path / "a", ["Scout", "CORTICO 1.0", "CORTICO 5.0"])
    proposal = seen(tmp_path)
    assert [(phase.n_one, phase.n_several) for phase in chosen_phases(proposal, ["thin=(?i)cortico.*1"])] == [(4, 0)]
    assert [(phase.n_one, phase.n_several) for phase in chosen_phases(proposal, ["all=(?i)cortico"])] == [(0, 4)]
    for answer, told in (("venous", "was not found"), ("thin=(", "no regular expression")):
        with pytest.raises(AnswerWrongError, match=told):
            chosen_phases(proposal, [answer])
