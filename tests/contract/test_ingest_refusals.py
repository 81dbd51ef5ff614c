"""One bad case is one row with its own code and remedy, and everything else is processed."""

import os
import shutil

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid


def row(cohort, code: str) -> dict:
    qc = cohort.table("qc")
    found = qc[qc["code"] == code].to_dict("records")
    assert len(found) == 1, qc[["phase", "item", "status", "code", "message"]].to_string()
    return found[0]


def others_are_fine(cohort, n: int = 1) -> bool:
    return cohort.table("qc")["status"].eq("ok").sum() >= n and len(cohort.table("cases")) >= n


def test_empty_mask(sound) -> None:
    folder = sound.nifti("alpha", "P-0002", ("ct",))
    sound.write_volume(folder / "ct_mask.nii.gz", np.zeros((12, 20, 24), np.uint8))
    sound.run()
    assert row(sound, "empty_mask")["status"] == "refused"
    assert row(sound, "empty_mask")["remedy"]
    assert others_are_fine(sound)


def test_mask_on_another_grid_names_what_differs(sound) -> None:
    folder = sound.nifti("alpha", "P-0002", ("ct",))
    mask = np.zeros((12, 20, 24), np.uint8)
    mask[4:8, 8:14, 9:15] = 1
    sound.write_volume(folder / "ct_mask.nii.gz", mask, (1.5, 1.0, 2.0))
    sound.run()
    assert "spacing" in row(sound, "grid_mismatch")["message"]
    assert others_are_fine(sound)


def test_mask_within_the_bound_is_resampled_and_noted(sound) -> None:
    sound.settings["ingest"]["resample_mask_within_mm"] = 20.0
    sound.save()
    folder = sound.nifti("alpha", "P-0002", ("ct",))
    mask = np.zeros((12, 20, 24), np.uint8)
    mask[4:8, 8:14, 9:15] = 1
    sound.write_volume(folder / "ct_mask.nii.gz", mask, (1.5, 1.0, 2.0))
    sound.run()
    assert row(sound, "mask_resampled")["status"] == "warned"
    assert len(sound.table("cases")) == 2


def test_wrong_label_value(sound) -> None:
    folder = sound.nifti("alpha", "P-0002", ("ct",))
    mask = np.zeros((12, 20, 24), np.uint8)
    mask[4:8, 8:14, 9:15] = 2
    sound.write_volume(folder / "ct_mask.nii.gz", mask)
    sound.run()
    assert "2" in row(sound, "label_absent")["message"]
    assert others_are_fine(sound)


def test_small_region(sound) -> None:
    folder = sound.nifti("alpha", "P-0002", ("ct",))
    mask = np.zeros((12, 20, 24), np.uint8)
    mask[4, 8, 9:12] = 1
    sound.write_volume(folder / "ct_mask.nii.gz", mask)
    sound.run()
    assert "3 voxels" in row(sound, "roi_too_small")["message"]


def test_required_phase_missing_leaves_the_others(sound) -> None:
    sound.nifti("alpha", "P-0002", ("mr",))
    sound.run()
    assert (row(sound, "phase_missing")["phase"], row(sound, "phase_missing")["status"]) == ("ct", "refused")
    assert sorted(sound.table("cases")["phase"]) == ["ct", "mr"]


@pytest.mark.parametrize("left", ["ct.nii.gz", "ct_mask.nii.gz"])
def test_image_or_mask_missing(sound, left) -> None:
    folder = sound.nifti("alpha", "P-0002", ("ct",))
    (folder / left).unlink()
    sound.run()
    code = "image_missing" if left == "ct.nii.gz" else "mask_missing"
    assert row(sound, code)["phase"] == "ct"
    assert others_are_fine(sound)


def test_dicom_without_outline(sound) -> None:
    (sound.dicom("alpha", "P-0002") / "RS").unlink()
    sound.run()
    assert row(sound, "mask_missing")["phase"] == "ct"


def test_patient_without_label_stays_in_cases(sound) -> None:
    sound.row("alpha", "P-0001", ihc="")
    sound.run()
    assert row(sound, "label_missing")["status"] == "warned"
    assert len(sound.table("cases")) == 1
    assert sound.table("outcomes")["label"].isna().all()


