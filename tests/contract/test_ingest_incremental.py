"""An incremental run reads what changed and gives the bytes of a full rebuild."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from featurestore.errors import FaultError, InputError
from pipelines.ingest.discovery import SourceChangedError


def test_second_run_reads_nothing_and_changes_nothing(cohort, spy) -> None:
    cohort.nifti("alpha", "P-0001")
    cohort.dicom("alpha", "P-0002")
    first = cohort.run(spy)
    before = cohort.snapshot()
    assert (first.recomputed, len(spy.names)) == (3, 3)
    second = cohort.run(spy)
    assert (second.unchanged, second.recomputed, len(spy.names)) == (3, 0, 3)
    assert cohort.snapshot() == before


def test_added_patient_is_read_alone_and_equals_a_rebuild(cohort, spy) -> None:
    cohort.nifti("alpha", "P-0001")
    cohort.dicom("alpha", "P-0002")
    cohort.run()
    cohort.nifti("alpha", "P-0000", ("ct",))
    cohort.run(spy)
    assert len(spy.names) == 1
    assert cohort.snapshot() == cohort.rebuilt()


def test_a_patient_sent_under_two_names_is_not_read_in_every_run(cohort, spy) -> None:
    for name in ("P-0001", "P-0002"):
        cohort.nifti("alpha", name, ("ct",), seed="same")
    cohort.run(spy)
    assert (len(spy.names), set(cohort.table("qc")["code"])) == (2, {"duplicate_patient"})
    cohort.nifti("alpha", "P-0003", ("ct",))
    cohort.run(spy)
    assert len(spy.names) == 3
    assert cohort.snapshot() == cohort.rebuilt()


def test_a_patient_whose_double_left_is_used(cohort) -> None:
    folders = [cohort.nifti("alpha", name, ("ct",), seed="same") for name in ("P-0001", "P-0002")]
    cohort.run()
    shutil.rmtree(folders[0])
    del cohort.clinical["alpha"]["P-0001"]
    cohort.write_clinical("alpha")
    cohort.run()
    assert len(cohort.table("cases")) == 1
    assert cohort.snapshot() == cohort.rebuilt()


def test_new_mask_reads_its_case_alone(cohort, spy) -> None:
    folder = cohort.nifti("alpha", "P-0001")
    cohort.nifti("alpha", "P-0002")
    cohort.run()
    mask = np.zeros((12, 20, 24), np.uint8)
    mask[3:9, 8:14, 9:15] = 1
    cohort.write_volume(folder / "mr_mask.nii.gz", mask)
    cohort.run(spy)
    assert [name.split(" / ")[2] for name in spy.names] == ["mr"]
    assert cohort.snapshot() == cohort.rebuilt()


def test_removed_patient_leaves_no_trace(cohort, spy) -> None:
    cohort.nifti("alpha", "P-0001")
    gone = cohort.nifti("alpha", "P-0002")
    cohort.run()
    shutil.rmtree(gone)
    cohort.nifti("alpha", "P-0003")
    del cohort.clinical["alpha"]["P-0002"]
    cohort.write_clinical("alpha")
    cohort.run(spy)
    assert len(set(cohort.table("qc")["case_id"])) == 2
    assert cohort.snapshot() == cohort.rebuilt()


def test_late_label_reads_no_image(cohort, spy) -> None:
    """A label that comes later changes outcomes and qc and no view of the images."""
    cohort.nifti("alpha", "P-0001")
    cohort.nifti("alpha", "P-0002")
    cohort.row("alpha", "P-0002", ihc="")
    cohort.run()
    before = cohort.snapshot()
    assert "label_missing" in cohort.codes()
    cohort.row("alpha", "P-0002", ihc="2+")
    cohort.run(spy)
    after = cohort.snapshot()
    changed = {name.split("/center=")[0] for name in before if before[name] != after[name]}
    assert spy.names == []
    assert changed == {
        "intake/development",
        "outcomes/development",
        "views/development/qc",
        "views/development/made.json",
    }


def test_damaged_stored_volume_is_made_again(cohort, spy) -> None:
    cohort.nifti("alpha", "P-0001")
    cohort.run()
    before = cohort.snapshot()
    stored = next((cohort.root / "data" / "cases" / "development" / "alpha").glob("*_ct_tumor_image.nii.gz"))
    stored.write_bytes(b"\0" * stored.stat().st_size)
    cohort.run(spy)
    assert len(spy.names) == 1
    assert cohort.snapshot() == before


def test_edited_part_is_not_believed(cohort, spy) -> None:
    cohort.nifti("alpha", "P-0001", ("ct",))
    cohort.run()
    before = cohort.snapshot()
    path = next((cohort.root / "data" / "cases" / "development" / "alpha").glob("*.json"))
    part = json.loads(path.read_bytes())
    part["rows"][0]["case"]["n_voxels"] = 9
    path.write_text(json.dumps(part))
    cohort.run(spy)
    assert len(spy.names) == 1
    assert cohort.snapshot() == before


def test_changed_rule_reads_again_and_unrelated_rule_does_not(cohort, spy) -> None:
    cohort.nifti("alpha", "P-0001")
    cohort.run()
    cohort.settings["ingest"]["clinical"].pop("sex")
    cohort.save()
    cohort.run(spy)
    assert spy.names == []
    cohort.settings["margin"]["mm"] = 4.0
    cohort.save()
    cohort.run(spy)
    assert len(spy.names) == 2
    assert cohort.snapshot() == cohort.rebuilt()


def test_moved_files_are_not_read_again(cohort, spy) -> None:
    folder = cohort.dicom("alpha", "P-0001")
    cohort.run()
    folder.rename(folder.parent.parent / "elsewhere")
    cohort.run(spy)
    assert spy.names == []
    assert cohort.snapshot() == cohort.rebuilt()


def test_acquisition_rule_excludes_and_returns(cohort, spy) -> None:
    """A case put aside by how it was acquired keeps no voxels; when the rule goes it is read again."""
    cohort.dicom("alpha", "P-0001")
    cohort.run()
    rule = {"column": "slice_thickness_mm", "maximum": 1.0, "reason": "thin slices"}
    cohort.settings["cohort"]["include"].append(rule)
    cohort.save()
    summary = cohort.run(spy)
    assert (summary.total("excluded"), spy.names) == (1, [])
    assert not list((cohort.root / "data" / "cases").rglob("*.nii.gz"))
    assert cohort.snapshot() == cohort.rebuilt()
    cohort.settings["cohort"]["include"].pop()
    cohort.save()
    assert cohort.run(spy).total("ok") == 1
    assert cohort.snapshot() == cohort.rebuilt()


def test_file_that_arrives_after_intake_waits(cohort) -> None:
    cohort.nifti("alpha", "P-0001")
    cohort.take_in()
    cohort.dicom("alpha", "P-0002")
    cohort.clinical["alpha"].pop("P-0002")
    cohort.write_clinical("alpha")
    cohort.read()
    assert len(set(cohort.table("cases")["case_id"])) == 1
    cohort.row("alpha", "P-0002")
    cohort.run()
    assert len(set(cohort.table("cases")["case_id"])) == 2


@pytest.mark.parametrize("change", ["changed", "gone"])
def test_file_that_changes_after_intake_stops_before_anything_is_written(cohort, change) -> None:
    folder = cohort.nifti("alpha", "P-0001")
    cohort.take_in()
    before = cohort.snapshot()
    if change == "gone":
        (folder / "ct.nii.gz").unlink()
    else:
        shutil.copy(folder / "mr.nii.gz", folder / "ct.nii.gz")
    with pytest.raises(SourceChangedError) as caught:
        cohort.read()
    assert isinstance(caught.value, FaultError)
    assert "P-0001" not in str(caught.value)
    assert cohort.snapshot() == before


def test_no_raw_data_keeps_tables_and_says_so(cohort) -> None:
    """A clone that pulled tables and has neither raw data nor keys."""
    cohort.nifti("alpha", "P-0001")
    cohort.run()
    before = cohort.snapshot()
    shutil.rmtree(cohort.root / "data" / "raw")
    shutil.rmtree(cohort.root / "private")
    assert "kept" in cohort.take_in().notes[0]
    summary = cohort.read()
    assert "kept" in summary.notes[0]
    assert summary.total("ok") == 2
    assert cohort.snapshot() == before


def test_no_raw_data_under_other_rules_is_an_error(cohort) -> None:
    cohort.nifti("alpha", "P-0001")
    cohort.run()
    shutil.rmtree(cohort.root / "data" / "raw")
    cohort.settings["margin"]["mm"] = 9.0
    cohort.save()
    cohort.take_in()
    with pytest.raises(InputError, match="no raw data"):
        cohort.read()


def test_no_raw_data_and_no_tables_is_an_error(cohort) -> None:
    with pytest.raises(InputError, match="nothing taken in"):
        cohort.take_in()


def test_without_any_center_the_folders_are_there(cohort) -> None:
    """DVC needs an output to exist."""
    cohort.nifti("alpha", "P-0001")
    cohort.take_in()
    summary = cohort.read("external")
    assert summary.total("sent") == 0
    for path in (cohort.workspace.intake("external"), cohort.workspace.cases("external")):
        assert path.is_dir()


def test_center_that_left_is_swept(cohort) -> None:
    cohort.settings["centers"]["development"]["beta"] = {}
    cohort.save()
    cohort.nifti("alpha", "P-0001")
    cohort.nifti("beta", "Q-0001")
    cohort.run()
    del cohort.settings["centers"]["development"]["beta"]
    cohort.save()
    summary = cohort.take_in()
    cohort.read()
    assert summary.removed == ("beta",)
    assert not [name for name in cohort.snapshot() if "beta" in name]
    assert not (Path(cohort.root) / "private" / "index" / "beta.json").exists()
