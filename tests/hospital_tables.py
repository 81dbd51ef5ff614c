"""A study whose champion looks at a table made elsewhere, and a hospital of any size: what pages are looked at with.

As a script it makes such studies with 0, 1, 30 and 1,000 cases: `python -m tests.hospital_tables FOLDER`.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from click.testing import CliRunner, Result

from featurestore.fingerprints import digest
from featurestore.schemas import Column
from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.cli import radmill
from pipelines.record import FEATURE_SET
from pipelines.training.crossval import OutOfFold
from pipelines.training.references import tabular_reference
from registry.package import save_package
from registry.parts import Part
from registry.states import ModelVersion
from tests.conftest import Candidates
from tests.hospital_study import SmallStudy, small_study

NAMES = ("GLCM_contrast", "GLCM_energy", "volume")
N_DEVELOPMENT = 240
SIZES = (0, 1, 30, 1000)


class Judgement:
    """What cross-validation said of nobody: half of the patients here are held out."""

    nested = flattering = OutOfFold(y=np.zeros(0, np.int8), p=np.zeros((0, 1)), fold=np.zeros((0, 1), np.int64))


def tables_study(root: Path) -> SmallStudy:
    """Makes a study with a champion and a challenger that remember their development patients."""
    study = small_study(root)
    champion = _registered(study, "table", 0.4)
    study.registry.promote(champion.digest, {}, "a test")
    study.registry.challenge(_registered(study, "other", 0.1).digest, "a test")
    return study


def deliver(
    study: SmallStudy, center: str, n: int, *, labelled: bool = False, shift: float = 0.0, seed: int = 5
) -> None:
    """Lets a hospital send a table of so many patients, and their outcomes where they are known."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(NAMES))) + shift
    folder = study.workspace.incoming / center
    folder.mkdir(parents=True, exist_ok=True)
    patients = [f"Secret-{number}" for number in range(n)]
    pd.DataFrame({"patient_id": patients, **dict(zip(NAMES, X.T, strict=True))}).to_csv(
        folder / "captk.csv", index=False
    )
    if labelled:
        y = _outcome(X, rng)
        told = pd.DataFrame({"patient_id": patients, "ihc": np.where(y == 1, "3+", "0")})
        told.to_csv(folder / "clinical.csv", index=False)


def run(study: SmallStudy, *options: str) -> Result:
    """Runs `radmill score` in the study."""
    before = Path.cwd()
    os.chdir(study.root)
    try:
        found = CliRunner().invoke(radmill, ["score", *options])
    finally:
        os.chdir(before)
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def _registered(study: SmallStudy, name: str, slant: float) -> ModelVersion:
    candidates, folder = Candidates(), study.root / "data" / "models" / name / "package"
    training = study.root / "data" / "training" / "biphasic"
    content = candidates.manifest(name, candidates.training_set(training)) | _manifest()
    p = len(NAMES)
    arrays = {
        "impute.median": np.zeros(p),
        "scale.mean": np.zeros(p),
        "scale.sd": np.ones(p),
        "pca.mean": np.zeros(p),
        "pca.components": np.eye(2, p),
        "lr.coef": np.array([1.1, slant]),
        "lr.intercept": np.array([-0.3]),
    }
    told = tabular_reference(Part(manifest=content, arrays=arrays), _development(), Judgement())  # type: ignore[arg-type]
    save_package(folder, {**content, **told.manifest}, {**arrays, **told.arrays}, np.zeros((1, p)), f"# {name}\n")
    return study.registry.register(name, folder, training, candidates.metrics(), "a test")


def _development() -> TrainingSet:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N_DEVELOPMENT, len(NAMES)))
    return TrainingSet(
        X=X,
        y=_outcome(X, rng),
        center=np.full(N_DEVELOPMENT, "alpha"),
        case_id=np.array([f"{number:016x}" for number in range(N_DEVELOPMENT)]),
        split=np.where(np.arange(N_DEVELOPMENT) % 2, INTERNAL, TRAINING),
        columns=tuple(Column(name=f"ct.{name}") for name in NAMES),
        record={"acquisition": {}},
    )


def _outcome(
    X: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", rng: np.random.Generator
) -> "np.ndarray[tuple[int], np.dtype[np.int8]]":
    logits = 1.1 * X[:, 0] + 0.4 * X[:, 1] - 0.3
    return np.asarray(rng.random(len(X)) < 1 / (1 + np.exp(-logits)), dtype=np.int8)


def _manifest() -> dict[str, object]:
    rules = {"label": {"name": "her2", "column": "ihc", "positive": ["3+"], "negative": ["0"]}}
    notes = {"captk": {"version": "3.0.1", "settings": "{}"}}
    return {
        "features": [{"name": f"ct.{name}", "unit": ""} for name in NAMES],
        "service": {"name": "captk", "view": "captk", "phases": ["ct"], "columns": ".*"},
        "rules": {"phases": {}, "margin": {"mm": 0, "voxels": 0}, **rules},
        "extraction": {"engine": "imported", "by_phase": {}, "fingerprint": digest("x"), "notes": notes},
        "feature_set": FEATURE_SET,
    }


def main(folder: Path) -> None:
    """Makes a study a size, each with two runs: without labels, and with."""
    for n in SIZES:
        study = tables_study(folder / str(n))
        if n:
            deliver(study, "harbor", n, shift=0.6 if n == 1000 else 0.0)
            run(study)
            deliver(study, "harbor", n, labelled=n == 1000, shift=0.6 if n == 1000 else 0.0)
        print(run(study, *([] if n else ["--pages"])).output)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