def test_patient_of_the_clinical_table_without_images(sound) -> None:
    sound.row("alpha", "P-0009")
    summary = sound.run()
    assert row(sound, "image_missing")["phase"] == ""
    assert (summary.centers["alpha"].with_row, summary.centers["alpha"].with_both) == (2, 1)


def test_patient_without_clinical_row(sound) -> None:
    sound.settings["cohort"]["include"] = []
    sound.save()
    sound.nifti("alpha", "P-0002", ("ct",))
    sound.clinical["alpha"].pop("P-0002")
    sound.write_clinical("alpha")
    sound.run()
    assert row(sound, "clinical_missing")["status"] == "warned"
    assert len(sound.table("cases")) == 2


def test_impossible_clinical_value_is_a_row_even_when_it_excludes(sound) -> None:
    sound.nifti("alpha", "P-0002", ("ct",))
    sound.row("alpha", "P-0002", age="610")
    sound.run()
    assert row(sound, "clinical_value")["item"] == "age"
    assert row(sound, "excluded")["message"] == "adults (age not known)"


def test_folder_sent_twice_is_used_once(sound) -> None:
    """Byte for byte the same files in another folder."""
    folder = sound.dicom("alpha", "P-0002")
    shutil.copytree(folder, folder.parent.parent / "again")
    sound.run()
    assert row(sound, "duplicate_sent")["status"] == "warned"
    assert len(sound.table("cases")) == 2


def test_series_sent_again_under_new_uids_is_used_once(sound) -> None:
    folder = sound.dicom("alpha", "P-0002")
    sound.dicom("alpha", "P-0002", folder="again")
    sound.run()
    assert len(list(folder.parent.parent.rglob("RS"))) == 2
    assert "voxel for voxel" in row(sound, "duplicate_sent")["message"]
    assert len(sound.table("cases")) == 2


def test_series_exported_again_with_other_tags_is_used_once(sound) -> None:
    """The same UIDs, other bytes: a second export to another folder."""
    folder = sound.dicom("alpha", "P-0002")
    again = folder.parent.parent / "again"
    again.mkdir()
    for path in folder.glob("IM*"):
        one = dcmread(path)
        one.InstitutionName = "elsewhere"
        one.save_as(again / path.name)
    sound.run()
    assert row(sound, "duplicate_sent")["status"] == "warned"
    assert len(sound.table("cases")) == 2


def test_two_different_series_of_one_phase_are_refused(sound) -> None:
    sound.dicom("alpha", "P-0002")
    sound.dicom("alpha", "P-0002", "CT venous thin", pixels="sharp")
    sound.run()
    assert row(sound, "duplicate_phase")["status"] == "refused"
    assert others_are_fine(sound)


def test_one_image_under_two_patients_is_refused(sound) -> None:
    """A patient under two names would be on both sides of a split."""
    sound.nifti("alpha", "P-0002", ("ct",), seed="same")
    sound.nifti("alpha", "P-0003", ("ct",), seed="same")
    sound.run()
    qc = sound.table("qc")
    twins = qc[qc["code"] == "duplicate_patient"]
    assert len(twins) == 2
    assert twins["message"].iloc[0].endswith(twins["case_id"].iloc[1])
    assert len(sound.table("cases")) == 1
    assert sound.snapshot() == sound.rebuilt()


def test_missing_slice(sound) -> None:
    (sound.dicom("alpha", "P-0002") / "IM0005").unlink()
    sound.run()
    assert "missing" in row(sound, "slices_missing")["message"]
    assert others_are_fine(sound)


@pytest.mark.parametrize("keep", [0.97, 0.5, 0.3])
def test_file_cut_off_in_pixels_or_header_refuses_its_case(sound, keep) -> None:
    """Wherever the last slice is cut: without it the series would look whole."""
    path = sound.dicom("alpha", "P-0002") / "IM0011"
    content = path.read_bytes()
    header = len(content) - 20 * 24 * 2
    path.write_bytes(content[: int(len(content) * keep)] if keep > 0.9 else content[: int(header * keep)])
    sound.run()
    found = row(sound, "truncated_file")
    assert (found["status"], found["phase"]) == ("refused", "ct")
    assert len(sound.table("cases")) == 1


def test_cut_off_file_of_nobody_is_a_row_of_its_own(sound) -> None:
    path = sound.dicom("alpha", "P-0002") / "IM0011"
    alone = sound.folder("alpha", "stray")
    (alone / "cut.dcm").write_bytes(path.read_bytes()[:150])
    sound.run()
    stray = sound.table("qc").query("case_id == ''").to_dict("records")
    assert len(stray) == 1
    assert len(stray[0]["item"]) == 64
    assert stray[0]["status"] == "refused"
    assert len(sound.table("cases")) == 2


def test_unreadable_volume_refuses_its_case_alone(sound) -> None:
    folder = sound.nifti("alpha", "P-0002", ("ct",))
    content = (folder / "ct.nii.gz").read_bytes()
    (folder / "ct.nii.gz").write_bytes(content[: len(content) // 2])
    sound.run()
    refused = sound.table("qc").query("status == 'refused'")
    assert refused["code"].isin(["truncated_file", "unreadable"]).tolist() == [True]
    assert others_are_fine(sound)


def test_second_series_of_no_phase_is_ignored_and_said(sound) -> None:
    sound.dicom("alpha", "P-0002")
    sound.dicom("alpha", "P-0002", "Dose check", pixels="x")
    sound.run()
    assert "12 files matches no phase" in row(sound, "series_ignored")["message"]
    assert len(sound.table("cases")) == 2


def test_what_a_series_is_called_is_repeated_only_where_three_patients_share_it(sound) -> None:
    """The text may hold a name; who writes patterns finds all texts in a private list."""
    for patient in ("P-0002", "P-0003", "P-0004"):
        sound.dicom("alpha", patient, "Dose check", pixels=patient)
    sound.dicom("alpha", "P-0002", "Dose of Hrdlicka", pixels="x")
    sound.run()
    messages = " ".join(sound.table("qc")["message"])
    assert "'Dose check' of 12 files" in messages
    assert "Hrdlicka" not in messages
    private = sound.root / "private" / "texts" / "alpha.csv"
    assert "series,Dose of Hrdlicka,1\n" in private.read_text()
    assert private.stat().st_mode & 0o777 == 0o600


def test_series_matching_two_phases(sound) -> None:
    sound.dicom("alpha", "P-0002", "CT MR fused")
    sound.run()
    assert "ct and mr" in row(sound, "phase_ambiguous")["message"]


def test_center_has_its_own_pattern(sound) -> None:
    sound.settings["centers"]["development"]["alpha"]["phases"] = {"ct": "(?i)portal"}
    sound.save()
    sound.dicom("alpha", "P-0002", "Portal phase")
    sound.run()
    assert len(sound.table("cases")) == 2


def test_structure_set_of_a_series_not_sent(sound) -> None:
    folder = sound.dicom("alpha", "P-0002")
    one = dcmread(folder / "RS")
    one.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = generate_uid()
    study = one.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    study.RTReferencedSeriesSequence[0].SeriesInstanceUID = generate_uid()
    one.save_as(folder / "RS")
    sound.run()
    assert row(sound, "mask_unmatched")["status"] == "warned"
    assert row(sound, "mask_missing")["phase"] == "ct"


def test_files_that_are_no_image_are_counted(sound) -> None:
    folder = sound.folder("alpha", "P-0001")
    (folder / "Thumbs.db").write_bytes(b"thumbs")
    (folder / "readme.txt").write_text("hello")
    (folder / ".hidden.part").write_text("x")
    summary = sound.run()
    assert summary.centers["alpha"].ignored == 2
    assert summary.total("ok") == 1


def test_full_disk_fails_the_case_and_is_tried_again(sound, monkeypatch) -> None:
    from pipelines.ingest import case_volumes

    def full(path, image) -> None:
        raise OSError(28, os.strerror(28), str(path))

    sound.nifti("alpha", "P-0002", ("ct",))
    with monkeypatch.context() as patch:
        patch.setattr(case_volumes, "write_image", full)
        sound.run()
    assert sound.table("qc")["code"].tolist() == ["disk_full"] * 2
    assert sound.table("qc")["status"].tolist() == ["failed"] * 2
    assert sound.run().total("ok") == 2
