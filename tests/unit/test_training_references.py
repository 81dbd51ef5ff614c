"""What a package remembers of development: held-out patients, never those who trained, and no patient's row."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import mahalanobis

from featurestore.schemas import Column
from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.training.acquisitions import told_acquisition
from pipelines.training.crossval import OutOfFold
from pipelines.training.references import OUT_OF_FOLD, tabular_reference
from registry.acquisition import is_acquisition
from registry.harmonizing import components_at_centers
from registry.parts import Part
from registry.predict import predict
from registry.reference import Reference, check_reference, reference_of


@dataclass(frozen=True)
class Judgement:
    """What cross-validation said."""

    nested: OutOfFold

    @property
    def flattering(self) -> OutOfFold:
        return self.nested


def trained(candidates: Any, n: int, n_internal: int) -> tuple[Part, TrainingSet, Judgement]:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.2, 0.0, 2.0]])
    X[rng.random(X.shape) < 0.05] = np.nan
    whole = TrainingSet(
        X=X,
        y=(np.arange(n) % 2).astype(np.int8),
        center=np.array(["east"] * n),
        case_id=np.array([f"{number:04d}" for number in range(n)]),
        split=np.array([INTERNAL] * n_internal + [TRAINING] * (n - n_internal)),
        columns=tuple(Column(name=name) for name in candidates.FEATURES),
        record={"acquisition": {}},
    )
    y = whole.part(TRAINING).y
    fold = np.tile(np.arange(5), len(y))[: len(y), None].astype(np.int64)
    oof = OutOfFold(y=y, p=rng.uniform(size=(len(y), 1)), fold=fold)
    return Part(manifest=candidates.manifest("lr", "0" * 64), arrays=candidates.arrays()), whole, Judgement(oof)


def referred(candidates: Any, n: int, n_internal: int) -> tuple[Part, TrainingSet, Reference, Judgement]:
    part, whole, judged = trained(candidates, n, n_internal)
    told = tabular_reference(part, whole, judged)
    check_reference(told.arrays, 3, 2)
    full = Part(manifest={**part.manifest, **told.manifest}, arrays={**part.arrays, **told.arrays})
    found = reference_of(full)
    assert found is not None
    return part, whole, found, judged


def test_scores_and_distances_are_of_internal_patients(candidates: Any) -> None:
    """The distance is scipy's, from the training patients alone."""
    part, whole, found, _ = referred(candidates, 120, 40)
    internal, training = whole.part(INTERNAL), whole.part(TRAINING)
    p = predict(part, internal.X)
    assert found.scores == pytest.approx(np.sort(p), abs=1e-15)
    assert found.conformal[0] == pytest.approx(np.sort(p[internal.y == 0]), abs=1e-15)
    assert found.conformal[1] == pytest.approx(np.sort(1 - p[internal.y == 1]), abs=1e-15)
    own, others = (components_at_centers(part, rows.X, rows.center) for rows in (internal, training))
    precision = np.linalg.inv(np.cov(others, rowvar=False))
    wanted = sorted(mahalanobis(row, others.mean(axis=0), precision) for row in own)
    assert found.distances == pytest.approx(wanted, rel=1e-9)
    assert found.distance(own) == pytest.approx([mahalanobis(r, others.mean(axis=0), precision) for r in own], rel=1e-9)
    assert found.components == pytest.approx(np.sort(own, axis=0).T)
    assert found.held_out == {
        "rows": INTERNAL,
        "negative": 20,
        "positive": 20,
        "components": 40,
        "distance_rows": INTERNAL,
        "distances": 40,
        "patients": 120,
    }


def test_too_few_internal_patients_are_helped_by_cross_validation(candidates: Any) -> None:
    _, _whole, found, judged = referred(candidates, 100, 10)
    assert (found.held_out["rows"], found.held_out["distance_rows"]) == (OUT_OF_FOLD, OUT_OF_FOLD)
    assert found.scores == pytest.approx(np.sort(judged.nested.mean))
    assert len(found.distances) == 90
    assert found.components.shape == (2, 10)
    # two normal components: the median distance of held-out rows is that of a Rayleigh variable
    assert np.median(found.distances) == pytest.approx(np.sqrt(2 * np.log(2)), rel=0.25)


def test_features_keep_every_value_and_no_row(candidates: Any) -> None:
    _, whole, found, _ = referred(candidates, 120, 40)
    for name, column in zip(whole.names, whole.X.T, strict=True):
        assert found.features[name].tolist() == np.sort(column[np.isfinite(column)]).tolist()
        assert found.counts[name] == np.isfinite(column).sum()
    _, whole, found, _ = referred(candidates, 1000, 40)
    for name, column in zip(whole.names, whole.X.T, strict=True):
        assert len(found.features[name]) == 201
        assert (found.features[name][0], found.features[name][-1]) == (np.nanmin(column), np.nanmax(column))
        assert found.counts[name] == np.isfinite(column).sum()


def test_acquisition_is_told_by_phase_of_the_patients_in_the_set() -> None:
    facts = pd.DataFrame(
        {
            "center": "east",
            "case_id": ["a", "a", "b", "c"],
            "phase": ["early", "late", "early", "early"],
            **{name: [1.0, 2.0, 3.0, 9.0] for name in ("spacing_x_mm", "spacing_y_mm", "spacing_z_mm", "volume_ml")},
            **dict.fromkeys(("slice_thickness_mm", "image_mean", "image_sd", "image_min", "image_max"), 1.0),
            "kvp": [120.0, np.nan, np.nan, 80.0],
            **{name: ["B30f", "", "B30f", "C"] for name in ("kernel", "manufacturer", "model")},
        }
    )
    patients = pd.DataFrame({"center": ["east", "east"], "case_id": ["a", "b"]})
    told = told_acquisition(facts, patients, ["early"])
    assert is_acquisition(told)
    assert set(told) == {"early"}
    assert told["early"]["n"] == 2
    assert told["early"]["numbers"]["spacing_x_mm"] == [1.0, 3.0]
    assert told["early"]["numbers"]["kvp"] == [120.0]
    assert told["early"]["categories"]["kernel"] == {"B30f": 2}
