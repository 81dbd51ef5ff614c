"""Drift rings when a hospital differs, seldom when it does not; each look is made once, on cases as they first came."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp, kstest, norm

from featurestore.statistics import order_statistics
from pipelines.models.predicting import CaseInputs
from pipelines.scoring.drift import Seen, coded, record_looks
from pipelines.scoring.drift_explained import explained, put_back
from pipelines.scoring.drift_history import packed, read_cases, read_looks, read_moved, read_shifts, unpacked
from pipelines.scoring.drift_looks import directions, look, looks_due, next_look, share_of_error
from pipelines.scoring.drift_report import acquisition_shift, drift_report
from pipelines.scoring.drift_statistics import MISSING, Scale, codes, guarded_p_values, moves, p_values
from pipelines.scoring.drift_variables import COMPONENTS, FEATURES, SCORES, ringing, variables
from pipelines.scoring.places import Deployment
from pipelines.workspace import Workspace
from registry.package import ModelPackage
from registry.predict import predict, transform
from registry.reference import MAX_VALUES

Floats = NDArray[np.float64]
P, K, N_TRAINING, N_HELD_OUT = 24, 4, 120, 80
NAMES = [f"venous.original_{('glcm', 'firstorder')[i % 2]}_Fake{i}" for i in range(P)]
ALPHA = 0.05


def cases(n: int, seed: int, shift: float = 0.0, moved: int = P) -> Floats:
    """Rows of correlated, skewed features, the first `moved` of which are shifted by so many standard deviations."""
    rng = np.random.default_rng(seed)
    axes = np.random.default_rng(0).standard_normal((K, P))
    rows = (rng.standard_normal((n, K)) @ axes + 0.7 * rng.standard_normal((n, P))) / np.sqrt(K)
    rows[:, :moved] += shift * rows.std()
    return np.asarray(np.exp(rows / 2))


def model(estimator: str = "lr", **more: Any) -> ModelPackage:
    """A small model with its reference of development, as training leaves it."""
    training, held_out = cases(N_TRAINING, 1), cases(N_HELD_OUT, 2)
    mean, sd = training.mean(axis=0), training.std(axis=0)
    _, spread, axes = np.linalg.svd((training - mean) / sd, full_matrices=False)
    arrays: dict[str, NDArray[Any]] = {
        "impute.median": np.median(training, axis=0),
        "scale.mean": mean,
        "scale.sd": sd,
        "pca.mean": np.zeros(P),
        "pca.components": axes[:K],
        "lr.coef": np.array([0.4, -0.3, 0.2, 0.1]),
        "lr.intercept": np.zeros(1),
    }
    manifest = {
        "kind": "tabular",
        "model": {"name": "texture", "estimator": estimator},
        "features": [{"name": name, "unit": ""} for name in NAMES],
        "reference": {"rows": "internal", "negative": 40, "positive": 40, "components": 80, "distances": 80},
        "acquisition": {},
        **more,
    }
    bare = ModelPackage(digest="d" * 64, manifest=manifest, arrays=arrays, golden=np.empty((0, 0)), card="")
    Z, whole = transform(bare, held_out), np.vstack([training, held_out])
    whiten = np.diag(np.sqrt(N_TRAINING) / spread[:K])
    arrays |= {
        "reference.features.start": np.arange(P + 1) * len(whole),
        "reference.features.n": np.full(P, len(whole)),
        "reference.features": np.sort(whole, axis=0).T.ravel(),
        "reference.mean": np.zeros(K),
        "reference.whiten": whiten,
        "reference.distances": np.sort(np.sqrt(((Z @ whiten.T) ** 2).sum(axis=1))),
        "reference.components": np.sort(Z, axis=0).T,
        "reference.scores": np.sort(predict(bare, held_out)),
        "reference.conformal.0": np.empty(0),
        "reference.conformal.1": np.empty(0),
    }
    return ModelPackage(digest="d" * 64, manifest=manifest, arrays=arrays, golden=np.empty((0, 0)), card="")


@pytest.fixture(scope="module")
def package() -> ModelPackage:
    return model()


def inputs(rows: pd.DataFrame) -> CaseInputs:
    return CaseInputs(
        center=rows["center"].to_numpy(np.str_),
        case_id=rows["case_id"].to_numpy(np.str_),
        features=lambda part: rows[["center", "case_id", *part.features]],
    )


def seen(package: ModelPackage, X: Floats, scans: dict[int, str] | None = None, history: Any = None) -> Seen:
    ids = [f"{i:04d}" for i in range(len(X))]
    rows = pd.DataFrame(X, columns=NAMES).assign(center="harbor", case_id=ids, inputs="first")
    for place, scan in (scans or {}).items():
        rows.loc[place, "inputs"] = scan
    told = rows[["center", "case_id", "inputs"]].assign(package=package.digest, probability=predict(package, X))
    history = told.assign(sequence=1) if history is None else history
    return Seen(center="harbor", package=package, rows=lambda: rows, history=history, inputs=inputs)


def verdict(package: ModelPackage, X: Floats, n: int) -> Any:
    rows = seen(package, X).rows()
    return look(variables(package), coded(package, inputs(rows), predict(package, X)), n, ALPHA)


@pytest.mark.parametrize(("n", "m"), [(10, 20), (10, 150), (30, 60), (100, 201), (300, 200)])
@pytest.mark.parametrize("is_tied", [False, True])
def test_distance_and_p_value_are_scipys_where_all_of_development_is_kept(n: int, m: int, is_tied: bool) -> None:
    rng = np.random.default_rng(n + m)
    before, new = rng.standard_normal((m, 5)), rng.standard_normal((n, 5)) + np.linspace(0, 1, 5)
    if is_tied:
        before, new = before.round(), new.round()
    scales = [Scale.of(np.sort(column), m) for column in before.T]
    found = moves(scales, codes(scales, new))
    told = [ks_2samp(a, b, method="exact") for a, b in zip(before.T, new.T, strict=True)]
    np.testing.assert_allclose(found.distance, [one.statistic for one in told], atol=1e-12)
    np.testing.assert_allclose(found.p_value, [one.pvalue for one in told], rtol=1e-9)


def test_p_values_beyond_counting_are_close_to_scipys() -> None:
    rng = np.random.default_rng(5)
    before, new = rng.standard_normal(900), rng.standard_normal(400) + 0.15
    told = ks_2samp(before, new, method="exact")
    np.testing.assert_allclose(p_values(np.array([told.statistic]), 400, 900), told.pvalue, rtol=0.1)


@pytest.mark.parametrize("digits", [0, 1, 9])
def test_order_statistics_lose_at_most_a_step_of_distance_and_never_add_any(digits: int) -> None:
    rng = np.random.default_rng(digits)
    for _ in range(20):
        before, new = rng.standard_normal(3000).round(digits), (rng.standard_normal(200) * 1.1).round(digits)
        scale = Scale.of(order_statistics(before, MAX_VALUES), len(before))
        lost = ks_2samp(before, new).statistic - moves([scale], codes([scale], new[:, None])).distance[0]
        assert -1e-12 <= lost <= 1 / (MAX_VALUES - 1) + 1 / len(before)


def test_few_held_out_patients_who_lie_a_little_aside_do_not_ring_at_every_hospital() -> None:
    """Thirty held-out patients may lie so far aside by chance; all hospitals of the package then differ from them."""
    held_out = norm.ppf((np.arange(30) + 0.5) / 30) + 0.5
    assert kstest(held_out, "norm").pvalue > 0.05
    scale, new = Scale.of(held_out, 30), np.random.default_rng(0).standard_normal((60, 200))
    found = moves([scale] * 200, codes([scale] * 200, new))
    guarded = guarded_p_values(found.distance, found.n, np.full(200, 30), 1)
    assert (found.p_value < ALPHA).mean() > 2 * ALPHA
    assert (guarded < ALPHA).mean() <= ALPHA


def test_values_that_are_not_there_are_left_out() -> None:
    scale = Scale.of(np.arange(50.0), 50)
    new = np.array([[60.0], [np.nan], [61.0]])
    places = codes([scale], new)
    assert places[1, 0] == MISSING
    found = moves([scale], places)
    assert (found.n[0], found.distance[0], found.delta[0], found.median[0]) == (2, 1.0, 1.0, 49.0)
    nobody = moves([scale], codes([scale], np.full((3, 1), np.nan)))
    assert (nobody.n[0], nobody.p_value[0]) == (0, 1.0)


def test_looks_share_the_error_so_that_all_of_them_together_stay_within_it() -> None:
    assert looks_due(9) == []
    assert looks_due(1000) == [10, 30, 100, 300, 1000]
    assert next_look(100) == 300
    assert sum(share_of_error(n) for n in looks_due(3 * 10**12)) < 1


def test_a_hospital_like_development_seldom_rings(package: ModelPackage) -> None:
    """Of 40 hospitals, 2 may be expected to ring over three looks at most; the proof on 200 is a benchmark."""
    rang = [any(verdict(package, cases(100, 100 + seed), n).rings for n in (10, 30, 100)) for seed in range(40)]
    assert sum(rang) <= 5


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda x: x + 1, "higher"),
        (lambda x: x - 4, "lower"),
        (lambda x: 3 * x, "wider"),
        (lambda x: x / 4, "narrower"),
        (lambda x: 1.3 * x + 1.5, "higher"),
    ],
)
def test_how_a_variable_moved_is_told_in_a_word(change: Callable[[Floats], Floats], word: str) -> None:
    rng = np.random.default_rng(2)
    scale, new = Scale.of(np.sort(rng.standard_normal(150)), 150), change(rng.standard_normal((90, 1)))
    assert directions(moves([scale], codes([scale], new))) == [word]


def test_a_shift_rings_and_names_what_moved_and_how(package: ModelPackage) -> None:
    found = verdict(package, cases(30, 7, shift=1.5, moved=6), 30)
    assert found.rings
    own = {one.family: one for one in found.families}
    assert own[FEATURES].rings
    assert 5 <= own[FEATURES].moved <= 12
    assert set(np.flatnonzero(found.moved[:P])) >= set(range(5))
    assert (found.moves.delta[:6] > 0.3).all()


def test_families_share_the_error_and_only_held_out_rows_ring(package: ModelPackage) -> None:
    assert ringing(variables(package)) == (FEATURES, COMPONENTS, SCORES)
    assert {one.limit for one in verdict(package, cases(10, 3), 10).families} == {ALPHA / 2 / 3}
    folded = {**package.manifest["reference"], "rows": "out_of_fold", "distance_rows": "out_of_fold"}
    other = model(reference=folded)
    assert ringing(variables(other)) == (FEATURES, COMPONENTS)
    assert [one.name for one in variables(other) if not one.rings] == ["distance", "score"]


def test_places_survive_packing() -> None:
    places = np.random.default_rng(0).integers(0, 65_535, (5, 300)).astype(np.uint16)
    assert (unpacked(packed(places), 300) == places).all()


def test_a_look_is_made_once_and_on_cases_as_they_first_came(package: ModelPackage, tmp_path: Path) -> None:
    X = cases(35, 8)
    assert record_looks(tmp_path, seen(package, X[:12]), ALPHA) == ()
    before = read_looks(tmp_path, "harbor", package.digest)
    assert set(before["n"]) == {10}
    again = X.copy()
    again[:10] *= 50  # ten scans are sent again, from another scanner
    history = seen(package, X).history
    later = seen(package, again, scans=dict.fromkeys(range(10), "second"), history=history)
    assert record_looks(tmp_path, later, ALPHA) == ()
    known = read_looks(tmp_path, "harbor", package.digest)
    pd.testing.assert_frame_equal(known[known["n"] == 10].reset_index(drop=True), before)
    assert set(known["n"]) == {10, 30}
    files = sorted(tmp_path.rglob("*.parquet"))
    record_looks(tmp_path, later, ALPHA)
    assert sorted(tmp_path.rglob("*.parquet")) == files


def test_an_alarm_stands_and_says_what_moved_and_what_to_do(package: ModelPackage, tmp_path: Path) -> None:
    X = cases(40, 9, shift=2.0, moved=8)
    (alarm,) = record_looks(tmp_path, seen(package, X), ALPHA)
    assert alarm.code == "drift"
    assert "features moved" in alarm.message
    assert "scanner, kernel and slice thickness" in alarm.message
    assert record_looks(tmp_path, seen(package, X), ALPHA) == (alarm,)
    moved = read_moved(tmp_path, "harbor", package.digest)
    assert (moved.loc[moved["moved"] & (moved["family"] == FEATURES), "direction"] == "higher").all()
    shifts = read_shifts(tmp_path, "harbor", package.digest)
    assert set(shifts["kind"]) == {"all", "family", "image"}


def test_a_run_that_died_before_its_verdict_makes_the_look_again(package: ModelPackage, tmp_path: Path) -> None:
    rows = seen(package, cases(12, 9, shift=2.0))
    record_looks(tmp_path, rows, ALPHA)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    for path in (tmp_path / "looks").rglob("*.parquet"):
        path.unlink()
    record_looks(tmp_path, rows, ALPHA)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == files


def test_order_is_of_arrival_then_of_pseudonyms(package: ModelPackage, tmp_path: Path) -> None:
    X = cases(20, 4)
    late = seen(package, X)
    early = seen(package, X)
    early = Seen(**{**vars(early), "rows": lambda: late.rows().iloc[[7, 3]]})
    record_looks(tmp_path, early, ALPHA)
    record_looks(tmp_path, late, ALPHA)
    order = read_cases(tmp_path, "harbor", package.digest)["case_id"].tolist()
    assert order[:2] == ["0003", "0007"]
    assert order[2:] == sorted(set(late.rows()["case_id"]) - {"0003", "0007"})


def test_what_features_explain_of_a_logistic_regression_is_its_linear_share(package: ModelPackage) -> None:
    """Putting features back moves the log odds by the sum of coefficient times shift, feature by feature."""
    X = cases(200, 6, shift=0.8, moved=8)
    scales = {one.name: one.scale for one in variables(package) if one.family == FEATURES}
    back = X.copy()
    for place in range(8):
        back[:, place] = put_back(scales[NAMES[place]], X[:, place])
    weights = package.arrays["lr.coef"] @ package.arrays["pca.components"] / package.arrays["scale.sd"]
    linear = (X.mean(axis=0) - back.mean(axis=0)) @ weights
    p, q = predict(package, X), predict(package, back)
    whole = np.log(p / (1 - p)).mean() - np.log(q / (1 - q)).mean()
    np.testing.assert_allclose(whole, linear, rtol=1e-9)
    wide = pd.DataFrame(X, columns=NAMES).assign(center="harbor", case_id=[f"{i}" for i in range(len(X))])
    mean, told = explained(package, wide, scales, set(NAMES[:8]))
    np.testing.assert_allclose(mean, p.mean())
    assert told[0].group == "all"
    np.testing.assert_allclose(told[0].mean_without, q.mean())


def test_put_back_gives_developments_distribution_and_keeps_the_order() -> None:
    before, new = np.sort(np.random.default_rng(0).standard_normal(500)), np.random.default_rng(1).standard_normal(300)
    back = put_back(Scale.of(before, 500), new * 3 + 10)
    assert (np.argsort(back) == np.argsort(new)).all()
    assert ks_2samp(back, before).statistic < 0.01


def test_the_report_says_too_few_then_none_seen_then_drift(package: ModelPackage, tmp_path: Path) -> None:
    deployment = Deployment(Workspace(tmp_path))
    for n, shift, state, words in (
        (9, 0.0, "too_few", "9 of the 10 cases"),
        (12, 0.0, "none_seen", "the next look is at 30"),
        (12, 3.0, "drift", "features moved"),
    ):
        shutil.rmtree(deployment.drift, ignore_errors=True)
        rows = seen(package, cases(n, 12, shift=shift))
        record_looks(deployment.drift, rows, ALPHA)
        scores = rows.history.assign(threshold=0.5, positive=rows.history["probability"] >= 0.5)
        report = drift_report(deployment, "harbor", package, scores)
        assert (report.state, report.n) == (state, n)
        assert words in report.message
        assert report.prevalence["n"].tolist() == [80, n]
    assert set(report.curves["source"]) == {"development", "hospital"}
    assert report.moved["of_family"].iloc[-2] != ""
    assert report.shift["difference"] is not None


def test_the_acquisition_table_counts_what_development_never_saw() -> None:
    told = {
        "ct": {
            "n": 3,
            "numbers": {"slice_thickness_mm": [1.0, 2.0, 3.0]},
            "categories": {"kernel": {"B30f": 2, "": 1}},
        }
    }
    images = pd.DataFrame(
        {"phase": "ct", "slice_thickness_mm": [2.0, 5.0, np.nan], "kernel": ["B30f", "B70f", ""], "other": 1}
    )
    table = acquisition_shift(model(acquisition=told), images).set_index("property")
    assert table.loc["slice_thickness_mm", ["n", "outside"]].tolist() == [2, 1]
    assert table.loc["kernel", ["n", "outside"]].tolist() == [2, 1]
    assert table.loc["kernel", "hospital"] == "B30f (1), B70f (1)"
