"""What all tests share: where the test data are, small models, and an empty study."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real images and reference values; its absence is one reason to skip, the same everywhere."""
    folder = Path(os.environ.get("RADMILL_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("test data absent: set RADMILL_TEST_DATA to their folder")
    return folder


class Candidates:
    """Writes small logistic models with their training sets, as `tune` leaves them, in a study's folder."""

    FEATURES = ("early.texture", "late.texture", "early.volume")

    def training_set(self, folder: Path, seed: int = 0, n: int = 12) -> str:
        """Writes a training set and returns its digest."""
        from featurestore.schemas import Column
        from featurestore.training_sets import TrainingSet

        rng = np.random.default_rng(seed)
        return TrainingSet(
            X=rng.normal(size=(n, len(self.FEATURES))),
            y=(np.arange(n) % 2).astype(np.int8),
            center=np.array(["east"] * (n // 2) + ["north"] * (n - n // 2)),
            case_id=np.array([f"{number:016x}" for number in range(n)]),
            split=np.array(["training", "internal", "training"] * n)[:n],
            columns=tuple(Column(name=name) for name in self.FEATURES),
            record={"service": {"name": "biphasic", "view": "radiomics", "phases": ["early", "late"], "columns": ".*"}},
        ).save(folder)

    def manifest(self, name: str, training_set: str, estimator: str = "lr") -> dict[str, Any]:
        """Returns a manifest of a model on `FEATURES`."""
        return {
            "kind": "tabular",
            "model": {"name": name, "estimator": estimator, "activation": "relu", "hyperparameters": {"C": 0.5}},
            "features": [{"name": feature, "unit": ""} for feature in self.FEATURES],
            "service": {"name": "biphasic", "view": "radiomics", "phases": ["early", "late"], "columns": ".*"},
            "rules": {},
            "extraction": {"engine": "pyradiomics", "by_phase": {}, "fingerprint": "0" * 64},
            "feature_set": "1",
            "training_set": training_set,
            "label": "her2",
            "thresholds": {"youden": 0.5, "sensitivity_90": 0.25},
            "metrics_oof": {"auc": 0.75},
            "release": "0.1.0",
        }

    def arrays(self, seed: int = 0) -> dict[str, NDArray[Any]]:
        """Returns the arrays of a logistic regression on two components of `FEATURES`."""
        rng, p = np.random.default_rng(seed), len(self.FEATURES)
        return {
            "impute.median": rng.normal(size=p),
            "scale.mean": rng.normal(size=p),
            "scale.sd": rng.uniform(0.5, 2, size=p),
            "pca.mean": np.zeros(p),
            "pca.components": np.eye(2, p),
            "lr.coef": rng.normal(size=2),
            "lr.intercept": rng.normal(size=1),
        }

    def write(self, study: Path, name: str, seed: int = 0) -> tuple[Path, Path]:
        """Writes candidate and training set, and returns both folders."""
        from registry.package import save_package

        package, training = study / "data" / "models" / name / "package", study / "data" / "training" / "biphasic"
        manifest = self.manifest(name, self.training_set(training))
        golden = np.random.default_rng(1).normal(size=(3, len(self.FEATURES)))
        save_package(package, manifest, self.arrays(seed), golden, f"# {name}\n")
        return package, training

    def metrics(self, auc: float = 0.8, n: int = 40) -> dict[str, dict[str, float | int]]:
        """Returns a model's block of `metrics.json`."""
        block = {"n": n, "events": n // 2, "auc": auc, "auc_low": auc - 0.1, "auc_high": auc + 0.1, "brier": 0.2}
        return {name: {**block, "calibration_slope": 0.9} for name in ("training", "internal", "external")}


@pytest.fixture(scope="session")
def candidates() -> Candidates:
    """Makes model packages and training sets by the handful."""
    return Candidates()


@pytest.fixture(scope="session")
def empty_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's git repository with DVC; copy it, do not change it."""
    study = tmp_path_factory.mktemp("study")
    git = ["git", "-c", "init.defaultBranch=main"]
    env = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(study / ".radmill" / "dvc")}
    (study / ".gitignore").write_bytes((ROOT / "pipelines" / "template" / "gitignore").read_bytes())
    for command in (
        [*git, "init", "--quiet"],
        ["git", "config", "user.name", "Ada Tester"],
        ["git", "config", "user.email", "ada@example.org"],
        [sys.executable, "-m", "dvc", "init", "--quiet"],
        ["git", "add", "."],
        ["git", "commit", "--quiet", "--message", "Begin"],
    ):
        subprocess.run(command, cwd=study, env=env, check=True, capture_output=True)
    return study


@pytest.fixture
def study(empty_study: Path, tmp_path: Path) -> Path:
    """A fresh study of one's own."""
    return Path(shutil.copytree(empty_study, tmp_path / "study"))
