"""All measures of one model on one cohort, in the form that `metrics.json` has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation import calibration, discrimination, operating
from pipelines.evaluation.estimates import Estimate, Floats, Labels, resample_counts


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """Cross-validated probabilities: one column a repeat, and the fold in which each patient was held out.

    Args:
        p: Probabilities whose hyperparameters and recalibration never saw the fold, shape (n, n_repeats).
        fold: Fold numbers, shape (n, n_repeats).
        on_scale: Held-out probabilities of the fitted model's own hyperparameters, recalibrated with the package's
            coefficients, mean over repeats, shape (n,). They lie on that model's scale, so thresholds come from
            them; their area is too high.
    """

    p: Floats
    fold: NDArray[np.integer]
    on_scale: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class CohortPredictions:
    """What one model said about the patients of one cohort.

    Args:
        model: The model's name.
        cohort: `training`, `training_apparent`, `internal`, `external` or `external.<center>`.
        center: Each patient's center, shape (n,).
        case_id: Each patient's pseudonym, shape (n,).
        y: Labels, shape (n,).
        p: Probabilities, shape (n,); for `training` the mean over repeats.
        out_of_fold: Probabilities by repeat and fold, for `training` alone.
        left_out: How many patients were left out, by reason.
    """

    model: str
    cohort: str
    center: NDArray[np.str_]
    case_id: NDArray[np.str_]
    y: NDArray[np.int8]
    p: Floats
    out_of_fold: OutOfFold | None = None
    left_out: Mapping[str, int]

    def patients(self) -> list[tuple[str, str]]:
        """Returns center and pseudonym of each patient."""
        return list(zip(self.center.tolist(), self.case_id.tolist(), strict=True))


def draws(cohort: str, n: int, n_draws: int, seed: int) -> Floats:
    """Returns the bootstrap draws of a cohort: the same for every model with as many patients, whatever ran before."""
    spelled = [ord(letter) for letter in cohort]
    return resample_counts(n, n_draws, np.random.default_rng([seed, n, *spelled])) if n else np.zeros((n_draws, 0))


def judge(
    predictions: CohortPredictions, thresholds: Mapping[str, float], counts: Floats, confidence: float
) -> dict[str, Any]:
    """Returns every measure with its interval; `reasons` says why one has no value.

    Args:
        predictions: One model on one cohort.
        thresholds: The operating points, from training patients.
        counts: Bootstrap draws, shape (n_draws, n).
        confidence: The intervals' confidence.
    """
    y, p = predictions.y, predictions.p
    found = {**_discrimination(predictions, counts, confidence), **_calibration(y, p, counts, confidence)}
    share = float(y.mean()) if len(y) else None
    return {
        "n": len(y),
        "events": int(y.sum()),
        "prevalence": share,
        "no_information_rate": None if share is None else max(share, 1 - share),
        **_columns(found),
        "at": {name: _point(y, p, threshold, counts, confidence) for name, threshold in sorted(thresholds.items())},
        "left_out": dict(predictions.left_out),
        "reasons": _reasons(found),
    }


def best_model(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str | None:
    """Returns the model with the largest cross-validated area; internal and external patients play no part.

    Of equals the first by name is taken, in whatever order they are listed.

    Args:
        metrics: What `metrics.json` holds.
    """
    known = {name: cohorts["training"]["auc"] for name, cohorts in metrics.items()}
    known = {name: area for name, area in known.items() if area is not None}
    return max(sorted(known), key=lambda name: known[name]) if known else None


def rounded(content: Any) -> Any:
    """Returns JSON content with ten significant digits: what is beyond them differs between processors."""
    match content:
        case dict():
            return {key: rounded(value) for key, value in content.items()}
        case list() | tuple():
            return [rounded(value) for value in content]
        case float():
            return float(f"{content:.10g}")
        case _:
            return content


def _discrimination(predictions: CohortPredictions, counts: Floats, confidence: float) -> dict[str, Estimate]:
    y, p, folds = predictions.y, predictions.p, predictions.out_of_fold
    if folds is None:
        area = discrimination.auc_estimate(y, p, confidence)
        drawn = discrimination.bootstrap_auc(y, p, counts, confidence)
    else:
        area = discrimination.fold_auc_estimate(y, folds.p, folds.fold, confidence)
        drawn = discrimination.bootstrap_fold_auc(y, folds.p, folds.fold, counts, confidence)
    return {
        "auc": area,
        "auc_bootstrap": drawn,
        "average_precision": discrimination.average_precision(y, p, counts, confidence),
    }


def _calibration(y: Labels, p: Floats, counts: Floats, confidence: float) -> dict[str, Estimate]:
    return {
        "brier": calibration.brier(y, p, counts, confidence),
        "calibration_slope": calibration.slope(y, p, confidence),
        "calibration_intercept": calibration.intercept(y, p, confidence),
        "observed_expected": calibration.observed_expected(y, p, confidence),
        **calibration.calibration_errors(y, p, counts, confidence),
    }


def _point(y: Labels, p: Floats, threshold: float, counts: Floats, confidence: float) -> dict[str, Any]:
    found = operating.operating_point(y, p, threshold, counts, confidence)
    reasons = _reasons(found)
    return {
        "threshold": threshold,
        **operating.confusion(y, p, threshold),
        **_columns(found),
        **({"reasons": reasons} if reasons else {}),
    }


def _columns(found: Mapping[str, Estimate]) -> dict[str, float | None]:
    return {key: value for name, estimate in found.items() for key, value in estimate.columns(name).items()}


def _reasons(found: Mapping[str, Estimate]) -> dict[str, str]:
    return {name: estimate.reason for name, estimate in found.items() if estimate.reason}
