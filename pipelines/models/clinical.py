"""The clinical model: predictors screened one by one, then a multivariable logistic regression, all on the same rows.

A predictor is one declared clinical column. A category is one predictor with a coefficient for each value but the
first, which the others are compared with; a value that no patient of the rows has takes no part. A missing value is
filled with the median, which for a category means its most frequent value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np
from scipy.special import chdtrc, ndtr, ndtri

from pipelines.models.base import Arrays, Floats, Labels
from pipelines.models.direct import DirectModel
from pipelines.models.maximum_likelihood import LogisticFit, fit_maximum_likelihood

CONFIDENCE = 0.95
LEVEL = "="
"""Between a category's name and one of its values, as the view `clinical` names columns."""

RANK_TOLERANCE = 1e-8


@dataclass(frozen=True, kw_only=True)
class OddsRow:
    """The odds ratio of one number, or of one value of a category against its reference.

    Args:
        predictor: The clinical column.
        level: The value; empty for numbers and yes/no.
        reference: The value it is compared with.
        odds_ratio: Of one unit more, or of the value.
        low: The lower end of its interval.
        high: The upper end.
        coefficient: Its logarithm.
        standard_error: Of the coefficient.
        p_value: Wald's, of this coefficient.
    """

    predictor: str
    level: str
    reference: str
    odds_ratio: float
    low: float
    high: float
    coefficient: float
    standard_error: float
    p_value: float


