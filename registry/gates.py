"""Gates: what a version must meet to become champion, each with the value measured, the limit and the verdict.

A gate reads a dossier: what was measured when the version was registered (the model's block of `metrics.json` by
cohort, its predictions on external patients, subgroups, controls, checklists), the same of the champion, and what the
ledger knows.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import InputError

Evidence = Mapping[str, Any]
Patient = tuple[str, str]
"""Center and case_id."""
EXTERNAL = "external"
ONE_SIDED = 0.9
"""A two-sided interval of 90 % has the one-sided bounds of 95 % that non-inferiority is judged by."""


class Compare(Protocol):
    """Compares two models on the same patients; given by who owns the statistics."""

    def __call__(
        self, y: NDArray[np.int8], own: NDArray[np.float64], other: NDArray[np.float64], confidence: float
    ) -> tuple[float, float, float] | None:
        """Returns the difference in AUC, own less other, with its interval; None where there is none."""
        ...


@dataclass(frozen=True, kw_only=True)
class Dossier:
    """What gates judge by.

    Args:
        evidence: What was measured of the version.
        champion: The same of the champion; none when there is none.
        taught: Patients that one of the two was trained on; they compare nothing.
        reads: How often the labels of each external center were read by gates before.
        is_reproduced: Whether the package was made again from its record, and came out the same; None: not tried.
        compare: The paired test.
    """

    evidence: Evidence
    champion: Evidence | None = None
    taught: frozenset[Patient] = frozenset()
    reads: Mapping[str, int] = field(default_factory=dict)
    is_reproduced: bool | None = None
    compare: Compare | None = None


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
    """Judges a version by its dossier."""

    def __call__(self, dossier: Dossier) -> GateResult:
        """Returns the verdict."""
        ...


def gates_from(limits: Mapping[str, Any]) -> list[Gate]:
    """Returns the gates of `registry.gates`; a limit that is None or false asks for nothing.

    Raises:
        UnknownGateError: A limit has no gate.
    """
    unknown = sorted(set(limits) - set(_GATES))
    if unknown:
        raise UnknownGateError(f"no gate called {', '.join(unknown)}; there are {', '.join(_GATES)}")
    return [_GATES[name](name, limit) for name, limit in limits.items() if limit is not None and limit is not False]


def judge(gates: list[Gate], dossier: Dossier) -> list[GateResult]:
    """Returns the verdict of each gate in order."""
    return [gate(dossier) for gate in gates]


def external_centers(evidence: Evidence) -> list[str]:
    """Returns the external centers whose labels the evidence rests on."""
    return sorted({str(row["center"]) for row in evidence.get("predictions") or []})


def metric(evidence: Evidence, name: str, cohort: str = EXTERNAL) -> float | None:
    """Returns one measured number, or None where it is absent or undefined."""
    return _number(evidence.get("metrics", {}).get(cohort, {}).get(name))


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None  # type: ignore[arg-type]


Maker = Callable[[str, Any], Gate]


def _measured(measure: Callable[[Dossier], tuple[float | None, str]], words: str, passes: Callable[..., bool]) -> Maker:
    """Returns the maker of a gate that measures one value and holds it against its limit.

    Args:
        measure: Returns the value, None where it was not measured, and what it rests on.
        words: The limit in words, with a place for it.
        passes: Takes value and limit.
    """

    def make(name: str, limit: Any) -> Gate:
        def gate(dossier: Dossier) -> GateResult:
            value, note = measure(dossier)
            met = value is not None and passes(value, limit)
            shown = words.format(*limit) if isinstance(limit, list | tuple) else words.format(limit)
            return GateResult(name=name, measured=value, limit=shown, passed=met, note=note)

        return gate

    return make


def _recorded(name: str) -> Callable[[Dossier], tuple[float | None, str]]:
    def measure(dossier: Dossier) -> tuple[float | None, str]:
        n = metric(dossier.evidence, "n")
        return metric(dossier.evidence, name), "not measured" if n is None else f"{n:.0f} external patients"

    return measure


def _not_worse(name: str, margin: float) -> Gate:
    """Non-inferiority: the one-sided 95 % bound of the AUC lost against the champion, on patients new to both.

    Source: Liu et al. 2006, Statistics in Medicine 25:1219 (non-inferiority of paired areas).
    """

    def gate(dossier: Dossier) -> GateResult:
        limit = f"surely at most {margin:g} below the champion"
        if dossier.champion is None:
            return GateResult(name=name, measured=None, limit=limit, passed=True, note="there is no champion")
        loss, note = _surest_loss(dossier, dossier.champion)
        return GateResult(name=name, measured=loss, limit=limit, passed=loss is not None and loss <= margin, note=note)

    return gate


def _surest_loss(dossier: Dossier, champion: Evidence) -> tuple[float | None, str]:
    own, other = external_scores(dossier.evidence), external_scores(champion)
    both = sorted((own.keys() & other.keys()) - dossier.taught)
    y = np.array([own[key][0] for key in both], dtype=np.int8)
    found = None
    if both and dossier.compare is not None:
        columns = [np.array([scores[key][1] for key in both]) for scores in (own, other)]
        found = dossier.compare(y, columns[0], columns[1], ONE_SIDED)
    if found is None:
        return None, f"not comparable on {len(both)} patients that both scored and neither was trained on"
    difference, low, _ = found
    return round(-low, 12), f"loses {-difference:.3f} on {len(both)} patients that neither was trained on"


def external_scores(evidence: Evidence) -> dict[Patient, tuple[int, float]]:
    """Returns label and probability of each external patient that the version was judged on."""
    rows = evidence.get("predictions") or []
    return {(str(row["center"]), str(row["case_id"])): (int(row["y"]), float(row["p"])) for row in rows}


def _worth(name: str, threshold: float) -> Gate:
    """Net benefit less that of treating everybody, on external patients.

    Source: Vickers and Elkin 2006, Medical Decision Making 26:565.
    """

    def gate(dossier: Dossier) -> GateResult:
        limit = f"above 0 at a threshold of {threshold:g}"
        rows = list(external_scores(dossier.evidence).values())
        if not rows:
            return GateResult(name=name, measured=None, limit=limit, passed=False, note="no external predictions")
        y, p = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
        odds = threshold / (1 - threshold)
        gained = np.where(y == 1, 1.0, -odds) * ((p >= threshold).astype(np.float64) - 1)
        value = float(gained.mean())
        return GateResult(name=name, measured=value, limit=limit, passed=value > 0, note=f"{len(rows)} patients")

    return gate


def _lowest_subgroup(dossier: Dossier) -> tuple[float | None, str]:
    rows = [(row, _number(row.get("auc"))) for row in dossier.evidence.get("subgroups") or []]
    told = [(value, f"{row['subgroup']}: {row['level']}") for row, value in rows if value is not None]
    return min(told) if told else (None, "no subgroup is large enough to tell")


def _controls(dossier: Dossier) -> tuple[float | None, str]:
    controls = dossier.evidence.get("controls") or []
    failed = [str(control["name"]) for control in controls if not control["passed"]]
    return (float(len(failed)), ", ".join(failed) or f"{len(controls)} controls") if controls else (None, "none ran")


def _checklists(dossier: Dossier) -> tuple[float | None, str]:
    told = [(float(share), str(name)) for name, share in (dossier.evidence.get("checklists") or {}).items()]
    return min(told) if told else (None, "no checklist was filled")


def _reads(dossier: Dossier) -> tuple[float | None, str]:
    told = [(float(dossier.reads.get(name, 0)), name) for name in external_centers(dossier.evidence)]
    return max(told) if told else (None, "no external center")


def _made_again(dossier: Dossier) -> tuple[float | None, str]:
    made = dossier.is_reproduced
    return (
        (None, "`radmill registry reproduce` tries it")
        if made is None
        else (float(made), "made again in a new process")
    )


def _at_least(value: float, limit: float) -> bool:
    return value >= limit


def _at_most(value: float, limit: float) -> bool:
    return value <= limit


_GATES: dict[str, Maker] = {
    "external_auc_minimum": _measured(_recorded("auc"), "at least {:g}", _at_least),
    "external_auc_low_minimum": _measured(_recorded("auc_low"), "at least {:g}", _at_least),
    "external_n_minimum": _measured(_recorded("n"), "at least {:g}", _at_least),
    "calibration_slope_range": _measured(
        _recorded("calibration_slope"), "{:g} to {:g}", lambda value, limit: limit[0] <= value <= limit[1]
    ),
    "not_worse_than_champion_by": _not_worse,
    "net_benefit_at": _worth,
    "subgroup_auc_minimum": _measured(_lowest_subgroup, "at least {:g}", _at_least),
    "controls_passed": _measured(_controls, "none failed", lambda value, _: value == 0),
    "checklist_minimum": _measured(_checklists, "at least {:g}", _at_least),
    "external_reads_maximum": _measured(_reads, "at most {:g} reads before", _at_most),
    "reproducible": _measured(_made_again, "the same again", lambda value, _: value == 1),
}
