"""The clinical model: published regressions, separation, screening without leakage, and columns that give it away."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy.special import expit

from featurestore.schemas import Column
from featurestore.training_sets import TrainingSet
from pipelines.models.clinical import ClinicalModel
from pipelines.models.maximum_likelihood import fit_firth, fit_maximum_likelihood
from pipelines.models.predicting import known_levels
from pipelines.params.modelling import Model
from pipelines.training.direct import OneColumnError, TellingColumnError, fit_direct, maker_of
from pipelines.training.splits import repeated_folds
from registry.parts import Part
from registry.predict import predict

PUBLISHED = pd.read_csv(Path(__file__).parents[1] / "golden" / "logistic_published.csv", comment="#")
NAMES = ["clinical.age", "clinical.sex=F", "clinical.sex=M", "clinical.stage=a", "clinical.stage=b", "clinical.stage=c"]


def spector() -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    table = sm.datasets.spector.load_pandas().data
    return table[["GPA", "TUCE", "PSI"]].to_numpy(np.float64), table["GRADE"].to_numpy(np.int8)


def cohort(n: int = 160, seed: int = 3) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Age tells something, stage c tells much, sex nothing; some values are missing."""
    rng = np.random.default_rng(seed)
    age, sex, stage = rng.normal(60, 10, n), rng.integers(0, 2, n), rng.integers(0, 3, n)
    y = (rng.random(n) < expit((age - 60) / 12 + 2.0 * (stage == 2) - 0.8)).astype(np.int8)
    X = np.column_stack([age, sex == 0, sex == 1, *(stage == level for level in range(3))]).astype(np.float64)
    X[rng.random(n) < 0.05, 0] = np.nan
    X[rng.random(n) < 0.05, 3:] = np.nan
    return X, y


def frozen(X: NDArray[np.float64], y: NDArray[np.int8], names: list[str]) -> TrainingSet:
    n = len(y)
    return TrainingSet(
        X=X,
        y=y,
        center=np.array(["north"] * n),
        case_id=np.array([f"{i:04d}" for i in range(n)]),
        split=np.array(["training"] * n),
        columns=tuple(Column(name=name) for name in names),
        record={
            "label": "her2",
            "rules": {"label": {"column": "ihc"}},
            "service": {"name": "clinical", "view": "clinical", "phases": ["clinical"], "columns": ".*"},
        },
    )


@pytest.mark.parametrize("row", PUBLISHED.to_dict("records"), ids=lambda row: str(row["predictor"]))
def test_coefficients_and_errors_are_the_published_ones(row: dict[str, float]) -> None:
    X, y = spector()
    model = ClinicalModel(names=["clinical.GPA", "clinical.TUCE", "clinical.PSI"], p_enter=1.0, retain="entered")
    table = model.fit(X, y).findings.multivariable
    assert table is not None
    if row["predictor"] == "intercept":
        assert table.intercept == pytest.approx(row["coefficient"], abs=row["tolerance"])
        return
    found = next(one for one in table.rows if one.predictor == row["predictor"])
    assert found.coefficient == pytest.approx(row["coefficient"], abs=row["tolerance"])
    assert found.standard_error == pytest.approx(row["standard_error"], abs=row["tolerance"])
    assert found.odds_ratio == pytest.approx(np.exp(found.coefficient))


def test_firth_is_half_a_patient_in_each_cell_of_a_table() -> None:
    """In a two-by-two table the penalty is known to add 0.5 to each cell: a separated one has a finite ratio."""
    Z = np.repeat([[0.0], [1.0]], 10, axis=0)
    y = np.array([1] * 3 + [0] * 7 + [1] * 10, np.int8)
    expected = np.log((10.5 * 7.5) / (0.5 * 3.5))
    assert fit_firth(Z, y).coefficients[1] == pytest.approx(expected, abs=1e-8)
    found = fit_maximum_likelihood(Z, y)
    assert found.method == "firth"
    assert found.coefficients[1] == pytest.approx(expected, abs=1e-8)


def test_predictors_are_screened_and_the_independent_ones_named() -> None:
    X, y = cohort()
    found = ClinicalModel(names=NAMES).fit(X, y).findings
    assert found.independent == found.retained == ("age", "stage")
    stage = [row for row in found.final.rows if row.predictor == "stage"] if found.final else []
    assert [(row.level, row.reference) for row in stage] == [("b", "a"), ("c", "a")]
    assert all(row.low < row.odds_ratio < row.high for row in stage)


@pytest.mark.parametrize("test", ["wald", "likelihood_ratio"])
def test_one_predictor_alone_is_statsmodels(test: str) -> None:
    X, y = cohort()
    filled = np.where(np.isnan(X), np.nanmedian(X, axis=0), X)
    reference = sm.Logit(y, sm.add_constant(filled[:, 0])).fit(disp=0)
    model = ClinicalModel(names=NAMES, test=test).fit(X, y)  # type: ignore[arg-type]
    table = model.findings.univariable[0]
    p = reference.pvalues[1] if test == "wald" else reference.llr_pvalue
    assert table.p_values["age"] == pytest.approx(p, rel=1e-6)
    assert [table.rows[0].low, table.rows[0].high] == pytest.approx(np.exp(reference.conf_int()[1]), rel=1e-6)


def test_a_package_of_the_clinical_model_predicts_the_same() -> None:
    from types import SimpleNamespace

    X, y = cohort()
    model = ClinicalModel(names=NAMES).fit(X, y).recalibrate(np.array([0.1, 0.8]))
    package = SimpleNamespace(arrays=model.to_arrays(), estimator="clinical", activation="", features=tuple(NAMES))
    np.testing.assert_allclose(predict(package, X), model.predict_proba(X), atol=1e-12)


def test_doubled_and_constant_columns_do_no_harm() -> None:
    X, y = cohort()
    X = np.column_stack([X, X[:, 0] * 2 + 1, np.ones(len(X))])
    found = ClinicalModel(names=[*NAMES, "clinical.months", "clinical.one"]).fit(X, y).findings
    assert found.left_out["one"] == "the same for everybody"
    assert found.left_out["months"] == "says what others before it say"


def test_nothing_that_tells_gives_everybody_the_share() -> None:
    rng = np.random.default_rng(0)
    X, y = np.repeat([[1.0, 2.0]], 20, axis=0), rng.integers(0, 2, 20).astype(np.int8)
    model = ClinicalModel(names=["clinical.a", "clinical.b"]).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), y.mean())


def test_screening_outside_the_folds_would_flatter_and_is_not_what_happens() -> None:
    """Sixty columns of noise: chosen with all labels in sight they look good, chosen in each fold they do not."""
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(90, 60)), np.tile([0, 1], 45).astype(np.int8)
    names = [f"clinical.c{i}" for i in range(60)]
    folds = repeated_folds(y, np.array(["a"] * 90), 5, 1, 1)
    chosen = [i for i in range(60) if abs(np.corrcoef(X[:, i], y)[0, 1]) > 0.2]
    leaky = fit_direct(X[:, chosen], y, lambda: ClinicalModel(names=[names[i] for i in chosen], p_enter=1.0), folds, 1)
    honest = fit_direct(X, y, lambda: ClinicalModel(names=names), folds, 1)
    assert leaky.nested.auc() > 0.65
    assert honest.nested.auc() < 0.62


@pytest.mark.parametrize("leak", ["values", "who has one", "name"])
def test_a_column_that_gives_the_outcome_away_is_named(leak: str) -> None:
    X, y = cohort()
    told = {"values": y * 3.0 + 1, "who has one": np.where(y == 1, 5.0, np.nan), "name": X[:, 0]}[leak]
    name = "clinical.ihc" if leak == "name" else "clinical.dose"
    part = frozen(np.column_stack([X, told]), y, [*NAMES, name])
    with pytest.raises(TellingColumnError, match=name.partition(".")[2]):
        maker_of(Model(service="clinical", estimator="clinical"), part)


def test_ready_probabilities_are_one_column_of_probabilities() -> None:
    X, y = cohort()
    settings = Model(service="other", estimator="probability")
    with pytest.raises(OneColumnError, match="from"):
        maker_of(settings, frozen(X[:, :1], y, ["other.logit"]))
    with pytest.raises(OneColumnError, match="6 columns"):
        maker_of(settings, frozen(X, y, NAMES))


def test_ready_log_odds_are_recalibrated_and_keep_their_order() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=200)
    y = (rng.random(200) < expit(z)).astype(np.int8)
    part = frozen((3 * z + 2)[:, None], y, ["other.logit"])
    make = maker_of(Model(service="other", estimator="probability", given="log_odds"), part)
    fitted = fit_direct(part.X, y, make, repeated_folds(y, part.center, 5, 1, 1), 1)
    assert fitted.recalibration.slope == pytest.approx(1 / 3, abs=0.1)
    assert np.argsort(fitted.model.predict_proba(part.X)).tolist() == np.argsort(z).tolist()


def test_a_value_that_no_training_patient_had_counts_as_missing() -> None:
    """A category's value seen only outside must not pass for the reference."""
    X, y = cohort()
    X, y = X[X[:, 5] != 1], y[X[:, 5] != 1]
    model = ClinicalModel(names=NAMES, p_enter=1.0, retain="entered").fit(X, y)
    assert model.unseen == ("clinical.stage=c",)
    told = {"model": {"name": "m", "estimator": "clinical", "unseen": list(model.unseen)}}
    part = Part(
        manifest={**told, "kind": "tabular", "features": [{"name": name} for name in NAMES]}, arrays=model.to_arrays()
    )
    outside = np.array([[60.0, 1, 0, 0, 0, 1], [60.0, 1, 0, np.nan, np.nan, np.nan], [60.0, 1, 0, 1, 0, 0]])
    known = known_levels(part, outside)
    np.testing.assert_array_equal(known[0], known[1])
    np.testing.assert_array_equal(known[2], outside[2])
    assert predict(part, known)[0] == predict(part, known)[1]
