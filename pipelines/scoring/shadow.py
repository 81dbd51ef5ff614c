"""The champion beside a version in its shadow: how alike their scores of the same new cases are. Nothing acts on it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from featurestore.entities import PATIENT_COLUMNS
from pipelines.evaluation.discrimination import Comparison, delong_test
from pipelines.evaluation.estimates import Estimate, Floats, absent, wilson
from pipelines.scoring.scores import current_scores

CONFIDENCE = 0.95
FEWEST = 3
"""Below, a correlation or a mean's interval says nothing."""
PATIENT = list(PATIENT_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class ShadowComparison:
    """Two versions on the cases that both have scored.

    Args:
        n: Those cases.
        correlation: Pearson's r of the probabilities; none below three cases, or when all are alike.
        rank_correlation: Spearman's.
        mean_difference: Mean of challenger minus champion, with Student's interval.
        agreement: Share of cases on the same side of each version's own threshold, with Wilson's interval.
        kappa: Cohen's kappa of that; none when both call everybody the same.
        both: Cases that both call positive.
        champion_only: Cases that the champion alone calls positive.
        challenger_only: Cases that the challenger alone calls positive.
        auc: Challenger against champion by DeLong's paired test, on the cases with a label; none without labels.
    """

    n: int
    correlation: float | None = None
    rank_correlation: float | None = None
    mean_difference: Estimate = field(default_factory=Estimate)
    agreement: Estimate = field(default_factory=Estimate)
    kappa: float | None = None
    both: int = 0
    champion_only: int = 0
    challenger_only: int = 0
    auc: Comparison | None = None

    def plain(self) -> dict[str, Any]:
        """Returns one row of a table."""
        return {
            "compared": self.n,
            "correlation": _text(self.correlation),
            "mean difference": _interval(self.mean_difference, signed=True),
            "same side of the threshold": _interval(self.agreement),
            "kappa": _text(self.kappa),
            **({} if self.auc is None else {"AUC difference": _auc(self.auc)}),
        }


def shadow_comparison(
    history: pd.DataFrame, champion: str, challenger: str, labels: pd.Series | None = None
) -> ShadowComparison:
    """Compares the current scores of two packages on the cases that both have scored.

    Args:
        history: Scores of any hospitals.
        champion: The digest of the package that is acted upon.
        challenger: The digest of the one in its shadow.
        labels: 0 or 1 by `center` and `case_id`, of the cases whose outcome is known.
    """
    current = current_scores(history[history["package"].isin((champion, challenger))])
    wide = current.pivot(index=PATIENT, columns="package", values=["probability", "positive"])
    wide = wide.reindex(columns=pd.MultiIndex.from_product([("probability", "positive"), (champion, challenger)]))
    wide = wide.dropna()
    a, b = (wide["probability", digest].to_numpy(np.float64) for digest in (champion, challenger))
    says_a, says_b = (wide["positive", digest].to_numpy(np.bool_) for digest in (champion, challenger))
    known = None if labels is None else labels.reindex(wide.index)
    return ShadowComparison(
        n=len(wide),
        correlation=_correlation(a, b),
        rank_correlation=_correlation(a, b, ranks=True),
        mean_difference=_mean(b - a),
        agreement=wilson(int((says_a == says_b).sum()), len(wide), CONFIDENCE),
        kappa=cohen_kappa(says_a, says_b),
        both=int((says_a & says_b).sum()),
        champion_only=int((says_a & ~says_b).sum()),
        challenger_only=int((says_b & ~says_a).sum()),
        auc=None if known is None else _paired(known, a, b),
    )


def cohen_kappa(a: Any, b: Any) -> float | None:
    """Returns Cohen's kappa of two yes-or-no verdicts on the same cases; none where chance alone gives full agreement.

    Source: Cohen 1960, Educational and Psychological Measurement 20:37.
    """
    if not len(a):
        return None
    p_a, p_b = float(np.mean(a)), float(np.mean(b))
    by_chance = p_a * p_b + (1 - p_a) * (1 - p_b)
    return None if by_chance == 1 else (float(np.mean(a == b)) - by_chance) / (1 - by_chance)


def _paired(known: pd.Series, a: Floats, b: Floats) -> Comparison:
    told = known.notna().to_numpy()
    return delong_test(known[told].to_numpy(np.int8), b[told], a[told], CONFIDENCE)


def _correlation(a: Floats, b: Floats, *, ranks: bool = False) -> float | None:
    if len(a) < FEWEST or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    if ranks:
        a, b = np.asarray(pd.Series(a).rank(), np.float64), np.asarray(pd.Series(b).rank(), np.float64)
    return float(np.corrcoef(a, b)[0, 1])


def _mean(differences: Floats) -> Estimate:
    n = len(differences)
    if n < FEWEST:
        return absent(f"{n} cases are too few")
    half = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2) * np.std(differences, ddof=1) / np.sqrt(n))
    value = float(differences.mean())
    return Estimate(value=value, low=value - half, high=value + half)


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(estimate: Estimate, *, signed: bool = False) -> str:
    if estimate.value is None:
        return estimate.reason or "–"
    sign = "+" if signed else ""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:{sign}.3f}"
    return f"{estimate.value:{sign}.3f} ({estimate.low:{sign}.3f} to {estimate.high:{sign}.3f})"


def _auc(found: Comparison) -> str:
    if found.p_value is None:
        return found.reason
    return f"{_interval(found.difference, signed=True)}, p = {found.p_value:.3f}, {found.n} labelled"
