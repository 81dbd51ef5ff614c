"""The layouts that centers send: observers, lesions, listed cases, NRRD, real DICOM and the real NIfTI cohort."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import yaml

from pipelines.images.files import read_case
from pipelines.ingest.ingest import ingest_centers
from pipelines.ingest.intake import intake_centers
from pipelines.ingest.places import study_places
from pipelines.runner import SerialRunner


def block(lower: int, upper: int) -> np.ndarray:
    mask = np.zeros((12, 20, 24), np.uint8)
    mask[4:8, 8:14, lower:upper] = 1
    return mask


def observed(cohort, policy: str, **masks: np.ndarray):
    cohort.settings["ingest"]["observer_policy"] = policy
    cohort.save()
    folder = cohort.nifti("alpha", "P-0001", ("ct",))
    (folder / "ct_mask.nii.gz").unlink()
    for observer, mask in masks.items():
        cohort.write_volume(folder / f"ct_mask-{observer}.nii.gz", mask)
    cohort.run()
    return cohort.table("cases").set_index("observer")


def test_named_observer_gives_the_features_and_the_others_stay_for_agreement(cohort) -> None:
    cases = observed(cohort, "b", a=block(8, 14), b=block(9, 15))
    assert cases["is_primary"].to_dict() == {"a": False, "b": True}


@pytest.mark.parametrize(("policy", "n_columns"), [("majority", 6), ("staple", 6)])
def test_consensus_is_the_primary_outline(cohort, policy, n_columns) -> None:
    cases = observed(cohort, policy, a=block(8, 14), b=block(9, 15), c=block(9, 15))
    assert cases["is_primary"].to_dict() == {"a": False, "b": False, "c": False, policy: True}
    assert cases.loc[policy, "n_voxels"] == 4 * 6 * n_columns


def test_consensus_needs_every_mask(cohort) -> None:
    cases = observed(cohort, "majority", a=block(8, 14), b=block(9, 15), c=block(9, 9))
    assert sorted(cases.index) == ["a", "b"]
    assert {"empty_mask", "consensus_incomplete"} <= cohort.codes()


def test_single_named_mask_is_simply_the_mask(cohort) -> None:
    cases = observed(cohort, "majority", a=block(8, 14))
    assert cases["is_primary"].to_dict() == {"": True}


def test_observer_who_sent_nothing_is_missed(cohort) -> None:
    cases = observed(cohort, "z", a=block(8, 14), b=block(9, 15))
    assert not cases["is_primary"].any()
    assert "observer_missing" in cohort.codes()


@pytest.mark.parametrize(("policy", "sizes"), [("union", [96 + 48]), ("largest", [96]), ("each", [96, 48])])
def test_lesions(cohort, policy, sizes) -> None:
    cohort.settings["ingest"]["roi_policy"] = policy
    cohort.save()
    folder = cohort.nifti("alpha", "P-0001", ("ct",))
    cohort.write_volume(folder / "ct_mask.nii.gz", block(4, 6) + block(10, 14))
    cohort.run()
    assert cohort.table("cases")["n_voxels"].tolist() == sizes


def test_cases_csv_names_what_names_do_not_say(cohort) -> None:
    cohort.nifti("alpha", "P-0001", ("ct",))
    folder = cohort.folder("alpha", "export")
    cohort.write_volume(folder / "0001.nrrd", block(0, 9) * 90)
    cohort.write_volume(folder / "0002.nrrd", block(9, 15) * 3)
    series = cohort.dicom("alpha", "ANON", "Series 4")
    cohort.row("alpha", "P-0007")
    cohort.row("alpha", "P-0008")
    listed = cohort.root / "data" / "raw" / "alpha" / "cases.csv"
    listed.write_text(
        "patient_id,phase,image,mask,label\n"
        "P-0007,CT,export/0001.nrrd,export/0002.nrrd,3\n"
        f"P-0008,ct,ANON/{series.name},ANON/{series.name}/RS,\n"
        "P-0001,ct,export/absent.nrrd,export/0002.nrrd,\n"
    )
    cohort.run()
    assert sorted(cohort.table("acquisition")["format"]) == ["dicom+rtstruct", "nrrd"]
    assert sorted(cohort.table("cases")["n_voxels"]) == [4 * 6 * 6] * 2
    assert "file_missing" in cohort.codes()


def test_dicom_and_nifti_of_the_same_voxels_store_the_same_case(cohort) -> None:
    """The structure set and the mask outline the same voxels; crop and mask must be equal."""
    folder = cohort.dicom("alpha", "P-0001")
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    nifti = cohort.folder("alpha", "P-0002")
    sitk.WriteImage(image, str(nifti / "ct.nii.gz"))
    cohort.write_volume(nifti / "ct_mask.nii.gz", block(9, 15))
    cohort.row("alpha", "P-0002")
    cohort.run()
    assert set(cohort.table("qc")["code"]) == {"duplicate_patient"}
    (nifti / "ct.nii.gz").unlink()
    cohort.run()
    stored = cohort.table("cases").iloc[0]
    volume, mask = read_case(*(cohort.workspace.cases("development") / stored[name] for name in ("image", "mask")))
    x, y, z = (int(stored[f"crop_{axis}"]) for axis in "xyz")
    size = volume.image.GetSize()
    cut = image[x : x + size[0], y : y + size[1], z : z + size[2]]
    assert np.array_equal(sitk.GetArrayFromImage(cut), volume.array())
    assert mask.array().sum() == stored["n_voxels"] == 4 * 6 * 6
    voxels = sitk.GetArrayFromImage(image)
    assert (stored["image_min"], stored["image_max"]) == (voxels.min(), voxels.max())
    assert [stored[f"full_origin_{axis}_mm"] for axis in "xyz"] == list(image.GetOrigin())


def test_hospital_waits_until_its_files_are_still(cohort, spy) -> None:
    """The operation's quiet time: a young file holds back its patient, whose earlier rows stay."""
    import os
    import time

    first = cohort.nifti("alpha", "P-0001", ("ct",))
    second = cohort.nifti("alpha", "P-0002", ("ct",))
    hour_ago = time.time() - 3600
    for path in (cohort.root / "data" / "raw").rglob("*"):
        os.utime(path, (hour_ago, hour_ago))
    cohort.take_in()
    places, rules = study_places(cohort.workspace, cohort.params, "development"), cohort.params.case_rules()
    centers = cohort.params.centers.development

    def score() -> None:
        intake_centers(places, centers, quiet_s=60)
        score.summary = ingest_centers(places, rules, centers, spy, quiet_s=60, labelled=False)

    (second / "ct.nii.gz.part").write_bytes(b"still coming")
    score()
    assert len(cohort.table("cases")) == 1
    assert score.summary.waiting == {"alpha": 1}
    (second / "ct.nii.gz.part").unlink()
    (first / "ct_mask.nii.gz").touch()
    score()
    assert len(cohort.table("cases")) == 2
    assert len(spy.names) == 2
    (cohort.root / "data" / "raw" / "alpha" / "clinical.csv").touch()
    score()
    assert score.summary.waiting == {"alpha": 0}
    assert len(cohort.table("cases")) == 2
    assert len(list((cohort.root / "data" / "cases").rglob("*.nii.gz"))) == 4


