"""A package carried to a hospital: the study's numbers without a study, on the base install, and never in silence."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from featurestore.errors import RadmillError
from pipelines.cli import radmill
from pipelines.params.operation import ScoringSection
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.record import FEATURE_SET
from pipelines.runner import SerialRunner
from pipelines.scoring.score import score
from registry.export import export_package
from registry.lifecycle import Registry
from registry.package import load_package, save_package
from registry.states import ModelVersion

FEATURES = ("ct.original_firstorder_Mean", "ct.original_firstorder_Entropy", "ct.original_shape_MeshVolume")
SETTINGS = {
    "imageType": {"Original": {}},
    "featureClass": {"shape": ["MeshVolume"], "firstorder": ["Mean", "Entropy"]},
    "setting": {"binWidth": 10},
}
Carry = Callable[..., tuple[int, str]]


@pytest.fixture
def hospital(cohort: Any) -> Path:
    """Four patients as a hospital sends them, the last in DICOM with nothing marked on one of its scans."""
    for patient in ("H-001", "H-002", "H-003"):
        cohort.nifti("harbor", patient, phases=("ct",))
    cohort.dicom("harbor", "H-004")
    return Path(cohort.root / "data" / "raw" / "harbor")


@pytest.fixture
def package(tmp_path: Path, cohort: Any, candidates: Any) -> Path:
    """A model on three features of the phase ct, in its folder."""
    settings = ExtractionSettings.from_mapping(SETTINGS)
    rules = cohort.params.case_rules().model_dump(mode="json")
    manifest = candidates.manifest("lr", "0" * 64) | {
        "features": [{"name": name, "unit": ""} for name in FEATURES],
        "service": {"name": "ct", "view": "radiomics", "phases": ["ct"], "columns": ".*"},
        "rules": {**rules, "phases": {"ct": rules["phases"]["ct"]}},
        "extraction": {"engine": "fast", "by_phase": {"ct": settings.plain()}, "fingerprint": settings.fingerprint()},
        "feature_set": FEATURE_SET,
    }
    save_package(tmp_path / "package", manifest, candidates.arrays(), np.zeros((1, 3)), "# c\n")
    return tmp_path / "package"


@pytest.fixture
def carry(tmp_path: Path, package: Path, hospital: Path) -> Carry:
    """Exports the package and scores the hospital with the command; returns exit code and output."""
    export_package(package, tmp_path / "model.radmill")

    def call(*options: str, out: str = "scores.csv") -> tuple[int, str]:
        asked = ["score", "--package", str(tmp_path / "model.radmill"), "--images", str(hospital)]
        found = CliRunner().invoke(radmill, [*asked, "--out", str(tmp_path / out), *options])
        error = found.exception
        return error.exit_code if isinstance(error, RadmillError) else found.exit_code, f"{found.output}{error or ''}"

    return call


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import contextmanager

    @contextmanager
    def serial(*_: object) -> Any:
        yield SerialRunner()

    monkeypatch.setattr("pipelines.execution.cluster.open_runner", serial)


def test_a_hospital_gets_the_study_s_numbers_on_the_base_install(
    tmp_path: Path, cohort: Any, hospital: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, in a process that can import nothing outside the base requirements."""
    expected = study_scores(cohort, hospital, package, monkeypatch)
    digest = export_package(package, tmp_path / "model.radmill")
    keys = tmp_path / "scores.csv.work" / "private" / "keys"
    keys.mkdir(parents=True)
    shutil.copy(cohort.workspace.keys / "harbor.key", keys / "this-hospital.key")
    run_without(beyond_base(), tmp_path, "score", "--package", "model.radmill", "--images", str(hospital),
                "--out", "scores.csv", "--digest", digest)  # fmt: skip
    found = pd.read_csv(tmp_path / "scores.csv", float_precision="round_trip")
    told = ["doubt", "prediction_set"]
    assert list(found) == ["case_id", "probability", "threshold", "positive", "package", *told, "trust"]
    assert len(found) == 4
    pd.testing.assert_frame_equal(found[list(expected)], expected, check_exact=True)
    assert set(found["trust"]) == {"digest"}
    assert "H-00" not in (tmp_path / "scores.csv").read_text()


