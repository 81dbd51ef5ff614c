"""`radmill features plan` must foretell exactly what the run then does, whatever changed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from featurestore.entities import KEY_COLUMNS
from featurestore.tables import read_frame
from pipelines.execution.extract import ExtractSummary, extract
from pipelines.execution.feature_tables import OBSERVERS, RADIOMICS
from pipelines.images.files import read_image, write_image
from pipelines.ingest.ingest import ingest
from pipelines.ingest.intake import intake
from pipelines.ingest.pseudonyms import case_id, load_key
from pipelines.ingest.summary import IngestSummary
from pipelines.params import edit_params, load_params
from pipelines.plan import Plan, plan
from pipelines.runner import SerialRunner
from pipelines.workspace import ROLES, Workspace

Change = Callable[[Workspace, pytest.MonkeyPatch], None]


def whole_patient(study: Workspace) -> str:
    """The folder in south of a patient all of whose phases have features."""
    present = read_frame(study.features("development"), centers=["south"]).groupby("case_id").size()
    key = load_key(study.keys, "south")
    names = (path.name for path in sorted(study.raw("south").iterdir()) if path.is_dir())
    return next(name for name in names if present.get(case_id(key, name), 0) == 3)


def copy_patient(study: Workspace, source: str, target: Path) -> str:
    """Copies a patient's images, one unit brighter, or they were the same images under two names; returns his row."""
    shutil.copytree(study.raw("south") / source, target)
    for path in (path for path in target.glob("*.nii.gz") if "_mask" not in path.name):
        write_image(path, read_image(path) + 1)
    lines = (study.raw("south") / "clinical.csv").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if source in line).replace(source, target.name)


def new_case(study: Workspace, patch: pytest.MonkeyPatch) -> None:
    row = copy_patient(study, whole_patient(study), study.raw("south") / "NEW-1")
    with (study.raw("south") / "clinical.csv").open("a", encoding="utf-8") as handle:
        handle.write(row + "\n")


def bin_width(study: Workspace, patch: pytest.MonkeyPatch) -> None:
    edit_params(study.params, lambda c: c["extraction"]["default"]["setting"].update(binWidth=40))


def new_filter(study: Workspace, patch: pytest.MonkeyPatch) -> None:
    edit_params(study.params, lambda c: c["extraction"]["default"]["imageType"].update(Wavelet={}))


def withdrawn(study: Workspace, patch: pytest.MonkeyPatch) -> None:
    patient = str(read_frame(study.features("development")).case_id.iloc[0])
    edit_params(study.params, lambda c: c["cohort"]["withdrawn"].append(patient))


def new_center(study: Workspace, patch: pytest.MonkeyPatch) -> None:
    header = (study.raw("south") / "clinical.csv").read_text(encoding="utf-8").splitlines()[0]
    row = copy_patient(study, whole_patient(study), study.raw("annex") / "NEW-1")
    (study.raw("annex") / "clinical.csv").write_text(f"{header}\n{row}\n", encoding="utf-8")
    edit_params(study.params, lambda c: c["centers"]["external"].update(annex={}))


def center_gone(study: Workspace, patch: pytest.MonkeyPatch) -> None:
    edit_params(study.params, lambda c: c["centers"]["development"].pop("east"))


def feature_set(study: Workspace, patch: pytest.MonkeyPatch) -> None:
    edit_params(study.params, lambda c: c["radmill"].update(feature_set="2"))
    patch.setattr("pipelines.execution.extract.FEATURE_SET", "2")
    patch.setattr("pipelines.plan.FEATURE_SET", "2")


def nothing(study: Workspace, patch: pytest.MonkeyPatch) -> None:
    """Nothing changes."""


def rows(study: Workspace) -> int:
    return sum(len(read_frame(study.features(role, table))) for role in ROLES for table in (RADIOMICS, OBSERVERS))


def keys(study: Workspace) -> set[tuple[str, ...]]:
    tables = [read_frame(study.features(role, table)) for role in ROLES for table in (RADIOMICS, OBSERVERS)]
    return {key for table in tables for key in table[list(KEY_COLUMNS)].itertuples(index=False, name=None)}


def columns(study: Workspace) -> set[str]:
    return set(read_frame(study.features("development")).columns)


def go(study: Workspace) -> tuple[list[IngestSummary], list[ExtractSummary]]:
    intake(study, load_params(study.params))
    params, runner = load_params(study.params), SerialRunner()
    ingested = [ingest(study, params, role, runner) for role in ROLES]
    return ingested, [extract(study, params, role, runner) for role in ROLES]


@pytest.mark.parametrize(
    "change", [nothing, new_case, bin_width, new_filter, withdrawn, new_center, center_gone, feature_set]
)
def test_the_plan_foretells_the_run(study: Workspace, change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    change(study, monkeypatch)
    before, before_keys, before_columns = rows(study), keys(study), columns(study)
    told: Plan = plan(study, load_params(study.params))
    ingested, extracted = go(study)
    done = {
        "read": sum(one.recomputed for one in ingested),
        "computed": sum(one.computed + one.refused + one.failed for one in extracted),
        "reused": sum(one.unchanged for one in extracted),
    }
    assert {name: told.total(name) for name in done} == done
    assert rows(study) == done["computed"] + done["reused"]
    assert told.total("dropped") == before - len(keys(study) & before_keys)
    assert columns(study) - before_columns == set(told.columns_added)
    assert before_columns - columns(study) == set(told.columns_dropped)
    again = plan(study, load_params(study.params))
    assert (again.total("read"), again.total("computed"), again.total("removed")) == (0, 0, 0)
