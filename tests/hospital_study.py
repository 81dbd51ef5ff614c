"""A study in small: registered models on three features, and hospitals that send tiny scans bit by bit."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
import yaml

from pipelines.params import CaseRules
from pipelines.params.operation import ScoringSection
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.record import FEATURE_SET
from pipelines.runner import SerialRunner
from pipelines.scoring.places import Deployment
from pipelines.scoring.results import ScoreSummary
from pipelines.scoring.score import score
from pipelines.scoring.scores import read_scores
from pipelines.workspace import Workspace
from registry.lifecycle import Registry
from registry.package import save_package
from registry.states import ModelVersion
from tests.conftest import ROOT, Candidates

FEATURES = ("ct.original_firstorder_Mean", "ct.original_firstorder_Entropy", "ct.original_shape_MeshVolume")
SHAPE = (12, 20, 24)  # z, y, x
SPACING = (1.0, 1.0, 2.0)  # x, y, z


@dataclass(frozen=True)
class SmallStudy:
    """A study in `root` and verbs to use it."""

    root: Path

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root)

    @property
    def registry(self) -> Registry:
        return Registry(self.root)

    @property
    def deployment(self) -> Deployment:
        return Deployment(self.workspace)

    def register(
        self, name: str, seed: int = 0, bin_width: float = 10.0, margin_mm: float = 2.0, **manifest: Any
    ) -> ModelVersion:
        """Registers a model with its own coefficients, extraction settings and case rules."""
        candidates, folder = Candidates(), self.root / "data" / "models" / name / "package"
        training = self.root / "data" / "training" / "biphasic"
        content = candidates.manifest(name, candidates.training_set(training)) | _manifest(bin_width, margin_mm)
        save_package(folder, content | manifest, candidates.arrays(seed), np.zeros((1, 3)), f"# {name}\n")
        return self.registry.register(name, folder, training, candidates.metrics(), "a test")

    def promoted(self, name: str, seed: int = 0, **changes: Any) -> ModelVersion:
        """Registers a model and puts it into force."""
        version = self.register(name, seed, **changes)
        self.registry.promote(version.digest, {}, "a test")
        return version

    def arrive(self, center: str, *patients: str, seed: str = "") -> None:
        """Lets patients' scans come in; a `seed` sends other voxels."""
        folder = self.workspace.incoming / center
        for patient in patients:
            send(folder / patient, f"{center} {patient}{seed}")
        write_clinical(folder)

    def score(self, **scoring: Any) -> ScoreSummary:
        return score(self.workspace, ScoringSection(**scoring), SerialRunner())

    def history(self, package: str = "") -> pd.DataFrame:
        """Returns all scores, or those under one package."""
        rows = read_scores(self.deployment.scores)
        return rows[rows["package"] == package].reset_index(drop=True) if package else rows

    def table(self, center: str) -> bytes:
        """Returns the hospital's table as its people see it."""
        return (self.deployment.center(center) / "scores.csv").read_bytes()

    def copy(self, root: Path) -> "SmallStudy":
        return SmallStudy(Path(shutil.copytree(self.root, root, symlinks=True)))


def small_study(root: Path) -> SmallStudy:
    """Makes a git repository with DVC and settings that scoring needs."""
    root.mkdir(parents=True)
    (root / ".gitignore").write_bytes((ROOT / "pipelines" / "template" / "gitignore").read_bytes())
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings |= {"centers": {"development": {"alpha": {}}, "external": {}}, "cohort": {}}
    (root / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    (root / "dvc.yaml").write_text("stages: {}\n")
    env = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root / ".radmill" / "dvc")}
    for command in (
        ["git", "-c", "init.defaultBranch=main", "init", "--quiet"],
        ["git", "config", "user.name", "Ada Tester"],
        ["git", "config", "user.email", "ada@example.org"],
        [sys.executable, "-m", "dvc", "init", "--quiet"],
        ["git", "add", "."],
        ["git", "commit", "--quiet", "--message", "Begin"],
    ):
        subprocess.run(command, cwd=root, env=env, check=True, capture_output=True)
    return SmallStudy(root)


def send(folder: Path, seed: str) -> None:
    """Writes a patient's scan and mask; the seed decides the voxels."""
    rng = np.random.default_rng(list(seed.encode()))
    mask = np.zeros(SHAPE, np.uint8)
    mask[4:8, 8:14, 9:15] = 1
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (("ct.nii.gz", rng.integers(-100, 200, SHAPE).astype(np.int16)), ("ct_mask.nii.gz", mask)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(SPACING)
        sitk.WriteImage(image, str(folder / name))


def write_clinical(folder: Path, patients: Sequence[str] | None = None) -> None:
    """Writes the hospital's clinical table, of all patients that sent scans."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if patients is None else patients
    with (folder / "clinical.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("patient_id", "age"), *((name, 61) for name in names)])


def _manifest(bin_width: float, margin_mm: float) -> dict[str, Any]:
    settings = ExtractionSettings.from_mapping(
        {
            "imageType": {"Original": {}},
            "featureClass": {"shape": ["MeshVolume"], "firstorder": ["Mean", "Entropy"]},
            "setting": {"binWidth": bin_width},
        }
    )
    rules = CaseRules.model_validate(
        {
            "phases": {"ct": {"series_description": "(?i)ct"}},
            "label": {"name": "her2", "column": "ihc", "positive": ["3+"], "negative": ["0"]},
            "ingest": {"roi": {"name": "tumor", "pattern": "(?i)gtv", "label": 1}},
            "margin": {"mm": margin_mm, "voxels": 2},
        }
    )
    return {
        "features": [{"name": name, "unit": ""} for name in FEATURES],
        "service": {"name": "ct", "view": "radiomics", "phases": ["ct"], "columns": ".*"},
        "rules": rules.model_dump(mode="json"),
        "extraction": {"engine": "fast", "by_phase": {"ct": settings.plain()}, "fingerprint": settings.fingerprint()},
        "feature_set": FEATURE_SET,
    }
