"""Tracing a patient to raw files on disk, and withdrawing one, on a study of real files read by ingest."""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore.schemas import Column
from featurestore.tables import read_frame
from featurestore.training_sets import TrainingSet
from pipelines.ingest.pseudonyms import case_id, load_key
from pipelines.lineage.places import UnknownCaseError
from pipelines.lineage.trace import trace
from pipelines.lineage.version import TrainingSetAbsentError, version_lineage
from pipelines.lineage.withdraw import withdraw
from pipelines.params import load_params
from registry import lifecycle
from registry.lifecycle import Registry
from registry.package import save_package

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


def test_a_version_leads_to_its_patients_and_the_files_on_disk(
    read: Study, candidates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(read, candidates, monkeypatch)
    found = version_lineage(read.workspace, load_params(read.workspace.params), "lr")
    first, second = by_pseudonym(read)
    assert [(one["case_id"], one["split"]) for one in found.patients] == [
        (pseudonym(read, first), "training"),
        (pseudonym(read, second), "internal"),
    ]
    for patient, told in zip((first, second), found.patients, strict=True):
        folder = read.root / "data" / "raw" / CENTER / patient
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert {one["sha256"] for one in told["raw"]} == {
            hashlib.sha256(path.read_bytes()).hexdigest() for path in files
        }
        assert len(told["row_hash"]) == 64
    assert found.n_raw == sum(len({one["path_id"] for one in told["raw"]}) for told in found.patients)
    assert found.version["package"] == Registry(read.root).version("lr").digest
    assert "anna" not in str(found.plain())


def test_in_a_clone_without_tables_a_version_still_names_its_patients(
    read: Study, candidates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(read, candidates, monkeypatch)
    params = load_params(read.workspace.params)
    shutil.rmtree(read.root / "data")
    found = version_lineage(read.workspace, params, "1")
    assert [(len(one["case_id"]) > 0, one["raw"]) for one in found.patients] == [(True, []), (True, [])]
    shutil.rmtree(read.root / "models" / "training")
    with pytest.raises(TrainingSetAbsentError, match="version 1"):
        version_lineage(read.workspace, params, "1")


def by_pseudonym(study: Study) -> list[str]:
    """Returns two patients in the order of their pseudonyms, which each study's own key decides."""
    return sorted(("anna", "berta"), key=lambda patient: pseudonym(study, patient))


def registered(study: Study, candidates: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that two of the patients trained."""
    subprocess.run(["git", "init", "--quiet"], cwd=study.root, check=True)
    monkeypatch.setattr(lifecycle, "dvc_add", lambda _, folder: folder.with_name(f"{folder.name}.dvc").touch())
    folder = study.workspace.training("ct")
    kept = TrainingSet(
        X=np.arange(6.0).reshape(2, 3),
        y=np.array([0, 1], np.int8),
        center=np.array([CENTER] * 2),
        case_id=np.array([pseudonym(study, patient) for patient in by_pseudonym(study)]),
        split=np.array(["training", "internal"]),
        columns=tuple(Column(name=name) for name in candidates.FEATURES),
        record={"service": {"name": "ct"}},
    )
    package, manifest = study.workspace.model("lr") / "package", candidates.manifest("lr", kept.save(folder))
    save_package(package, manifest, candidates.arrays(), np.zeros((1, 3)), "# c\n")
    Registry(study.root).register("lr", package, folder, candidates.metrics(), "a test")
