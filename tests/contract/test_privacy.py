"""The privacy proof in short: secrets planted in all that hospitals send, and searched in all that ingest writes.

The whole road, from `radmill init` to a withdrawn patient, is `make prove-privacy`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk
import yaml

from featurestore.tables import read_frame
from pipelines.demo import write_demo
from pipelines.ingest import case_volumes
from pipelines.ingest.dicom_header import DicomHeader
from pipelines.ingest.dicom_series import Acquisition, read_series
from pipelines.ingest.ingest import ingest
from pipelines.ingest.intake import intake
from pipelines.ingest.pseudonyms import ensure_keys
from pipelines.params import load_params
from pipelines.runner import SerialRunner
from pipelines.workspace import ROLES, Workspace
from tests.conftest import ROOT
from tests.leaks import Leak, find_leaks
from tests.planted import FAULTY, Planter, besides_whole_images, break_masks, plant

CENTERS = ("north", "east", "south", "west")


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study to which planted data came."""
    root = tmp_path_factory.mktemp("planted")
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings["phases"] = {"excretory": settings["phases"]["excretory"]}
    settings["services"] = {"excretory": {"phases": ["excretory"]}}
    settings |= {"cohort": {}, "models": {}, "deep": {}, "fusion": {}, "margin": {"mm": 2.0, "voxels": 2}}
    (root / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    write_demo(root, patients=2)
    planter = Planter()
    for center in CENTERS:
        plant(root / "data" / "raw" / center, planter)
    break_masks(root / "data" / "raw" / "north")
    return Workspace(root)


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets one case's reader break in an unforeseen way, with an exception that quotes the file."""

    def breaking(headers: Sequence[DicomHeader], **more: Any) -> tuple[sitk.Image, Acquisition]:
        if any(FAULTY in header.series_description for header in headers):
            raise RuntimeError(f"cannot read {headers[0]!r}")
        return read_series(headers, **more)

    monkeypatch.setattr(case_volumes, "read_series", breaking)


def outputs(workspace: Workspace) -> list[Leak]:
    """Reads all centers and searches what came of it."""
    ensure_keys(workspace, load_params(workspace.params))
    params = load_params(workspace.params)
    intake(workspace, params)
    for role in ROLES:
        ingest(workspace, params, role, SerialRunner())
    raw = workspace.raw("any").parent
    leaks = find_leaks(workspace.root, [workspace.private, raw, workspace.incoming])
    return besides_whole_images(leaks, workspace.root)


@pytest.mark.usefixtures("breaks")
def test_no_planted_secret_is_in_any_output(sent: Workspace) -> None:
    assert outputs(sent) == []
    qc = {code for role in ROLES for code in read_frame(sent.view(role, "qc"))["code"]}
    assert {"failed", "series_ignored", "clinical_value", "unreadable"} <= qc, "the faults were met"
    assert sum(len(read_frame(sent.view(role, "cases"))) for role in ROLES) >= 3


def test_a_leak_in_the_code_is_found(sent: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message that quotes who was read is enough."""
    monkeypatch.setattr(case_volumes.CaseWork, "clean", lambda self, text: f"{text} of {self.names}")
    (sent.root / "params.yaml").write_text((sent.root / "params.yaml").read_text().replace("mm: 2.0", "mm: 3.0"))
    leaks = outputs(sent)
    assert {Path(leak.place.partition("!")[0]).suffix for leak in leaks} >= {".parquet", ".json"}
