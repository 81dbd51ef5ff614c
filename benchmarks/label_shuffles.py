"""Negative control of a whole study: over label shuffles the mean AUC of every cohort but the apparent one is near 0.5.

Usage: python benchmarks/label_shuffles.py STUDY [--shuffles 20] [--trials 5] [--out FILE]

Labels are shuffled over all patients, development and external; each model is then searched and fitted as `tune` does.
Prints the mean per model and cohort, and how many intervals of the nested area hold 0.5. Exits 1 if a mean over models
lies outside 0.45–0.55, or if fewer than 17 of 20 intervals hold 0.5.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from featurestore.files import write_json
from featurestore.tables import read_frame
from featurestore.training_sets import TrainingSet
from featurestore.views import FeatureService, wide_frame
from pipelines.models.estimators import ESTIMATORS
from pipelines.params import Params, load_params
from pipelines.training.controls import ShuffledAucs, shuffled_aucs
from pipelines.workspace import Workspace

COHORTS = ("training", "internal", "external")
LOW, HIGH = 0.45, 0.55
HOLDING = 17 / 20


def external_rows(workspace: Workspace, whole: TrainingSet) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of the external patients who have both."""
    service = FeatureService.from_plain(whole.record["service"])
    wide = wide_frame(read_frame(workspace.features("external")), service, whole.names)
    labels = read_frame(workspace.outcomes("external"))
    joined = wide.merge(labels[["center", "case_id", "label"]].dropna(), on=["center", "case_id"])
    return joined[whole.names].to_numpy(dtype=np.float64), joined["label"].to_numpy(dtype=np.int8)


def shuffle_model(workspace: Workspace, params: Params, name: str, n_shuffles: int, trials: int) -> list[ShuffledAucs]:
    model = params.models[name]
    whole = TrainingSet.load(workspace.training(model.service))
    tuning = params.tuning.model_copy(update={"trials": trials, "repeats": 1})
    return shuffled_aucs(whole, *external_rows(workspace, whole), model, tuning, range(n_shuffles))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--shuffles", type=int, default=20)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    workspace = Workspace.find(chosen.study)
    params = load_params(workspace.params)
    means, holding = {}, {}
    for name, model in params.models.items():
        if model.estimator not in ESTIMATORS:
            continue
        found = shuffle_model(workspace, params, name, chosen.shuffles, chosen.trials)
        means[name] = {cohort: float(np.nanmean([getattr(one, cohort) for one in found])) for cohort in COHORTS}
        holding[name] = sum(one.training_low <= 0.5 <= one.training_high for one in found)
        told = "  ".join(f"{cohort} {mean:.3f}" for cohort, mean in means[name].items())
        print(f"{name:<34}{told}  intervals that hold 0.5: {holding[name]} of {len(found)}", flush=True)
    overall = {cohort: float(np.mean([row[cohort] for row in means.values()])) for cohort in COHORTS}
    share = sum(holding.values()) / (len(holding) * chosen.shuffles)
    content = {"shuffles": chosen.shuffles, "mean_over_models": overall, "models": means, "holding": holding}
    print(json.dumps({**content, "models": len(means)}))
    if chosen.out:
        write_json(chosen.out, {**content, "share_of_intervals": share})
    sys.exit(any(not LOW <= mean <= HIGH for mean in overall.values()) or share < HOLDING)


if __name__ == "__main__":
    main()
