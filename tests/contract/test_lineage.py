"""Tracing a patient to raw files on disk, and withdrawing one, on a study of real files read by ingest."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from featurestore.tables import read_frame
from pipelines.ingest.pseudonyms import case_id, load_key
from pipelines.lineage.places import UnknownCaseError
from pipelines.lineage.trace import trace
from pipelines.lineage.withdraw import withdraw
from pipelines.params import load_params

Study = Any


CENTER = "alpha"


@pytest.fixture
def read(cohort: Study) -> Study:
    """A center with NIfTI patients and a DICOM patient, taken in and read."""
    for patient in ("anna", "berta", "carla"):
        cohort.nifti(CENTER, patient)
    cohort.dicom(CENTER, "dicomia")
    cohort.run()
    return cohort


def pseudonym(study: Study, patient: str) -> str:
    return case_id(load_key(study.workspace.keys, CENTER), patient)


@pytest.mark.parametrize("patient", ["berta", "dicomia"])
def test_a_trace_ends_at_the_files_on_disk(read: Study, patient: str) -> None:
    who = pseudonym(read, patient)
    found = trace(read.workspace, load_params(read.workspace.params), patient)
    assert (found.center, found.case_id, found.role) == (CENTER, who, "development")
    hashes = {file["sha256"] for image in found.images for file in image["raw"]}
    folder = read.root / "data" / "raw" / CENTER / patient
    assert hashes == {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}
    assert {file["disk"] for image in found.images for file in image["raw"]} == {"same"}
    assert found.is_sound
    assert patient not in str(found.plain())


def test_a_changed_file_and_a_changed_volume_show(read: Study) -> None:
    who = pseudonym(read, "berta")
    path = next((read.root / "data" / "raw" / CENTER / "berta").iterdir())
    path.write_bytes(path.read_bytes() + b"x")
    assert not trace(read.workspace, load_params(read.workspace.params), who).is_sound


def test_without_raw_data_the_hashes_of_intake_remain(read: Study) -> None:
    shutil.rmtree(read.root / "data" / "raw")
    found = trace(read.workspace, load_params(read.workspace.params), pseudonym(read, "anna")[:8])
    files = [file for image in found.images for file in image["raw"]]
    assert {file["disk"] for file in files} == {"no raw data here"}
    assert all(len(file["sha256"]) == 64 for file in files)


def test_nobody_and_several_are_refused(read: Study) -> None:
    params = load_params(read.workspace.params)
    with pytest.raises(UnknownCaseError, match="no patient of any table"):
        trace(read.workspace, params, "dora")


def test_a_withdrawn_patient_is_in_no_table_and_does_not_come_back(read: Study) -> None:
    who = pseudonym(read, "carla")
    done = withdraw(read.workspace, load_params(read.workspace.params), "carla", why="asked")
    tables = ("cases", "clinical", "acquisition", "qc", "sources")
    roots = [*(read.workspace.view("development", name) for name in tables), read.workspace.outcomes("development")]
    assert not any(who in set(read_frame(root)["case_id"]) for root in roots)
    assert not list(read.workspace.cases("development").glob(f"*/{who}_*"))
    listed = read.root / "private" / "withdrawn" / f"{who}.txt"
    assert {Path(line).parent.name for line in listed.read_text().splitlines()} == {"carla"}
    assert [holder.place for holder in done.holders] == ["raw data"]
    assert load_params(read.workspace.params).cohort.withdrawn == [who]
    read.run()
    assert not any(who in set(read_frame(root)["case_id"]) for root in roots)
    assert pseudonym(read, "anna") in set(read_frame(roots[0])["case_id"])


def test_withdrawing_twice_says_the_same(read: Study) -> None:
    who = pseudonym(read, "carla")
    withdraw(read.workspace, load_params(read.workspace.params), who)
    done = withdraw(read.workspace, load_params(read.workspace.params), who, center=CENTER)
    assert done.rows == {}
    assert [holder.place for holder in done.holders] == ["raw data"]
    assert load_params(read.workspace.params).cohort.withdrawn == [who]