@dataclass(frozen=True, kw_only=True)
class Table:
    """A fitted regression as a table.

    Args:
        rows: One a coefficient, the intercept left out.
        p_values: Of each predictor as a whole.
        method: How it was fitted.
        intercept: The log odds where all is 0 or the reference.
    """

    rows: tuple[OddsRow, ...]
    p_values: Mapping[str, float]
    method: str
    intercept: float


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that screening and fitting found.

    Args:
        univariable: Of each predictor, alone.
        multivariable: Of those that entered, together; nothing where none did.
        entered: Predictors below the threshold alone.
        independent: Predictors below it beside the others.
        retained: Predictors of the model.
        left_out: Why a predictor was not looked at or could not enter.
        final: The model's own table.
    """

    univariable: tuple[Table, ...]
    multivariable: Table | None
    entered: tuple[str, ...]
    independent: tuple[str, ...]
    retained: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    final: Table | None = None


class ClinicalModel(DirectModel):
    """Screening and logistic regression, learned together.

    Args:
        names: The columns, `<phase>.<column>` or `<phase>.<category>=<value>`.
        p_enter: The threshold of screening.
        test: `wald` or `likelihood_ratio`.
        retain: `independent` or `entered`.
    """

    median: Floats
    findings: Findings
    columns: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    weights: Floats
    intercept: float
    unseen: tuple[str, ...]

    def __init__(
        self,
        *,
        names: Sequence[str],
        p_enter: float = 0.05,
        test: Literal["wald", "likelihood_ratio"] = "wald",
        retain: Literal["independent", "entered"] = "independent",
    ) -> None:
        self.names, self.p_enter, self.test, self.retain = list(names), p_enter, test, retain

    def fit(self, X: Floats, y: Labels) -> Self:
        """Screens, fits, and keeps the tables in `findings`."""
        empty = np.isnan(X).all(axis=0)
        self.median = np.where(empty, 0.0, np.nanmedian(np.where(empty, 0.0, X), axis=0))
        filled = np.where(np.isnan(X), self.median, X)
        columns, left_out = self._design(filled)
        alone = {name: self._table(filled, y, {name: at}) for name, at in columns.items()}
        entered = [name for name, table in alone.items() if table.p_values[name] < self.p_enter]
        together, doubled = self._without_doubled(filled, {name: columns[name] for name in entered})
        both = self._table(filled, y, together) if together else None
        independent = [n for n in together if both is not None and both.p_values[n] < self.p_enter]
        kept = independent if independent and self.retain == "independent" else list(together)
        final = self._table(filled, y, {name: columns[name] for name in kept}) if kept else None
        self.findings = Findings(
            univariable=tuple(alone.values()),
            multivariable=both,
            entered=tuple(entered),
            independent=tuple(independent),
            retained=tuple(kept),
            left_out={**left_out, **doubled},
            final=final,
        )
        self._keep(final, [i for name in kept for i in columns[name]], y)
        return self

    def _keep(self, final: Table | None, columns: list[int], y: Labels) -> None:
        if final is None:  # nothing tells the outcome: everybody has the share of positives
            self.columns, self.weights = np.zeros(1, np.int64), np.zeros(1)
            self.intercept = float(np.log(y.mean() / (1 - y.mean())))
            return
        order = np.argsort(columns)
        self.columns = np.asarray(columns, dtype=np.int64)[order]
        self.weights = np.array([row.coefficient for row in final.rows])[order]
        self.intercept = final.intercept

    def log_odds(self, X: Floats) -> Floats:
        """Returns the log odds from the retained columns."""
        filled = np.where(np.isnan(X), self.median, X)[:, self.columns]
        return np.asarray(filled @ self.weights + self.intercept)

    def own_arrays(self) -> Arrays:
        """Returns the arrays of a logistic regression on the retained columns."""
        return {
            "impute.median": self.median,
            "keep.index": self.columns,
            "lr.coef": self.weights,
            "lr.intercept": np.array([self.intercept]),
        }

    def _design(self, filled: Floats) -> tuple[dict[str, list[int]], dict[str, str]]:
        """Returns the columns of each predictor that varies, references left out, and why others are not looked at."""
        columns: dict[str, list[int]] = {}
        left_out: dict[str, str] = {}
        unseen: list[str] = []
        self.reference: dict[str, str] = {}
        for name, own in predictors(self.names).items():
            seen = [i for i in own if np.ptp(filled[:, i]) > 0]
            is_category = LEVEL in self.names[own[0]]
            unseen += [self.names[i] for i in own if is_category and not filled[:, i].any()]
            self.reference[name] = self.names[seen[0]].partition(LEVEL)[2] if seen and is_category else ""
            if not seen:
                left_out[name] = "the same for everybody"
            else:
                columns[name] = seen[1:] if is_category and len(seen) > 1 else seen
        self.unseen = tuple(unseen)
        return columns, left_out

    def _without_doubled(
        self, filled: Floats, columns: dict[str, list[int]]
    ) -> tuple[dict[str, list[int]], dict[str, str]]:
        """Returns the predictors that say something the ones before them do not, and which do not."""
        kept: dict[str, list[int]] = {}
        doubled: dict[str, str] = {}
        for name, own in columns.items():
            at = [i for before in kept.values() for i in before] + own
            if _rank(filled[:, at]) == len(at) and len(filled) > len(at) + 1:
                kept[name] = own
            else:
                doubled[name] = "says what others before it say"
        return kept, doubled

    def _table(self, filled: Floats, y: Labels, columns: Mapping[str, list[int]]) -> Table:
        at = [i for own in columns.values() for i in own]
        fit = fit_maximum_likelihood(filled[:, at], y)
        spans, first = {}, 1
        for name, own in columns.items():
            spans[name] = slice(first, first + len(own))
            first += len(own)
        names = [name for name, own in columns.items() for _ in own]
        rows = tuple(
            self._row(fit, place, name, i) for place, (name, i) in enumerate(zip(names, at, strict=True), start=1)
        )
        by_ratio = self.test == "likelihood_ratio" and len(columns) == 1
        p_values = {
            name: _ratio_p(fit, y, span.stop - span.start) if by_ratio else _wald_p(fit, span)
            for name, span in spans.items()
        }
        return Table(rows=rows, p_values=p_values, method=fit.method, intercept=float(fit.coefficients[0]))

    def _row(self, fit: LogisticFit, place: int, predictor: str, column: int) -> OddsRow:
        value, error = float(fit.coefficients[place]), float(fit.standard_errors[place])
        width = ndtri((1 + CONFIDENCE) / 2) * error
        level = self.names[column].partition(LEVEL)[2]
        return OddsRow(
            predictor=predictor,
            level=level,
            reference=self.reference[predictor],
            odds_ratio=_exp(value),
            low=_exp(value - width),
            high=_exp(value + width),
            coefficient=value,
            standard_error=error,
            p_value=float(2 * ndtr(-abs(value) / error)) if error > 0 else 1.0,
        )


def predictors(names: Sequence[str]) -> dict[str, list[int]]:
    """Returns the places of each predictor's columns, categories gathered."""
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(name.partition(".")[2].partition(LEVEL)[0], []).append(place)
    return found


def _wald_p(fit: LogisticFit, span: slice) -> float:
    """Returns the p-value of some coefficients all being 0."""
    part, block = fit.coefficients[span], fit.covariance[span, span]
    statistic = float(part @ np.linalg.pinv(block, hermitian=True) @ part)
    return float(chdtrc(len(part), max(statistic, 0.0)))


def _ratio_p(fit: LogisticFit, y: Labels, n_coefficients: int) -> float:
    if fit.method == "firth":  # plain likelihoods of penalized fits are not those of maxima
        return _wald_p(fit, slice(1, 1 + n_coefficients))
    share = y.mean()
    null = float(len(y) * (share * np.log(share) + (1 - share) * np.log(1 - share)))
    return float(chdtrc(n_coefficients, max(2 * (fit.log_likelihood - null), 0.0)))


def _rank(Z: Floats) -> int:
    centered = Z - Z.mean(axis=0)
    return int(np.linalg.matrix_rank(centered / centered.std(axis=0), tol=RANK_TOLERANCE * np.sqrt(len(Z))))


def _exp(value: float) -> float:
    return float(np.exp(np.clip(value, -700, 700)))
