"""The model card of a registered version: what its package knows, joined with what the ledger remembers.

The card inside a package says what was known when the model was made; this one also has what happened since.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry.ledger import Event
from registry.package import ModelPackage
from registry.states import ModelVersion

_COLUMNS = ("auc", "average_precision", "brier", "calibration_slope")


def version_card(version: ModelVersion, package: ModelPackage, evidence: Mapping[str, Any], intended_use: str) -> str:
    """Returns the card as Markdown.

    Args:
        version: The version, with its history.
        package: Its package.
        evidence: What was measured when it was registered.
        intended_use: The statement of `params.yaml`.
    """
    parts = [
        f"# {version.model}, version {version.number} ({version.state})",
        *([f"**Promoted in spite of its gates:** {'; '.join(version.overrides)}"] if version.overrides else []),
        f"**Intended use.** {intended_use}",
        "## Model",
        _facts(version, package),
        "## Performance",
        _performance(evidence.get("metrics", {})),
        "## History",
        _table(("when (UTC)", "event", "by", "why"), map(_event_row, version.history)),
        "## As made",
        package.card.strip() or "The package has no card of its own.",
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
    }
    return _table(("what", "value"), ((name, str(value)) for name, value in facts.items()))


def _outcome(label: Any) -> str:
    return str(label.get("name", "")) if isinstance(label, dict) else str(label)


def _performance(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    rows = (
        (cohort, str(block.get("n", "")), str(block.get("events", "")), *(_estimate(block, name) for name in _COLUMNS))
        for cohort, block in metrics.items()
    )
    return _table(("cohort", "n", "events", *(name.replace("_", " ") for name in _COLUMNS)), rows)


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
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )
