"""The promises that a model of every kind keeps, asked through the one door that evaluation and scoring use.

What a tabular model keeps besides is in `test_models_contract`, a network in `test_networks_contract`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

pytest.importorskip("torch")
pytest.importorskip("monai")

from pipelines.models.predicting import NO_FEATURES, NO_IMAGES, NO_MEMBER, Prediction, predict_cases
from registry.errors import WrongFeaturesError
from registry.predict import predict
from registry.reference import reference_of
from tests.model_kinds import DEEP, KINDS, Cohort, Made, N, cohort, make_all

TOLERANCE = 1e-12
EVERYBODY, SOME = range(N), range(4)
MEDIAN = "impute.median"


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """Patients, and a model of every kind, made twice."""

    patients: Cohort
    made: dict[str, Made]
    again: dict[str, Made]

    def said(self, kind: str, rows: Sequence[int] = SOME) -> Prediction:
        return predict_cases(self.made[kind].package, self.patients.inputs(rows))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("kinds")
    patients = cohort(root / "cases")
    return World(patients=patients, made=make_all(patients, root / "a"), again=make_all(patients, root / "b"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_says_what_the_fitted_model_says(world: World, kind: str) -> None:
    found = world.said(kind, EVERYBODY)
    np.testing.assert_allclose(found.p, world.made[kind].said, atol=TOLERANCE, rtol=0)
    assert np.isfinite(found.p).all()
    assert ((found.p >= 0) & (found.p <= 1)).all()
    assert not any(mask.any() for mask in found.reasons.values())
    assert len(set(found.p.tolist())) > 4, "a model that says the same of everybody would keep every promise"


@pytest.mark.parametrize("kind", KINDS)
def test_a_case_alone_has_the_bits_it_has_among_others(world: World, kind: str) -> None:
    together = world.said(kind).p
    alone = np.concatenate([world.said(kind, [row]).p for row in (0, 3)])
    assert alone.tobytes() == together[[0, 3]].tobytes()
    assert world.said(kind, SOME[::-1]).p[::-1].tobytes() == together.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_leaves_the_same_bytes(world: World, kind: str) -> None:
    first, second = files(world.made[kind].folder), files(world.again[kind].folder)
    assert {"package/manifest.json", "package/arrays.safetensors", "oof.parquet"} <= set(first)
    assert first == second


@pytest.mark.parametrize("kind", KINDS)
def test_labels_never_enter_prediction(world: World, kind: str) -> None:
    """They may lie beside the features: nobody looks."""
    package, y = world.made[kind].package, world.patients.sets["images"].y
    assert not {"her2", "y", "label"} & {name.rpartition(".")[2] for name in package.features}
    cases = world.patients.cases.rows
    table = world.patients.table.assign(her2=y, y=y, label=1 - y)
    rows = cases.assign(her2=np.repeat(y, 2), label=np.repeat(1 - y, 2))
    p = predict_cases(package, world.patients.inputs(SOME, table, rows)).p
    assert p.tobytes() == world.said(kind).p.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_not_known_is_told_nothing_and_why(world: World, kind: str) -> None:
    """One patient without features and images; what is said of the others keeps its bits."""
    table = world.patients.table
    table.loc[3, "case_id"] = "nobody"
    table.loc[3, [name for name in table if "." in name]] = np.nan
    package = world.made[kind].package
    found = predict_cases(package, world.patients.inputs(SOME, table))
    reason = NO_MEMBER if package.is_fusion else NO_IMAGES if package.is_deep else NO_FEATURES
    assert np.flatnonzero(found.reasons[reason]).tolist() == [3]
    assert np.flatnonzero(np.isnan(found.p)).tolist() == [3]
    assert np.delete(found.p, 3).tobytes() == np.delete(world.said(kind).p, 3).tobytes()


@pytest.mark.parametrize("kind", DEEP)
def test_a_network_says_nothing_without_one_of_its_phases(world: World, kind: str) -> None:
    rows = world.patients.cases.rows.drop(index=[1])  # the second phase of the first patient
    found = predict_cases(world.made[kind].package, world.patients.inputs(SOME, cases=rows))
    assert np.flatnonzero(found.reasons[NO_IMAGES]).tolist() == [0]
    assert np.flatnonzero(np.isnan(found.p)).tolist() == [0]


@pytest.mark.parametrize("kind", ["lr", "rf", "mlp", "clinical", "probability", "early"])
def test_a_missing_value_is_the_training_patients_median(world: World, kind: str) -> None:
    package = world.made[kind].package
    X = world.patients.table[list(package.features)].to_numpy(np.float64, copy=True)
    X[:, 0] = np.nan
    filled = np.where(np.isnan(X), package.arrays[MEDIAN], X)
    assert predict(package, X).tobytes() == predict(package, filled).tobytes()
    training = world.made[kind].whole.part("training")
    np.testing.assert_array_equal(package.arrays[MEDIAN], np.nanmedian(training.X, axis=0))


def test_a_member_without_its_phase_is_weighed_by_the_declared_policy(world: World) -> None:
    table = world.patients.table
    table.loc[0, [name for name in table if name.startswith(("clinical.", "net."))]] = np.nan
    dropped, spared = (
        predict_cases(world.made[kind].package, world.patients.inputs([0], table)) for kind in ("late", "spared")
    )
    assert np.isnan(dropped.p[0])
    assert dropped.reasons[NO_MEMBER].all()
    arrays = world.made["spared"].package.arrays
    score = logit(world.said("lr", [0]).p[0]) * arrays["stack.coef"].sum() + arrays["stack.intercept"][0]
    intercept, slope = arrays["calibration.coefficients"]
    assert spared.p[0] == pytest.approx(expit(intercept + slope * score), abs=TOLERANCE)
    assert not spared.reasons[NO_MEMBER].any()


@pytest.mark.parametrize("kind", KINDS)
def test_other_features_than_its_own_are_refused_by_name(world: World, kind: str) -> None:
    package = world.made[kind].package
    if package.is_deep:
        with pytest.raises(WrongFeaturesError, match="sees images, not features"):
            predict(package, np.zeros((2, 3)))
        return
    X, given = package.golden[:2, : len(package.features)].copy(), {"deep_25d": np.full(2, 0.5)}
    with pytest.raises(WrongFeaturesError, match=rf"needs \(n, {len(package.features)}\)"):
        predict(package, X[:, 1:], given)
    X[1, 0] = np.inf
    with pytest.raises(WrongFeaturesError, match=f"infinite values in {package.features[0]}"):
        predict(package, X, given)


def test_what_a_network_says_is_asked_for_by_name(world: World) -> None:
    package = world.made["late"].package
    with pytest.raises(WrongFeaturesError, match="deep_25d says is not given"):
        predict(package, package.golden[:, : len(package.features)])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_remembered_of_development_is_that_of_the_kind(world: World, kind: str) -> None:
    """Scores of every kind; features and distances where there are features of its own, else the members'."""
    package = world.made[kind].package
    found = reference_of(package)
    assert found is not None
    assert len(found.scores) == len(found.conformal[0]) + len(found.conformal[1])
    assert len(found.scores) >= 16
    is_tabular = not (package.is_deep or package.is_fusion)
    assert found.has_space == is_tabular
    assert tuple(found.features) == (package.features if is_tabular else ())
    for member in package.members:
        own = reference_of(member)
        assert own is not None
        assert own.has_space == (not member.is_deep)
        assert tuple(own.features) == member.features
