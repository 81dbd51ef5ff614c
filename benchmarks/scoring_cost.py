"""What a case costs beyond extraction: 1,000 cases of a hospital that sends a table, in one run and bit by bit.

Everything that a scoring run does is in it: reading and checking, ledger and package, history, drift, doubt and tables.
Features come ready, so nothing is extracted.
"""

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scoring_population import SEED, Floats, fit, population, training_set

from featurestore.fingerprints import digest
from pipelines.record import FEATURE_SET
from registry.package import ModelPackage, save_package
from tests.conftest import Candidates
from tests.hospital_study import SmallStudy, small_study

DEVELOPMENT, CASES, RUNS, FEATURES = 400, 1_000, 100, 200
VIEW = "captk"


def package(study: SmallStudy) -> ModelPackage:
    """Puts a logistic regression on `FEATURES` features of a table into force."""
    people = population()
    rows = np.random.default_rng(SEED).permutation(len(people.y))[:DEVELOPMENT]
    X = people.features(people.z[rows])[:, :FEATURES]
    made = fit(training_set(X, people.y[rows], people.names[:FEATURES], 0.25), "lr")
    told = {key: value for key, value in made.manifest.items() if key not in ("format", "files")}
    label = {"name": "label", "column": "label", "positive": ["1"], "negative": ["0"]}
    notes = {VIEW: {"version": "1", "settings": "{}"}}
    told |= {
        "service": {"name": VIEW, "view": VIEW, "phases": ["ct"], "columns": ".*"},
        "rules": {"phases": {}, "margin": {"mm": 0, "voxels": 0}, "label": label},
        "extraction": {"engine": "imported", "by_phase": {}, "fingerprint": digest("x"), "notes": notes},
        "feature_set": FEATURE_SET,
    }
    candidates, training = Candidates(), study.root / "data" / "training" / VIEW
    told["training_set"] = candidates.training_set(training)
    folder = study.root / "data" / "models" / "table" / "package"
    save_package(folder, told, dict(made.arrays), made.golden, made.card)
    version = study.registry.register("table", folder, training, candidates.metrics(), "a benchmark")
    study.registry.promote(version.digest, {}, "a benchmark")
    return made


def send(study: SmallStudy, names: list[str], X: Floats) -> None:
    folder = study.workspace.incoming / "harbor"
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(X, columns=names).assign(patient_id=[f"P-{i:05d}" for i in range(len(X))])
    table.to_parquet(folder / f"{VIEW}.parquet", index=False)


def arrived(study: SmallStudy, names: list[str], X: Floats, runs: int) -> tuple[list[float], list[float]]:
    """Returns the seconds of each run, and the scores in the end, sorted: pseudonyms are each study's own."""
    seconds = []
    for number in range(runs):
        send(study, names, X[: round((number + 1) * len(X) / runs)])
        began = time.perf_counter()
        study.score()
        seconds.append(time.perf_counter() - began)
    return seconds, sorted(study.history()["probability"].tolist())


def cost(_draws: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        whole = small_study(Path(folder) / "whole")
        names = [name.partition(".")[2] for name in package(whole).features]
        bits = whole.copy(Path(folder) / "bits")
        people = population(SEED + 1, CASES)
        X = people.features(people.z)[:, :FEATURES]
        began = time.perf_counter()
        whole.copy(Path(folder) / "empty").score()
        fixed = time.perf_counter() - began
        together, one = arrived(whole, names, X, 1)
        apart, other = arrived(bits, names, X, RUNS)
        again, _ = arrived(whole, names, X, 1)
    return {
        "cases": CASES,
        "features": FEATURES,
        "runs": RUNS,
        "same scores": one == other and len(one) == CASES,
        "one run, s": round(sum(together), 2),
        "one run, ms a case": round(1000 * sum(together) / CASES, 2),
        "nothing sent, s": round(fixed, 3),
        "all runs, s": round(sum(apart), 2),
        "all runs, ms a case": round(1000 * sum(apart) / CASES, 2),
        "first run, s": round(apart[0], 3),
        "last run, s": round(apart[-1], 3),
        "run with nothing new, s": round(sum(again), 3),
        "peak memory, MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
