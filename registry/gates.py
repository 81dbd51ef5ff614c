"""Gates: what a version must meet to become champion, each with the value measured, the limit and the verdict.

Evidence is what was measured when the version was registered: the model's block of `metrics.json` by cohort, and, where
given, its predictions on external patients.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from scipy.stats import rankdata

from featurestore.errors import InputError

Evidence = Mapping[str, Any]
EXTERNAL = "external"


class UnknownGateError(InputError):
    """The settings ask for a gate that does not exist."""

    default_remedy = "correct registry.gates in params.yaml"


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """How a gate was met.

    Args:
        name: The gate.
        measured: The value seen; None when it was not measured, which passes no gate.
        limit: The limit in words.
        passed: The verdict.
        note: What the value rests on.
    """

    name: str
    measured: float | None
    limit: str
    passed: bool
    note: str = ""

    def plain(self) -> dict[str, object]:
        """Returns the result as a table row."""
        return asdict(self)

    def line(self) -> str:
        """Returns the result as one line of text."""
        seen = "not measured" if self.measured is None else f"{self.measured:.3f}"
        note = f" ({self.note})" if self.note and self.measured is not None else ""
        return f"{self.name}: {seen}, limit {self.limit}{note}: {'passed' if self.passed else 'not met'}"


class GateRefusedError(InputError):
    """A gate is not met. `results` has the verdict of every gate."""

    default_remedy = (
        "improve the model or its evidence, or record an override with its reason (`radmill promote --help`)"
    )
    results: tuple[GateResult, ...] = ()

    @classmethod
    def of(cls, number: int, model: str, results: Sequence[GateResult]) -> "GateRefusedError":
        """Returns the refusal of a version with its table of gates."""
        refused = [result.name for result in results if not result.passed]
        table = "\n".join(f"  {result.line()}" for result in results)
        what = f"{len(refused)} of {len(results)} gates not met: {', '.join(refused)}\n{table}"
        error = cls(what, where=f"version {number} ({model})")
        error.results = tuple(results)
        return error


class Gate(Protocol):
    """Judges a version by its evidence, beside the champion's where there is one."""

    def __call__(self, evidence: Evidence, champion: Evidence | None) -> GateResult:
        """Returns the verdict."""
        ...


def gates_from(limits: Mapping[str, Any]) -> list[Gate]:
    """Returns the gates of `registry.gates`; a limit that is None asks for nothing.

    Raises:
        UnknownGateError: A limit has no gate.
    """
    unknown = sorted(set(limits) - set(_GATES))
    if unknown:
        raise UnknownGateError(f"no gate called {', '.join(unknown)}; there are {', '.join(_GATES)}")
    return [_GATES[name](name, limit) for name, limit in limits.items() if limit is not None]


def judge(gates: list[Gate], evidence: Evidence, champion: Evidence | None) -> list[GateResult]:
    """Returns the verdict of each gate in order."""
    return [gate(evidence, champion) for gate in gates]


def metric(evidence: Evidence, name: str, cohort: str = EXTERNAL) -> float | None:
    """Returns one measured number, or None where it is absent or undefined."""
    value = evidence.get("metrics", {}).get(cohort, {}).get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def _at_least(metric_name: str) -> Callable[[str, Any], Gate]:
    def make(name: str, limit: float) -> Gate:
        def gate(evidence: Evidence, champion: Evidence | None) -> GateResult:
            value = metric(evidence, metric_name)
            passed = value is not None and value >= limit
            return GateResult(
                name=name, measured=value, limit=f"at least {limit:g}", passed=passed, note=_cohort_note(evidence)
            )

        return gate

    return make


def _within(metric_name: str) -> Callable[[str, Any], Gate]:
    def make(name: str, limit: tuple[float, float]) -> Gate:
        def gate(evidence: Evidence, champion: Evidence | None) -> GateResult:
            value = metric(evidence, metric_name)
            passed = value is not None and limit[0] <= value <= limit[1]
            shown = f"{limit[0]:g} to {limit[1]:g}"
            return GateResult(name=name, measured=value, limit=shown, passed=passed, note=_cohort_note(evidence))

        return gate

    return make


def _not_worse(name: str, margin: float) -> Gate:
    """The AUC lost against the champion, on the external patients that both scored where they are on record."""

    def gate(evidence: Evidence, champion: Evidence | None) -> GateResult:
        limit = f"at most {margin:g} below the champion"
        if champion is None:
            return GateResult(name=name, measured=None, limit=limit, passed=True, note="there is no champion")
        own, other, note = _paired_aucs(evidence, champion)
        if own is None or other is None:
            return GateResult(name=name, measured=None, limit=limit, passed=False, note="not measured")
        loss = round(other - own, 12)
        return GateResult(name=name, measured=loss, limit=limit, passed=loss <= margin, note=note)

    return gate


def _cohort_note(evidence: Evidence) -> str:
    n = metric(evidence, "n")
    return "not measured" if n is None else f"{n:.0f} external patients"


def _paired_aucs(evidence: Evidence, champion: Evidence) -> tuple[float | None, float | None, str]:
    first, second = _scores(evidence), _scores(champion)
    both = sorted(first.keys() & second.keys())
    if not both:
        return metric(evidence, "auc"), metric(champion, "auc"), "as recorded at registration"
    y = np.array([first[key][0] for key in both])
    aucs = [_auc(y, np.array([scores[key][1] for key in both])) for scores in (first, second)]
    return aucs[0], aucs[1], f"{len(both)} external patients scored by both"


def _scores(evidence: Evidence) -> dict[tuple[str, str], tuple[int, float]]:
    rows = evidence.get("predictions") or []
    return {(str(row["center"]), str(row["case_id"])): (int(row["y"]), float(row["p"])) for row in rows}


def _auc(y: np.ndarray[Any, Any], p: np.ndarray[Any, Any]) -> float | None:
    """Returns the area under the ROC curve as the Mann-Whitney statistic; ties count half."""
    n_events = int(y.sum())
    n_others = y.size - n_events
    if not n_events or not n_others:
        return None
    ranks = rankdata(p)[y == 1].sum()
    return float((ranks - n_events * (n_events + 1) / 2) / (n_events * n_others))


_GATES: dict[str, Callable[[str, Any], Gate]] = {
    "external_auc_minimum": _at_least("auc"),
    "external_auc_low_minimum": _at_least("auc_low"),
    "external_n_minimum": _at_least("n"),
    "calibration_slope_range": _within("calibration_slope"),
    "not_worse_than_champion_by": _not_worse,
}
