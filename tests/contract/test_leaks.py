"""Leaks are planted, and the detector that guards every step must ring; without them it must not.

The detector: a held-out patient's probability may not move when the other held-out patients' features or any held-out
label change. Whatever was fitted on them would move.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from featurestore.harmonization import CombatRules
from pipelines.models.components import ComponentRule
from pipelines.models.preparation import Preparation
from pipelines.models.steps import RowFacts, Steps
from pipelines.training import crossval
from pipelines.training.crossval import CrossValidation, Fold
from pipelines.training.splits import repeated_folds

N, P = 60, 30


@dataclass(frozen=True)
class Way:
    """A way through preparation."""

    rule: ComponentRule
    steps: Steps
    values: dict[str, float | int | str]


WAYS = {
    "scaler and components": Way(ComponentRule(), Steps(), {"components": 5, "C": 1.0, "scores": "scaled"}),
    "feature selection": Way(ComponentRule(rule="features"), Steps(), {"features": 4, "C": 1.0}),
    "redundancy filter": Way(ComponentRule(), Steps(redundancy=0.5), {"components": 5, "C": 1.0, "scores": "scaled"}),
    "harmonization": Way(
        ComponentRule(), Steps(harmonization=CombatRules()), {"components": 5, "C": 1.0, "scores": "scaled"}
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_fitted_on_held_out_patients(way: str) -> None:
    assert not rings(WAYS[way])


@pytest.mark.parametrize("way", WAYS)
def test_a_step_fitted_on_all_patients_is_caught(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What people do by mistake: scale, select, filter or harmonize once, on everybody, before the folds are drawn."""

    def leaky(self: CrossValidation, fold: Fold) -> crossval.PreparedFold:
        fitted = Preparation.fit(self.X, self.rule.n_fitted, self.steps, self.facts, self.rule.ranked_by(self.y))
        Z = fitted.transform(self.X, fitted.n_components, facts=self.facts) * np.sqrt(fitted.variance[0])
        return crossval.PreparedFold(fold=fold, preparation=fitted, Z_fit=Z[fold.fit], Z_held_out=Z[fold.held_out])

    monkeypatch.setattr(CrossValidation, "_prepare", leaky)
    assert rings(WAYS[way])


def test_labels_of_external_patients_are_an_input_of_judging_and_showing_alone() -> None:
    """Nothing that is learned, negative controls among it, may run again because an external label changed."""
    found = yaml.safe_load((Path(__file__).resolve().parents[2] / "dvc.yaml").read_text())["stages"]
    stages = {name: stage.get("do", stage) for name, stage in found.items()}
    reads = {name: [dep for dep in stage.get("deps", ()) if holds_external(dep)] for name, stage in stages.items()}
    labelled = {name for name, own in reads.items() if any("outcomes" in dep for dep in own)}
    assert labelled == {"evaluate", "report"}
    learns = ("validate", "assemble", "tune", "train_deep", "fuse", "controls")
    assert {name: reads[name] for name in learns} == {name: [] for name in learns}


def holds_external(dep: str) -> bool:
    """Whether a folder is of external patients, or holds such a folder."""
    parted = {f"data/{name}" for name in ("intake", "cases", "views", "outcomes", "features", "shuffled")}
    return dep in parted or dep.endswith("/external")


def rings(way: Way) -> bool:
    """Returns whether a held-out patient's probability depends on the other held-out patients."""
    X, y, center = cohort()
    fold, *_ = folds = repeated_folds(y, center, 3, 1, 1)
    changed, labels = X.copy(), y.copy()
    others = fold.held_out[1:]
    changed[others] = changed[others] * 5 + np.arange(P)
    labels[fold.held_out] = 1 - labels[fold.held_out]
    first, second = (
        CrossValidation("lr", way.rule, features, outcome, folds, 0, way.steps, RowFacts(center=center)).held_out(
            0, way.values
        )[0]
        for features, outcome in ((X, y), (changed, labels))
    )
    return bool(first != second)


def cohort() -> tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.str_]]:
    rng = np.random.default_rng(4)
    y = rng.permutation(np.arange(N) % 2).astype(np.int8)
    center = np.array(["east", "north", "south"] * (N // 3))
    X = rng.normal(size=(N, P)) + (center == "north")[:, None] * 0.5
    X[:, :4] += y[:, None]
    X[:, 5] = X[:, 0] + 0.2 * rng.normal(size=N)
    return X, y, center
