"""DeLong and bootstrap on 100,000 predictions, beside the obvious implementations, with equal results.

    python benchmarks/auc_statistics.py [--patients 100000] [--draws 200] [--rounds 3] [--out …]

- DeLong's interval and paired test: every positive is compared with every negative, which is O(n²); radmill ranks.
- Bootstrap interval: each draw's patients are gathered and given to scikit-learn's `roc_auc_score`; radmill sorts once
  and weighs. Both draw the same patients.

One thread; rounds alternate; medians of wall-clock and processor seconds.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from featurestore.files import write_json
from pipelines.evaluation.discrimination import auc_estimate, delong_test, drawn_auc
from pipelines.record import installed

RESULTS = Path(__file__).parent / "results" / "auc_statistics.json"
CONFIDENCE = 0.95
ROWS = 200
"""Positives compared at a time by the obvious way; more take more memory and no less time."""


def cohort(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and the probabilities of two related models; the second's are rounded, so that there are ties."""
    rng = np.random.default_rng(n)
    y = (rng.random(n) < 0.3).astype(np.int8)
    shared = rng.normal(size=n)
    first = expit(0.8 * y + shared + 0.5 * rng.normal(size=n))
    second = expit(0.7 * y + shared + 0.5 * rng.normal(size=n)).round(4)
    return y, first, second


def obvious_placements(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    positive, negative = p[y == 1], p[y == 0]
    above, below = np.empty(len(positive)), np.zeros(len(negative))
    for start in range(0, len(positive), ROWS):
        some = positive[start : start + ROWS, None]
        won = (some > negative) + 0.5 * (some == negative)
        above[start : start + ROWS] = won.mean(axis=1)
        below += won.sum(axis=0)
    return above, below / len(positive)


def obvious_delong(y: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[float]:
    """Area of the first and its interval, difference of both and its p-value."""
    (a1, b1), (a2, b2) = obvious_placements(y, first), obvious_placements(y, second)

    def error(above: np.ndarray, below: np.ndarray) -> float:
        return float(np.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)))

    half = norm.ppf(0.5 + CONFIDENCE / 2) * error(a1, b1)
    difference = a1.mean() - a2.mean()
    p_value = 2 * norm.sf(abs(difference) / error(a1 - a2, b1 - b2))
    return [a1.mean(), a1.mean() - half, a1.mean() + half, difference, p_value]


def radmill_delong(y: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[Any]:
    estimate, test = auc_estimate(y, first, CONFIDENCE), delong_test(y, first, second, CONFIDENCE)
    return [estimate.value, estimate.low, estimate.high, test.difference.value, test.p_value]


def obvious_bootstrap(y: np.ndarray, p: np.ndarray, draws: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    drawn = (rng.integers(len(y), size=len(y)) for _ in range(draws))
    return np.array([roc_auc_score(y[rows], p[rows]) for rows in drawn])


def radmill_bootstrap(y: np.ndarray, p: np.ndarray, draws: int) -> np.ndarray:
    return drawn_auc(y, p, draws, np.random.default_rng(1))


def timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = function()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def compare(name: str, own: Callable[[], Any], obvious: Callable[[], Any], rounds: int) -> dict[str, Any]:
    times: dict[str, list[float]] = {"radmill": [], "radmill_cpu": [], "obvious": [], "obvious_cpu": []}
    largest = 0.0
    for _ in range(rounds):
        found = {}
        for who, function in (("radmill", own), ("obvious", obvious)):
            found[who], wall, cpu = timed(function)
            times[who].append(wall)
            times[f"{who}_cpu"].append(cpu)
        largest = max(largest, float(np.abs(np.subtract(found["radmill"], found["obvious"])).max()))
    seconds = {key: float(np.median(values)) for key, values in times.items()}
    return {
        "what": name,
        "rounds": rounds,
        "seconds": {key: round(value, 4) for key, value in seconds.items()},
        "ratio": round(seconds["obvious"] / seconds["radmill"], 1),
        "ratio_cpu": round(seconds["obvious_cpu"] / seconds["radmill_cpu"], 1),
        "largest_difference": largest,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=100_000)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    y, first, second = cohort(chosen.patients)
    with threadpool_limits(1):
        radmill_delong(*cohort(1000)), radmill_bootstrap(*cohort(1000)[:2], 10), obvious_bootstrap(*cohort(1000)[:2], 2)
        rows = [
            compare(
                "DeLong's interval and paired test",
                lambda: radmill_delong(y, first, second),
                lambda: obvious_delong(y, first, second),
                chosen.rounds,
            ),
            compare(
                f"bootstrap, {chosen.draws} draws",
                lambda: radmill_bootstrap(y, first, chosen.draws),
                lambda: obvious_bootstrap(y, first, chosen.draws),
                chosen.rounds,
            ),
        ]
    machine = {"system": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    content = {"machine": machine, "versions": installed("radmill", "numpy", "scikit-learn"), "patients": len(y)}
    write_json(chosen.out, {**content, "rows": rows})
    print(*rows, sep="\n")


if __name__ == "__main__":
    main()
