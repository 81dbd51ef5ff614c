"""Three centers: trained on each pair, tested on the third, by the commands a user types.

    python benchmarks/centers.py [--out benchmarks/results/centers.json]

`multicentre_nsclc`: 1,004 features of 578 patients, survival at two years. For each center a study on tables is made in
a temporary folder: two centers are imported for development, the third is external, and `radmill run evaluate` does the
rest. Beside radmill's models stand, on the same external patients, the probabilities of the published 3D network
(`logit_1`), which was trained elsewhere, and two plain scikit-learn pipelines trained on all patients of both centers:
PCA and logistic regression, and a random forest. Areas have DeLong's intervals; each is compared with radmill's model
of the largest nested area by DeLong's test. radmill keeps 5 % of the development patients aside for its internal
cohort, so it learns from a few less. Keys follow from the center's name, so that the split is the same each time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from featurestore.files import write_json
from featurestore.flat_tables import read_flat
from pipelines.evaluation.discrimination import auc_estimate, delong_test
from pipelines.ingest.pseudonyms import case_id, key_path, load_key, patient_name, write_private
from pipelines.params import edit_params
from pipelines.record import installed

DATA = Path(os.environ.get("RADMILL_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
TABLES = DATA / "multicentre_nsclc"
RESULTS = Path(__file__).parent / "results" / "centers.json"
CENTERS = ("HarvardRT", "Radboud", "Moffitt")
LABEL, NETWORK = "surv2yr", "logit_1"
CONFIDENCE = 0.95
DIGITS = 4
SEED = 7


def features(table: pd.DataFrame) -> list[str]:
    notes = ("general_info_", "diagnostics_", "logit_")
    return [name for name in table.select_dtypes("number") if name not in ("id", LABEL) and not name.startswith(notes)]


def load(center: str) -> pd.DataFrame:
    """Patients who have features and an outcome."""
    table = pd.read_csv(TABLES / f"{center}.csv.gz")
    return table[table[features(table)].notna().any(axis=1) & table[LABEL].notna()].reset_index(drop=True)


def radmill(folder: Path, *words: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *words],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"radmill {' '.join(words)}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def study(folder: Path, external: str, trials: int) -> Path:
    radmill(folder, "init", "study", "--tables")
    made = folder / "study"
    for center in sorted(CENTERS, key=lambda name: name == external):
        write_private(key_path(made / "private" / "keys", center.lower()), sha256(center.encode()).hexdigest().encode())
        options = ["--view", "ct", "--id", "id", "--center", center.lower(), "--label", LABEL, "--drop", "^logit_"]
        role = "external" if center == external else "development"
        radmill(made, "features", "import", str(TABLES / f"{center}.csv.gz"), "--role", role, *options)

    def settings(content: Any) -> None:
        for estimator in ("lr", "rf"):
            content["models"][f"ct_{estimator}_features"] = {
                "service": "ct",
                "estimator": estimator,
                "reduction": {"rule": "features"},
            }
        content["split"]["internal_fraction"] = 0.05
        content["tuning"].update(trials=trials)

    edit_params(made / "params.yaml", settings)
    radmill(made, "run", "evaluate")
    return made


def predictions(made: Path, external: str, table: pd.DataFrame) -> pd.DataFrame:
    """One row an external patient, one column a model of radmill, in the table's order."""
    key = load_key(made / "private" / "keys", external.lower())
    found, _ = read_flat(made / "data" / "evaluation" / "predictions.parquet")
    wide = found[found["cohort"] == "external"].pivot(index="case_id", columns="model", values="p")
    return wide.loc[[case_id(key, patient_name(str(name))) for name in table["id"]]]


def baselines(training: pd.DataFrame, table: pd.DataFrame) -> dict[str, np.ndarray]:
    names = [name for name in features(training) if name in table]
    plain = {
        "plain PCA+LR": make_pipeline(
            SimpleImputer(strategy="median"), StandardScaler(), PCA(0.95), LogisticRegression(max_iter=5000)
        ),
        "plain random forest": make_pipeline(
            SimpleImputer(strategy="median"), RandomForestClassifier(500, random_state=SEED)
        ),
    }
    return {
        name: model.fit(training[names], training[LABEL]).predict_proba(table[names])[:, 1]
        for name, model in plain.items()
    }


def row(y: np.ndarray, p: np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
    estimate, test = auc_estimate(y, p, CONFIDENCE), delong_test(y, chosen, p, CONFIDENCE)
    numbers = {**estimate.columns("auc"), "p_against_chosen": test.p_value}
    return {key: None if value is None else round(float(value), DIGITS) for key, value in numbers.items()}


def external_center(external: str, trials: int) -> dict[str, Any]:
    table = load(external)
    others = [load(center) for center in CENTERS if center != external]
    with tempfile.TemporaryDirectory() as folder:
        made = study(Path(folder), external, trials)
        own = predictions(made, external, table)
        summaries = {
            name: json.loads((made / "data" / "models" / name / "summary.json").read_text()) for name in own.columns
        }
    nested = {name: summary["out_of_fold"]["auc"] for name, summary in summaries.items()}
    chosen = max(nested, key=lambda name: nested[name])
    y = table[LABEL].to_numpy(np.int8)
    found = {name: own[name].to_numpy() for name in own.columns}
    found |= {"published network": table[NETWORK].to_numpy(), **baselines(pd.concat(others), table)}
    return {
        "n": len(y),
        "positive": int(y.sum()),
        "training": sum(len(other) for other in others),
        "chosen": chosen,
        "nested": {name: round(value, DIGITS) for name, value in nested.items()},
        "models": {name: row(y, p, found[chosen]) for name, p in found.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--centers", nargs="*", default=list(CENTERS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    content: dict[str, Any] = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    content |= {"trials": chosen.trials, "versions": installed("radmill", "numpy", "scikit-learn", "optuna")}
    for external in chosen.centers:
        with threadpool_limits(1):
            content.setdefault("external", {})[external] = external_center(external, chosen.trials)
        write_json(chosen.out, content)
        print(external, json.dumps(content["external"][external], indent=1), flush=True)


if __name__ == "__main__":
    main()
