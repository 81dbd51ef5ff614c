"""The model card of a registered version: what its package knows, joined with what the ledger remembers.

The card inside a package says what was known when the model was made; this one also has what happened since.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from featurestore.visible import in_markdown
from registry.gates import external_centers
from registry.ledger import Event
from registry.package import ModelPackage
from registry.states import ModelVersion

_COLUMNS = ("auc", "average_precision", "brier")
_CALIBRATION = ("calibration_slope", "calibration_intercept", "observed_expected", "ici")


_MADE_AGAIN = {None: "not tried", True: "the same package", False: "**another package**"}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a version stands in its registry, beyond what its own history tells.

    Args:
        verdicts: The gates' latest verdicts on it, in order.
        reads: How often the labels of each external center decided about a version.
    """

    verdicts: Sequence[Mapping[str, Any]] = ()
    reads: Mapping[str, int] = field(default_factory=dict)


def version_card(
    version: ModelVersion,
    package: ModelPackage,
    evidence: Mapping[str, Any],
    intended_use: str,
    standing: Standing | None = None,
) -> str:
    """Returns the card as Markdown.

    Args:
        version: The version, with its history.
        package: Its package.
        evidence: What was measured when it was registered.
        intended_use: The statement of `params.yaml`.
        standing: How it stands in its registry, where that is to be told.
    """
    metrics, stands = evidence.get("metrics", {}), standing or Standing()
    parts = [
        f"# {in_markdown(version.model)}, version {version.number} ({version.state})",
        *(
            [f"**Promoted in spite of its gates:** {in_markdown('; '.join(version.overrides))}"]
            if version.overrides
            else []
        ),
        f"**Intended use.** {in_markdown(intended_use)}",
        "## Model",
        _facts(version, package),
        "## Performance",
        _cohorts(metrics, _COLUMNS),
        "## Calibration",
        _cohorts(metrics, _CALIBRATION),
        "## Gates",
        _gates(stands.verdicts),
        "## External patients",
        _reads(external_centers(evidence), stands.reads),
        "## How to score",
        _scoring(version),
        "## History",
        _table(("when (UTC)", "event", "by", "why"), map(_event_row, version.history)),
        "## As made",
        in_markdown(package.card.strip()) or "The package has no card of its own.",
    ]
    return "\n\n".join(parts) + "\n"


def _facts(version: ModelVersion, package: ModelPackage) -> str:
    manifest = package.manifest
    service = manifest["service"]
    facts = {
        "estimator": package.estimator,
        "features": f"{len(package.features)} ({', '.join(service.get('phases', []))})",
        "outcome": _outcome(manifest["label"]),
        "operating points": ", ".join(f"{name} {value:.3f}" for name, value in sorted(package.thresholds.items())),
        "feature set": manifest["feature_set"],
        "extraction": f"{manifest['extraction'].get('engine', '')} {_short(manifest['extraction'].get('fingerprint'))}",
        "training set": _short(version.training_set),
        "package": version.digest,
        "made by radmill": manifest["release"],
        "made again": _MADE_AGAIN[version.is_reproduced],
        "patients who withdrew since": version.withdrawn,
    }
    return _table(("what", "value"), ((name, str(value)) for name, value in facts.items()))


def _outcome(label: Any) -> str:
    return str(label.get("name", "")) if isinstance(label, dict) else str(label)


def _cohorts(metrics: Mapping[str, Mapping[str, Any]], columns: Sequence[str]) -> str:
    rows = (
        (cohort, str(block.get("n", "")), str(block.get("events", "")), *(_estimate(block, name) for name in columns))
        for cohort, block in metrics.items()
    )
    return _table(("cohort", "n", "events", *(name.replace("_", " ") for name in columns)), rows)


def _gates(verdicts: Sequence[Mapping[str, Any]]) -> str:
    if not verdicts:
        return "No gate has judged this version yet."
    rows = (
        (
            str(one["name"]),
            "not measured" if one["measured"] is None else f"{one['measured']:.3f}",
            str(one["limit"]),
            "passed" if one["passed"] else "**not met**",
            str(one.get("note", "")),
        )
        for one in verdicts
    )
    return _table(("gate", "measured", "limit", "verdict", "rests on"), rows)


def _reads(centers: Sequence[str], reads: Mapping[str, int]) -> str:
    """Tells of each external center whether its labels decided before: then its figures flatter what was chosen."""
    if not centers:
        return "There were no external patients."
    told = ((name, f"spent: read {reads[name]} times" if reads.get(name) else "sealed") for name in centers)
    return _table(("center", "its labels"), told)


def _scoring(version: ModelVersion) -> str:
    there = f"radmill score --package FILE --images DIR --out scores.csv --digest {version.digest}"
    return (
        "In the study: files into `incoming/<center>/`, then `radmill score`; the champion scores.\n\n"
        f"Elsewhere: `radmill export {version.number} FILE` here, then there `{there}`."
    )


def _estimate(block: Mapping[str, Any], name: str) -> str:
    value, low, high = (block.get(key) for key in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return "not measured"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _event_row(event: Event) -> Sequence[str]:
    overruled = event.details.get("overruled")
    note = f" (overruled: {', '.join(overruled)})" if overruled else ""
    return event.when, event.verb.replace("_", " "), event.who, event.why + note


def _short(digest: Any) -> str:
    return str(digest or "")[:12]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(in_markdown(cell).replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )
