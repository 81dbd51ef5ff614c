"""What differs between two registered versions: patients, features, settings, and AUC on common patients."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from featurestore.errors import RadmillError
from featurestore.training_sets import TrainingSet
from pipelines.candidates import paired_difference
from pipelines.evaluation.estimates import Floats, Labels
from registry.gates import external_scores, metric
from registry.lifecycle import Registry
from registry.states import ModelVersion

CONFIDENCE = 0.95
METRICS = ("auc", "average_precision", "brier", "calibration_slope")
COHORTS = ("training", "internal", "external")
ABSENT = "absent"
_OF_THE_FIT = (
    "acquisition",
    "drift",
    "files",
    "metrics_oof",
    "thresholds",
    "features",
    "members",
    "golden",
    "reference",
)
"""Parts of a manifest that differ whenever anything does, or have a place of their own here."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Two versions side by side.

    Args:
        versions: One row a version: number, model, state, package, patients, events.
        patients: How many patients were in both training sets, in one only; None where a set is not here.
        features: How many features both need, and those that one alone needs.
        settings: Rows of what was set differently: name, first, second.
        metrics: Rows of measures by cohort as they were at registration.
        paired: The difference in external AUC (first less second) on patients that neither was trained on.
    """

    versions: list[dict[str, object]]
    patients: dict[str, int] | None
    features: dict[str, object]
    settings: list[dict[str, object]]
    metrics: list[dict[str, object]]
    paired: dict[str, object]

    def plain(self) -> dict[str, object]:
        """Returns the contrast as JSON types."""
        return asdict(self)


def contrast(registry: Registry, first: str, second: str) -> Contrast:
    """Compares two versions; what is not on this machine (a training set) is left out.

    Args:
        registry: The study's registry.
        first: An alias, a number, a digest's beginning or a model's name.
        second: The other version.

    Raises:
        UnknownVersionError: There is no such version.
        PackageAbsentError: A package's bytes are not here.
    """
    versions = [registry.version(selector) for selector in (first, second)]
    manifests = [registry.package(version).manifest for version in versions]
    evidence = [registry.evidence(version) for version in versions]
    sets = [_kept(registry, version) for version in versions]
    taught = [_patients(one) for one in sets if one is not None]
    return Contrast(
        versions=[_row(version, one) for version, one in zip(versions, sets, strict=True)],
        patients=_shares(*taught) if len(taught) == len(sets) else None,
        features=_features(*manifests),
        settings=_settings(*manifests),
        metrics=_metrics(*evidence),
        paired=_paired(evidence[0], evidence[1], set().union(*taught)),
    )


def _kept(registry: Registry, version: ModelVersion) -> TrainingSet | None:
    try:
        return TrainingSet.load(registry.models / "training" / version.training_set)
    except (RadmillError, OSError):
        return None


def _patients(kept: TrainingSet) -> set[tuple[str, str]]:
    return set(zip(kept.center.tolist(), kept.case_id.tolist(), strict=True))


def _row(version: ModelVersion, kept: TrainingSet | None) -> dict[str, object]:
    counts = {"patients": len(kept.y), "events": int(kept.y.sum())} if kept is not None else {}
    names = ("version", "model", "state", "package", "reproducible")
    return {**{name: version.plain()[name] for name in names}, **counts}


def _shares(first: set[tuple[str, str]], second: set[tuple[str, str]]) -> dict[str, int]:
    return {"both": len(first & second), "first only": len(first - second), "second only": len(second - first)}


def _features(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, object]:
    names = [[item["name"] for item in manifest["features"]] for manifest in (first, second)]
    only = [[name for name in own if name not in set(other)] for own, other in (names, names[::-1])]
    return {"both": len(names[0]) - len(only[0]), "first only": only[0], "second only": only[1]}


def _settings(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[dict[str, object]]:
    own, other = ({k: v for k, v in manifest.items() if k not in _OF_THE_FIT} for manifest in (first, second))
    return [{"setting": name, "first": a, "second": b} for name, a, b in _differing(own, other)]


def _differing(first: object, second: object, path: str = "") -> Iterator[tuple[str, object, object]]:
    """Yields where two trees differ; a branch that one of them lacks is one line and not one a leaf."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in sorted(first.keys() | second.keys()):
            yield from _differing(first.get(key, ABSENT), second.get(key, ABSENT), f"{path}.{key}" if path else key)
    elif first != second:
        yield path, _shown(first), _shown(second)


def _shown(value: object) -> object:
    return f"({len(value)} settings)" if isinstance(value, Mapping) else value


def _metrics(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[dict[str, object]]:
    return [
        {"cohort": cohort, "measure": name, "first": own, "second": other}
        for cohort in COHORTS
        for name in METRICS
        if (own := metric(first, name, cohort)) is not None or metric(second, name, cohort) is not None
        for other in [metric(second, name, cohort)]
    ]


def _paired(first: Mapping[str, Any], second: Mapping[str, Any], taught: set[tuple[str, str]]) -> dict[str, object]:
    own, other = (external_scores(one) for one in (first, second))
    both = sorted((own.keys() & other.keys()) - taught)
    y: Labels = np.array([own[key][0] for key in both], dtype=np.int8)
    columns: list[Floats] = [np.array([scores[key][1] for key in both]) for scores in (own, other)]
    found = paired_difference(y, columns[0], columns[1], CONFIDENCE) if both else None
    if found is None:
        return {"patients": len(both), "difference": None}
    return {"patients": len(both), "difference": found[0], "low": found[1], "high": found[2]}
