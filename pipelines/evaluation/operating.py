"""Operating points: a threshold chosen on training patients, and what it does to a cohort.

A patient is called positive when his probability reaches the threshold.
"""

import numpy as np

from pipelines.evaluation.estimates import Estimate, Floats, Labels, absent, class_problem, percentile, wilson


def youden_threshold(y: Labels, p: Floats) -> float | None:
    """Returns the threshold with the largest sensitivity plus specificity, the highest one of equals.

    Source: Youden 1950, Cancer 3:32.
    """
    if class_problem(y):
        return None
    scores, sensitivity, specificity = _at_every_score(y, p)
    return float(scores[np.argmax(np.round(sensitivity + specificity, 12))])


def sensitivity_threshold(y: Labels, p: Floats, target: float) -> float | None:
    """Returns the highest threshold that finds at least the target share of the patients with the outcome."""
    if class_problem(y):
        return None
    scores, sensitivity, _ = _at_every_score(y, p)
    return float(scores[np.flatnonzero(sensitivity >= target - 1e-12)[0]])


def sensitivity_name(target: float) -> str:
    """Returns the name of the operating point of a target sensitivity, such as `sensitivity_90`."""
    return f"sensitivity_{round(100 * target, 1):g}".replace(".", "_")


def confusion(y: Labels, p: Floats, threshold: float) -> dict[str, int]:
    """Returns the four counts: true and false positives, false and true negatives."""
    called, has = p >= threshold, y == 1
    return {
        "tp": int((called & has).sum()),
        "fp": int((called & ~has).sum()),
        "fn": int((~called & has).sum()),
        "tn": int((~called & ~has).sum()),
    }


def operating_point(y: Labels, p: Floats, threshold: float, counts: Floats, confidence: float) -> dict[str, Estimate]:
    """Returns what the threshold does: shares with Wilson's interval, F1 and balanced accuracy with a bootstrap one.

    Args:
        y: Labels, shape (n,).
        p: Probabilities, shape (n,).
        threshold: The threshold probability.
        counts: How often each patient was drawn, shape (n_draws, n).
        confidence: The intervals' confidence.
    """
    c = confusion(y, p, threshold)
    shares = {
        "accuracy": (c["tp"] + c["tn"], len(y)),
        "sensitivity": (c["tp"], c["tp"] + c["fn"]),
        "specificity": (c["tn"], c["tn"] + c["fp"]),
        "ppv": (c["tp"], c["tp"] + c["fp"]),
        "npv": (c["tn"], c["tn"] + c["fn"]),
    }
    found = {name: wilson(k, n, confidence) for name, (k, n) in shares.items()}
    if problem := class_problem(y):
        return found | {"f1": absent(problem), "balanced_accuracy": absent(problem)}
    once = _composite(y, p, threshold, np.ones((1, len(y))))
    drawn = _composite(y, p, threshold, counts)
    return found | {name: percentile(float(once[name][0]), drawn[name], confidence) for name in once}


def _composite(y: Labels, p: Floats, threshold: float, counts: Floats) -> dict[str, Floats]:
    called, has = p >= threshold, y == 1
    kinds = np.column_stack([called & has, called & ~has, ~called & has, ~called & ~has]).astype(np.float64)
    tp, fp, fn, tn = (counts @ kinds).T
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = 2 * tp / (2 * tp + fp + fn)
        balanced = (tp / (tp + fn) + tn / (tn + fp)) / 2
    return {"f1": f1, "balanced_accuracy": balanced}


def _at_every_score(y: Labels, p: Floats) -> tuple[Floats, Floats, Floats]:
    """Returns the distinct scores, descending, with sensitivity and specificity of calling from each on."""
    scores = np.unique(p)[::-1]
    called = p[None, :] >= scores[:, None]
    sensitivity = (called & (y == 1)).sum(axis=1) / (y == 1).sum()
    specificity = (~called & (y == 0)).sum(axis=1) / (y == 0).sum()
    return scores, sensitivity, specificity
