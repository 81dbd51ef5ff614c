"""What the manifests of packages of every kind have in common."""

from typing import Any

import numpy as np

from featurestore.statistics import quantiles
from featurestore.training_sets import TrainingSet
from pipelines.models.base import Floats
from pipelines.record import installed
from pipelines.training.out_of_fold import Judged

Manifest = dict[str, Any]


def common_manifest(whole: TrainingSet, judged: Judged, target: float) -> Manifest:
    """Returns all but kind, model, reference and what one kind alone has.

    Args:
        whole: The training set.
        judged: What cross-validation says.
        target: The second operating point, next to Youden's.
    """
    from pipelines.training.out_of_fold import out_of_fold_metrics, thresholds

    record = whole.record
    rules, used = record["rules"], phases_of(record["service"])
    return {
        "features": [{"name": column.name, "unit": column.unit} for column in whole.columns],
        "service": record["service"],
        # a hospital need only send the phases that the model sees
        "rules": {**rules, "phases": {phase: rules["phases"][phase] for phase in used if phase in rules["phases"]}},
        "extraction": record["extraction"],
        "feature_set": record["feature_set"],
        "training_set": whole.digest,
        "label": record["label"],
        "metrics_oof": out_of_fold_metrics(judged),
        "release": installed("radmill")["radmill"],
        "thresholds": thresholds(judged.flattering, target),
    }


def phases_of(service: dict[str, Any]) -> list[str]:
    """Returns the phases of a service and of what is joined to it."""
    return list(dict.fromkeys(phase for part in (service, *service.get("joins", ())) for phase in part["phases"]))


def golden_inputs(X: Floats) -> Floats:
    """Returns synthetic rows that no patient is: quartiles, alternating ends, and nothing known at all."""
    table = quantiles(X, n=5)
    alternating = np.where(np.arange(X.shape[1]) % 2 == 0, table[:, 1], table[:, 3])
    return np.vstack([table[:, 1], table[:, 2], table[:, 3], alternating, np.full(X.shape[1], np.nan)])
