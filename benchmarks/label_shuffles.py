"""Negative control of a whole study: over label shuffles the mean AUC of every cohort but the apparent one is near 0.5.

Usage: python benchmarks/label_shuffles.py STUDY [--shuffles 20] [--trials 5]

Labels are shuffled over all patients, development and external; each model is then searched and fitted as `tune` does.
Prints the mean per model and cohort, and exits 1 if one lies outside 0.45–0.55.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from featurestore.tables import read_frame
from featurestore.training_sets import TrainingSet
from featurestore.views import FeatureService, wide_frame
from pipelines.params import Params, load_params
from pipelines.training.controls import ShuffledAucs, shuffled_aucs
from pipelines.workspace import Workspace

COHORTS = ("training", "internal", "external")
LOW, HIGH = 0.45, 0.55


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
    chosen = parser.parse_args()
    workspace = Workspace.find(chosen.study)
    params = load_params(workspace.params)
    means = {}
    for name in params.models:
        found = shuffle_model(workspace, params, name, chosen.shuffles, chosen.trials)
        means[name] = {cohort: float(np.nanmean([getattr(one, cohort) for one in found])) for cohort in COHORTS}
        print(f"{name:<34}" + "  ".join(f"{cohort} {mean:.3f}" for cohort, mean in means[name].items()), flush=True)
    overall = {cohort: float(np.mean([row[cohort] for row in means.values()])) for cohort in COHORTS}
    print(json.dumps({"shuffles": chosen.shuffles, "mean over models": overall}))
    sys.exit(any(not LOW <= mean <= HIGH for mean in overall.values()))


if __name__ == "__main__":
    main()