def test_new_hospital_needs_no_labels(cohort) -> None:
    cohort.nifti("alpha", "P-0001", ("ct",))
    cohort.write_clinical("alpha", drop=("ihc",))
    cohort.take_in()
    places, rules = study_places(cohort.workspace, cohort.params, "development"), cohort.params.case_rules()
    summary = ingest_centers(places, rules, cohort.params.centers.development, SerialRunner(), labelled=False)
    assert (summary.total("ok"), summary.codes) == (1, {})


def real_study(cohort, source: Path, **settings):
    shutil.rmtree(cohort.root / "data", ignore_errors=True)
    shutil.copytree(source, cohort.root / "data" / "raw" / "alpha")
    label = {"name": "mets", "column": "lung_mets", "positive": [1], "negative": [0]}
    cohort.settings |= {"label": label, "cohort": {}, **settings}
    (cohort.root / "params.yaml").write_text(yaml.safe_dump(cohort.settings))
    return cohort


def test_real_nifti_cohort(cohort, test_data, tmp_path) -> None:
    """File names in another case than the phases are found; one patient, all three modalities."""
    source = tmp_path / "sts"
    shutil.copytree(test_data / "sts_cohort" / "STS_003", source / "STS_003")
    shutil.copy(test_data / "sts_cohort" / "clinical.csv", source)
    phases = {name: {"series_description": "^no pattern$"} for name in ("ct", "pet", "mr_t1")}
    real_study(cohort, source, phases=phases, ingest={"roi": {"label": 1}}, services={"ct": {"phases": ["ct"]}})
    summary = cohort.run()
    assert summary.total("ok") == 3
    assert summary.codes == {"image_missing": 30}


def test_real_dicom_patient(cohort, test_data, tmp_path) -> None:
    """Three modalities with their structure sets, found by reading; the NIfTI files beside them are not."""
    source = tmp_path / "sts"
    shutil.copytree(test_data / "sts_original" / "STS_002", source / "x", ignore=shutil.ignore_patterns("nifti", "PET"))
    (source / "clinical.csv").write_text("patient_id;lung_mets\nSTS_002;0\n")
    phases = {"ct": {"series_description": "_CT_"}, "mr": {"series_description": "_MR_"}}
    real_study(cohort, source, phases=phases, ingest={"roi": {"pattern": "GTV_Mass"}})
    summary = cohort.run()
    assert (summary.total("ok"), summary.total("sent")) == (2, 2)
