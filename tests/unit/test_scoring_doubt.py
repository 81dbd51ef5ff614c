"""Doubt about a score: what rings, what stays silent, what is void, and what policies show. No score ever changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from featurestore.errors import DamagedTableError
from pipelines.models.predicting import CaseInputs
from pipelines.params.operation import DoubtSection
from pipelines.scoring.conformal import (
    LEAST,
    cases_used,
    class_p_values,
    held_classes,
    is_void,
    kept_recalibration,
    least_cases,
    p_values,
    prediction_sets,
    recalibrated,
)
from pipelines.scoring.doubt import FAR, WORDS, doubt_codes, other_acquisition, other_data, shown, standing
from pipelines.scoring.doubt_images import image_doubts
from pipelines.scoring.doubt_regions import strange_shapes, swapped_phases
from pipelines.scoring.doubting import doubted
from pipelines.training.acquisitions import told_acquisition
from registry.harmonizing import components_at_centers
from registry.parts import Part
from registry.reference import Reference, reference_of

N = 40
PHASES = ("early", "late")


def facts(n: int = N, seed: int = 0, **changes: Any) -> pd.DataFrame:
    """Images of CT as a development center sends them: one row a patient and phase."""
    rng = np.random.default_rng(seed)
    rows = [(f"{number:04d}", phase) for number in range(n) for phase in PHASES]
    frame = pd.DataFrame(rows, columns=["case_id", "phase"]).assign(center="north", roi="tumor", observer="")
    size = len(frame)
    own = {
        "spacing_x_mm": rng.uniform(0.6, 0.9, size),
        "spacing_y_mm": rng.uniform(0.6, 0.9, size),
        "spacing_z_mm": rng.choice([1.0, 1.5, 2.0], size),
        "slice_thickness_mm": rng.choice([1.0, 1.5, 2.0], size),
        "kvp": rng.choice([100.0, 120.0], size),
        "kernel": rng.choice(["B30f", "B31f"], size),
        "manufacturer": "SIEMENS",
        "model": "",
        "volume_ml": np.exp(rng.normal(2, 1, size)),
        "image_mean": rng.normal(-500, 60, size),
        "image_sd": rng.normal(480, 20, size),
        "image_min": rng.choice([-1024.0, -1000.0, -3024.0], size),
        "image_max": rng.normal(1800, 300, size),
    }
    return frame.assign(**{**own, **changes})


def acquisition(told: pd.DataFrame | None = None) -> dict[str, Any]:
    told = facts() if told is None else told
    return told_acquisition(told, told[["center", "case_id"]], PHASES)


def rings(new: pd.DataFrame, known: dict[str, Any] | None = None) -> dict[str, int]:
    found = image_doubts(new, acquisition() if known is None else known)
    return {code: len(patients) for code, patients in found.items()}


def test_images_like_those_of_development_raise_no_doubt() -> None:
    assert rings(facts(20, seed=1)) == {}


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("spacing", {"spacing_z_mm": 5.0}),
        ("spacing", {"spacing_x_mm": 0.2}),
        ("thickness", {"slice_thickness_mm": 5.0}),
        ("kvp", {"kvp": 80.0}),
        ("kernel", {"kernel": "B70f"}),
        ("manufacturer", {"manufacturer": "Others"}),
        ("intensity", {"image_min": 0.0}),
        ("intensity", {"image_mean": 524.0}),
        ("intensity", {"image_sd": 48.0}),
    ],
)
def test_each_thing_that_was_not_trained_on_has_its_word(code: str, change: dict[str, Any]) -> None:
    """Units or an offset that differ are `intensity`: air is not near -1000, or mean or spread is another."""
    assert rings(facts(10, seed=1, **change)) == {code: 20}
    assert code in WORDS


def test_an_offset_of_1024_and_other_units_are_seen_as_a_whole() -> None:
    told = facts(10, seed=1)
    moved = told.assign(**{name: told[name] + 1024 for name in ("image_min", "image_mean", "image_max")})
    assert rings(moved) == {"intensity": 20}
    scaled = told.assign(**{f"image_{name}": told[f"image_{name}"] / 1000 for name in ("min", "mean", "sd", "max")})
    assert rings(scaled) == {"intensity": 20}


def test_writing_and_silence_raise_no_doubt() -> None:
    """A maker's name in other letters is the same maker; a file that says nothing is not blamed for it."""
    assert rings(facts(5, seed=1, manufacturer=" Siemens ")) == {}
    assert rings(facts(5, seed=1, kvp=np.nan, kernel="", manufacturer="", slice_thickness_mm=np.nan)) == {}


def test_rules_without_a_reference_are_void() -> None:
    silent = acquisition(facts(kernel="", manufacturer="", kvp=np.nan))
    assert rings(facts(5, seed=1, kernel="X", manufacturer="Y", kvp=10.0), silent) == {}
    few = acquisition(facts(2))
    assert "intensity" not in rings(facts(5, seed=1, image_mean=5000.0), few)


def test_an_outline_of_another_organ_is_strange() -> None:
    rng = np.random.default_rng(0)
    known = {
        "late.original_shape_MeshVolume": np.sort(np.exp(rng.normal(9, 1, 60))),
        "late.original_shape_Sphericity": np.sort(rng.normal(0.7, 0.06, 60)),
        "late.original_glcm_Contrast": np.sort(rng.normal(5, 1, 60)),
    }
    like = pd.DataFrame({name: rng.permutation(values) for name, values in known.items()})
    assert not strange_shapes(like, known).any()
    other = like.assign(**{"late.original_shape_Sphericity": 0.2})
    assert strange_shapes(other, known).all()
    bowel = like.assign(**{"late.original_shape_MeshVolume": 4e6})
    assert strange_shapes(bowel, known).all()
    assert not strange_shapes(like.assign(**{"late.original_glcm_Contrast": 1e9}), known).any()
    few = {name: values[:5] for name, values in known.items()}
    assert not strange_shapes(other, few).any()


def test_swapped_phases_ring_and_others_hardly_ever() -> None:
    """At any distance of two phases fewer than 1 of 200 unswapped cases ring, heavy tails and offsets included."""
    rng = np.random.default_rng(0)
    names = [f"{phase}.original_firstorder_Mean" for phase in PHASES]
    for apart in (0.0, 1.0, 2.0, 3.0, 4.0, 6.0):
        known = {names[0]: np.sort(rng.normal(50, 10, 80)), names[1]: np.sort(rng.normal(50 + 10 * apart, 10, 80))}
        own = pd.DataFrame({names[0]: rng.normal(50, 10, 4000), names[1]: rng.normal(50 + 10 * apart, 10, 4000)})
        assert swapped_phases(own, known).mean() < 0.005
        assert not swapped_phases(own + 1024, known).any()
        tailed = pd.DataFrame({name: known[name].mean() + 10 * rng.standard_t(3, 4000) for name in names})
        assert swapped_phases(tailed, known).mean() < 0.01
        swapped = own.rename(columns=dict(zip(names, names[::-1], strict=True)))
        share = swapped_phases(swapped, known).mean()
        assert share < 0.005 if apart == 0 else share > 0.85 or apart < 4


def package(candidates: Any, n_negative: int = 50, n_positive: int = 40) -> tuple[Part, Reference]:
    """A logistic model whose training patients were standard normal."""
    rng = np.random.default_rng(7)
    part = Part(manifest=candidates.manifest("lr", "0" * 64), arrays=candidates.arrays())
    X = rng.normal(size=(600, 3))
    Z = components_at_centers(part, X, np.array(["north"] * len(X)))
    precision = np.linalg.cholesky(np.linalg.inv(np.cov(Z, rowvar=False))).T
    held = (Z[-99:] - Z.mean(axis=0)) @ precision.T
    arrays = {
        "reference.features.start": np.array([0, 20, 40, 60]),
        "reference.features.n": np.array([20, 20, 20]),
        "reference.features": np.concatenate([np.sort(X[:20, i]) for i in range(3)]),
        "reference.mean": Z.mean(axis=0),
        "reference.whiten": precision,
        "reference.distances": np.sort(np.sqrt((held**2).sum(axis=1))),
        "reference.scores": np.sort(rng.uniform(size=80)),
        "reference.conformal.0": np.sort(rng.beta(2, 6, n_negative)),
        "reference.conformal.1": np.sort(rng.beta(2, 6, n_positive)),
    }
    part = Part(manifest={**part.manifest, "acquisition": acquisition()}, arrays={**part.arrays, **arrays})
    found = reference_of(part)
    assert found is not None
    return part, found


def judged(candidates: Any, X: np.ndarray, images: pd.DataFrame) -> pd.DataFrame:
    part, _ = package(candidates)
    wide = pd.DataFrame(X, columns=list(part.features)).assign(
        center="north", case_id=[f"{number:04d}" for number in range(len(X))]
    )
    inputs = CaseInputs(
        center=wide["center"].to_numpy(np.str_), case_id=wide["case_id"].to_numpy(np.str_), features=lambda _: wide
    )
    return doubted(part, inputs, images)


def history(found: pd.DataFrame, p: float = 0.4) -> pd.DataFrame:
    return found.assign(case_id=[f"{n:04d}" for n in range(len(found))], probability=p, positive=p >= 0.5)