def study_scores(cohort: Any, hospital: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    shutil.copytree(hospital, cohort.workspace.incoming / "harbor")
    loaded = load_package(package)
    version = ModelVersion(
        number=1, digest=loaded.digest, model="lr", training_set="0" * 64, state="champion", evidence=""
    )
    monkeypatch.setattr(Registry, "champion", lambda _: version)
    monkeypatch.setattr(Registry, "challenger", lambda _: None)
    monkeypatch.setattr(Registry, "previous", lambda _: None)
    monkeypatch.setattr(Registry, "package", lambda *_: loaded)
    assert score(cohort.workspace, ScoringSection(), SerialRunner()).is_clean
    table = pd.read_csv(cohort.workspace.deployment / "centers" / "harbor" / "scores.csv", float_precision="round_trip")
    return table[["case_id", "probability", "threshold", "positive", "package"]]


def beyond_base() -> tuple[str, ...]:
    """Everything importable here that `pip install radmill` without extras does not bring."""
    base, waiting = set(), ["radmill"]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in base:
            base.add(name)
            asked = [Requirement(text) for text in metadata.requires(name) or ()]
            waiting += [one.name for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    owners = metadata.packages_distributions()
    return tuple(name for name, own in owners.items() if name[0] != "_" and not {*map(canonicalize_name, own)} & base)


ABSENT = """
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in ABSENT else self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from pipelines.cli import main
main()
"""


def run_without(absent: tuple[str, ...], folder: Path, *arguments: str) -> None:
    program = ABSENT.replace("in ABSENT", f"in {set(absent)!r}")
    done = subprocess.run([sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_second_run_writes_nothing_and_a_new_patient_one_row(tmp_path: Path, carry: Carry, cohort: Any) -> None:
    assert carry("--unverified")[0] == 0
    before = stamps(tmp_path)
    assert carry("--unverified")[0] == 0
    assert stamps(tmp_path) == before
    cohort.nifti("harbor", "H-005", phases=("ct",))
    code, told = carry("--unverified", "--json")
    assert code == 0
    assert json.loads(told[told.index("{") :])["result"]["n_scored"] == 1


def stamps(folder: Path) -> dict[str, object]:
    own = [path for path in (folder / "scores.csv.work").rglob("*") if path.is_file() and path.suffix != ".lock"]
    table = {"scores.csv": (folder / "scores.csv").stat().st_mtime_ns}
    return {**table, **{str(path): path.read_bytes() for path in own}}


def test_what_nobody_vouches_for_must_be_called_so(tmp_path: Path, carry: Carry) -> None:
    code, told = carry()
    assert code == 2
    assert "--unverified" in told
    assert not (tmp_path / "scores.csv").exists()
    assert carry("--digest", "0" * 64)[0] == 2
    assert carry("--unverified")[0] == 0
    assert set(pd.read_csv(tmp_path / "scores.csv")["trust"]) == {"unverified"}


def test_own_ids_stand_in_the_table_only_when_asked_for(tmp_path: Path, carry: Carry) -> None:
    assert carry("--unverified", "--with-ids")[0] == 0
    table = pd.read_csv(tmp_path / "scores.csv")
    assert sorted(table["patient_id"]) == ["H-001", "H-002", "H-003", "H-004"]
    assert (tmp_path / "scores.csv").stat().st_mode & 0o077 == 0


def test_a_house_s_own_names_lead_to_the_same_scores(tmp_path: Path, carry: Carry, hospital: Path) -> None:
    """Another phase name on the scanner, another mask value, other columns: the same probabilities."""
    assert carry("--unverified", "--with-ids")[0] == 0
    expected = pd.read_csv(tmp_path / "scores.csv").set_index("patient_id")["probability"].sort_index()
    clinical = pd.read_csv(hospital / "clinical.csv").rename(columns={"patient_id": "Fallnummer", "age": "Alter"})
    clinical.to_csv(hospital / "clinical.csv", index=False)
    house = {"phases": {"ct": "(?i)venous"}, "clinical": {"patient_id": "Fallnummer", "age": "Alter"}}
    (tmp_path / "house.yaml").write_text(yaml.safe_dump(house))
    for path in hospital.glob("*/ct*.nii.gz"):
        path.rename(path.with_name(path.name.replace("ct", "venous")))
    assert carry("--unverified", "--with-ids", "--rules", str(tmp_path / "house.yaml"), out="house.csv")[0] == 0
    found = pd.read_csv(tmp_path / "house.csv").set_index("patient_id")["probability"].sort_index()
    pd.testing.assert_series_equal(found, expected, check_exact=True)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("phase: {}", "phase: unknown key"),
        ("phases: {mr: x}", "the package has no mr"),
        ("clinical: {surname: Name}", "the package has no surname"),
        ("roi: {name: tumor}", "the region's name"),
        ("roi: {label: liver}", "roi.label"),
        ("]", "not valid YAML"),
    ],
)
def test_rules_about_what_the_package_has_not_are_refused(tmp_path: Path, carry: Carry, rules: str, told: str) -> None:
    (tmp_path / "house.yaml").write_text(rules)
    code, said = carry("--unverified", "--rules", str(tmp_path / "house.yaml"))
    assert code == 2
    assert told in said
    assert not (tmp_path / "scores.csv").exists()
