"""With shuffled labels there is nothing to find: neither the clinical model nor a fusion may find anything."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from featurestore.schemas import Column
from featurestore.training_sets import TrainingSet
from pipelines.evaluation.discrimination import fold_auc_estimate
from pipelines.models.clinical import ClinicalModel
from pipelines.params.fusion import Fusion
from pipelines.params.modelling import Model, TuningSection
from pipelines.training.crossval import OutOfFold
from pipelines.training.dealing import folds_of
from pipelines.training.direct import fit_direct
from pipelines.training.fuse import fused
from pipelines.training.members import Member
from pipelines.training.tune import fit_best

SHUFFLES = 20
N, FEATURES, PREDICTORS = 90, 30, 6
TUNING = TuningSection(trials=3, folds=5, repeats=1, batch=3, seed=5)


def patients(seed: int) -> TrainingSet:
    rng = np.random.default_rng(seed)
    X = np.hstack([rng.normal(size=(N, FEATURES)), rng.integers(0, 2, (N, PREDICTORS))])
    names = [*(f"early.f{i}" for i in range(FEATURES)), *(f"clinical.c{i}" for i in range(PREDICTORS))]
    return TrainingSet(
        X=X,
        y=rng.permutation(np.arange(N) % 2).astype(np.int8),
        center=np.array(["north"] * N),
        case_id=np.array([f"{i:04d}" for i in range(N)]),
        split=np.array(["training"] * N),
        columns=tuple(Column(name=name) for name in names),
        record={},
    )


def only(whole: TrainingSet, phase: str) -> TrainingSet:
    at = [i for i, name in enumerate(whole.names) if name.startswith(phase)]
    rows = {name: getattr(whole, name) for name in ("y", "center", "case_id", "split")}
    view = {"early": "radiomics"}.get(phase, phase)
    service = {"name": phase, "view": view, "phases": [phase], "columns": ".*"}
    extraction: dict[str, Any] = {"engine": "fast", "by_phase": {}, "fingerprints": {}, "fingerprint": phase}
    record = {"service": service, "extraction": extraction, "centers": ["north"], "label": "outcome"}
    return TrainingSet(X=whole.X[:, at], columns=tuple(whole.columns[i] for i in at), record=record, **rows)


def member(name: str, part: TrainingSet, found: OutOfFold) -> Member:
    frame = pd.DataFrame({"center": part.center, "case_id": part.case_id, "y": part.y})
    frame["p_0"], frame["fold_0"] = found.p[:, 0], found.fold[:, 0]
    package: Any = SimpleNamespace(is_deep=False, digest="")
    return Member(
        name=name, package=package, training=part, out_of_fold=frame.set_index(["center", "case_id"]), repeats=1
    )


@pytest.fixture(scope="module")
def areas() -> dict[str, list[tuple[float, float, float]]]:
    """The area with its interval, of each kind and shuffle."""
    told: dict[str, list[tuple[float, float, float]]] = {"clinical": [], "late": [], "early": [], "tuned": []}
    for seed in range(SHUFFLES):
        whole = patients(seed)
        images, clinical = only(whole, "early"), only(whole, "clinical")
        folds = folds_of(whole, TUNING)
        by_table = fit_direct(clinical.X, clinical.y, lambda: ClinicalModel(names=clinical.names), folds, 1)  # noqa: B023
        by_images = fit_best(images, Model(service="s", estimator="lr"), TUNING)
        members = [member("images", images, by_images.nested), member("clinical", clinical, by_table.nested)]
        tuned = fused("tuned", members, Fusion(members=["images", "clinical"], kind="tuned"), TUNING)
        assert tuned.early is not None
        of_fusion = {"late": tuned.late.nested, "early": tuned.early[0].nested, "tuned": tuned.nested}
        for kind, found in {"clinical": by_table.nested, **of_fusion}.items():
            area = fold_auc_estimate(found.y, found.p, found.fold, 0.95)
            told[kind].append(cast("tuple[float, float, float]", (area.value, area.low, area.high)))
    return told


@pytest.mark.parametrize("kind", ["clinical", "late", "early", "tuned"])
def test_over_shuffles_the_honest_area_is_one_half(
    kind: str, areas: dict[str, list[tuple[float, float, float]]]
) -> None:
    values = np.array([value for value, _, _ in areas[kind]])
    assert 0.45 <= values.mean() <= 0.55
    assert sum(low <= 0.5 <= high for _, low, high in areas[kind]) >= 17