def test_far_features_are_told_at_the_error_rate(candidates: Any) -> None:
    part, reference = package(candidates)
    rng = np.random.default_rng(1)
    found = judged(candidates, rng.normal(size=(400, 3)), facts(400, seed=1))
    assert (found["doubts"] != "").sum() <= 2
    share = np.mean([FAR in codes for codes in doubt_codes(history(found), part, 0.05)])
    assert 0.01 < share < 0.12
    far = judged(candidates, rng.normal(size=(50, 3)) + 20, facts(50, seed=1))
    assert all(FAR in codes for codes in doubt_codes(history(far), part, 0.05))
    few = Part(manifest=part.manifest, arrays={**part.arrays, "reference.distances": reference.distances[-18:]})
    assert not any(FAR in codes for codes in doubt_codes(history(far), few, 0.05))


def test_a_patient_is_doubted_alike_alone_and_among_others(candidates: Any) -> None:
    X = np.random.default_rng(1).normal(size=(30, 3))
    images = facts(30, seed=1, kernel="B70f")
    together = judged(candidates, X, images)
    for number in (0, 7, 29):
        alone = judged(candidates, X[[number]], images[images["case_id"] == f"{number:04d}"].assign(case_id="0000"))
        assert alone.iloc[0].equals(together.iloc[number])


def test_policies_show_and_never_change_a_score(candidates: Any) -> None:
    part, _ = package(candidates)
    images = facts(4, seed=1)
    images.loc[images["case_id"] == "0002", "kernel"] = "B70f"
    rows = history(judged(candidates, np.zeros((4, 3)), images))
    assert rows["doubts"].tolist() == ["", "", "kernel", ""]
    plain, flagged, withheld = (shown(rows, part, DoubtSection(policy=name)) for name in ("score", "flag", "withhold"))
    assert plain.equals(rows)
    assert flagged["probability"].tolist() == [0.4] * 4
    assert flagged["doubt"].tolist() == ["", "", WORDS["kernel"], ""]
    assert withheld["probability"].isna().tolist() == [False, False, True, False]
    assert withheld["positive"].isna().tolist() == [False, False, True, False]
    assert withheld["prediction_set"].tolist()[2] == ""
    assert "0.4" not in withheld.iloc[[2]].drop(columns=["distance", "case_id"]).to_csv()


def test_another_study_in_the_folder_is_an_alarm_of_the_hospital(candidates: Any) -> None:
    part, _ = package(candidates)
    rng = np.random.default_rng(2)
    own = history(judged(candidates, rng.normal(size=(30, 3)), facts(30, seed=1)))
    assert other_data(own, part, 0.05) == ""
    other = history(judged(candidates, rng.normal(size=(30, 3)) * 30, facts(30, seed=1, image_mean=900.0)))
    told = other_data(other, part, 0.05)
    assert told.startswith("30 of 30 cases are in doubt")
    assert "intensity 30" in told
    assert other_data(other.head(9), part, 0.05) == ""
    scanner = history(judged(candidates, rng.normal(size=(30, 3)), facts(30, seed=1, kernel="B70f")))
    assert other_data(scanner, part, 0.05) == ""
    assert "kernel 30" in other_acquisition(scanner, part, 0.05)


def test_conformal_p_values_count_the_new_case_in() -> None:
    known = np.array([0.1, 0.2, 0.2, 0.9])
    assert p_values(np.array([0.0, 0.2, 0.95, np.nan]), known).tolist()[:3] == [1.0, 0.8, 0.2]
    assert np.isnan(p_values(np.array([np.nan]), known)).all()


@pytest.mark.parametrize(("alpha", "least"), [(0.05, 19), (0.1, 19), (0.02, 49), (0.01, 99), (0.5, 19)])
def test_sets_are_void_below_the_cases_that_an_error_rate_needs(alpha: float, least: int) -> None:
    assert least_cases(alpha) == least
    enough = {label: np.linspace(0, 0.5, least) for label in (0, 1)}
    assert not is_void(enough, alpha)
    few = {0: enough[0], 1: enough[1][:-1]}
    assert prediction_sets(np.array([0.1, 0.9]), few, alpha) == ["", ""]


def test_sets_name_the_classes_that_a_score_does_not_speak_against() -> None:
    apart = {label: np.linspace(0, 0.3, 99) for label in (0, 1)}
    assert prediction_sets(np.array([0.01, 0.99, 0.5, np.nan]), apart, 0.05) == ["negative", "positive", "none", ""]
    mixed = {label: np.linspace(0, 0.9, 99) for label in (0, 1)}
    assert prediction_sets(np.array([0.5]), mixed, 0.05) == ["both"]


@pytest.mark.filterwarnings("ignore:WARNING. your conformalization dataset has less labels")
def test_sets_are_those_of_mapie() -> None:
    """The p-values' sets equal class-conditional split conformal by its textbook quantile, and MAPIE's by class."""
    from mapie.classification import SplitConformalClassifier
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(4)
    y = np.arange(300) % 2
    X = rng.normal(size=(300, 1)) + y[:, None]
    model = LogisticRegression().fit(X[:100], y[:100])
    p, new = model.predict_proba(X[100:])[:, 1], np.sort(rng.normal(0.5, 2, size=(200, 1)), axis=0)
    reference = {0: np.sort(p[y[100:] == 0]), 1: np.sort(1 - p[y[100:] == 1])}
    negative, positive = class_p_values(model.predict_proba(new)[:, 1], reference)
    for label, own in ((0, negative), (1, positive)):
        at = y[100:] == label
        mapie = SplitConformalClassifier(model, confidence_level=0.9, conformity_score="lac", prefit=True)
        # fitted on one class's cases alone, its set tells whether that class belongs in
        _, sets = mapie.conformalize(X[100:][at], y[100:][at]).predict_set(new)
        assert np.array_equal(sets[:, label, 0], own > 0.1)


@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (60, 0.1)])
def test_coverage_keeps_its_promise_by_class_and_spreads_as_theory_says(n: int, alpha: float) -> None:
    """Short form of `benchmarks/scoring_doubt.py`; the spread is Beta(n + 1 - l, l), l = floor((n + 1) alpha)."""
    rng = np.random.default_rng(11)
    shares = []
    for _ in range(500):
        negative, positive = rng.beta(2, 4, n + 2000), rng.beta(3, 2, n + 2000)
        reference = {0: np.sort(negative[:n]), 1: np.sort(1 - positive[:n])}
        own = class_p_values(negative[n:], reference)[0], class_p_values(positive[n:], reference)[1]
        shares.append([float(np.mean(one > alpha)) for one in own])
    theory = beta(n + 1 - int((n + 1) * alpha), int((n + 1) * alpha))
    assert np.mean(shares, axis=0) == pytest.approx([1 - alpha] * 2, abs=0.02)
    assert np.mean(shares, axis=0) == pytest.approx([theory.mean()] * 2, abs=0.01)
    assert np.std(shares, axis=0) == pytest.approx([theory.std()] * 2, rel=0.2)


def labelled(n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(n)
    cases = [f"{number:04d}" for number in range(n)]
    scores = pd.DataFrame({"case_id": cases, "probability": rng.uniform(size=n)})
    return scores, pd.DataFrame({"case_id": cases, "label": (np.arange(n) % 2).astype("int8")})


def test_a_hospital_is_recalibrated_once_and_its_cases_are_named(tmp_path: Path, candidates: Any) -> None:
    few, enough, more = (labelled(n) for n in (58, 60, 90))
    assert kept_recalibration(tmp_path, "north", "a" * 64, *few, at=30, alpha=0.05) is None
    assert kept_recalibration(tmp_path, "north", "a" * 64, *enough, at=0, alpha=0.05) is None
    assert cases_used(tmp_path, "a" * 64) == {}
    made = kept_recalibration(tmp_path, "north", "a" * 64, *enough, at=30, alpha=0.05)
    assert made is not None
    assert (len(made.negative), len(made.positive), len(made.cases)) == (LEAST, LEAST, 2 * LEAST)
    assert kept_recalibration(tmp_path, "north", "a" * 64, *more, at=30, alpha=0.05) == made
    assert recalibrated(tmp_path, "a" * 64) == made
    assert recalibrated(tmp_path, "b" * 64) is None
    assert cases_used(tmp_path, "a" * 64) == {"conformal": frozenset(made.cases)}
    part, _ = package(candidates)
    assert "labelled cases of this hospital" in standing(part, 0.05, made)
    assert "may not hold here" in standing(part, 0.05)
    assert "too few" in standing(part, 0.001)


def test_the_promise_of_sets_is_held_against_labels_that_made_none_of_them() -> None:
    sets = ["negative", "both", "positive", "none", "positive", "", "positive"]
    told = pd.DataFrame({"case_id": list("abcdefg"), "prediction_set": sets})
    labels = pd.DataFrame({"case_id": list("abcdefg"), "label": [0, 0, 0, 1, 1, 1, 1]})
    assert held_classes(told, labels, {"g"}) == {0: (2, 3), 1: (1, 2)}


def test_a_changed_adapter_is_not_believed(tmp_path: Path) -> None:
    kept_recalibration(tmp_path, "north", "a" * 64, *labelled(80), at=30, alpha=0.05)
    path = next((tmp_path / "conformal").glob("*.json"))
    path.write_text(path.read_text().replace("0.", "0.9", 1))
    with pytest.raises(DamagedTableError, match="name"):
        recalibrated(tmp_path, "a" * 64)
