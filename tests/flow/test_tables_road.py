"""The road of a study without images: tables in, models judged on an external center, by the commands a user types."""

import json
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.ingest.pseudonyms import key_path, write_private
from pipelines.params import edit_params

Run = Callable[..., subprocess.CompletedProcess[str]]
CENTERS = {"north": "development", "east": "development", "west": "external"}


N_PATIENTS = 60


def table(center: str, n: int = N_PATIENTS) -> pd.DataFrame:
    rng = np.random.default_rng(len(center) + ord(center[0]))
    outcome = np.arange(n) % 2
    values = {f"original_glcm_F{i}": rng.normal(size=n) + (i < 3) * outcome for i in range(12)}
    return pd.DataFrame({"id": [f"P{i}" for i in range(n)], "site": center, "outcome": outcome, **values})


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    run(folder, "radmill", "init", "study", "--tables")
    study = folder / "study"
    for center, role in CENTERS.items():
        # a random key would draw another split each time, and now and then one that tells little
        write_private(key_path(study / "private" / "keys", center), sha256(center.encode()).hexdigest().encode())
        table(center).to_csv(folder / f"{center}.csv", index=False)
        options = ["--view", "ct", "--id", "id", "--center", center, "--role", role, "--label", "outcome"]
        run(study, "radmill", "features", "import", str(folder / f"{center}.csv"), *options)

    def shrink(content: dict) -> None:  # type: ignore[type-arg]
        for name in ("ct_rf", "ct_mlp"):
            del content["models"][name]
        content["tuning"].update(trials=2, folds=2, repeats=1, batch=2)
        content["evaluation"].update(bootstrap=100)

    edit_params(study / "params.yaml", shrink)
    run(study, "radmill", "run")
    return study


def test_models_on_imported_columns_are_judged_outside(road: Path, run: Run) -> None:
    metrics = json.loads((road / "data" / "evaluation" / "metrics.json").read_text())["ct_lr"]
    assert metrics["external.west"]["n"] == N_PATIENTS
    assert metrics["external.west"]["auc"] > 0.7, "three of twelve columns tell the outcome in every center"
    page = (road / "reports" / "study.html").read_text(encoding="utf-8")
    assert "Cohort flow" in page
    assert "west" in page
    told = run(road, "radmill", "status").stdout
    assert "north" in told


def test_a_table_of_an_external_center_tunes_nothing_again(road: Path, run: Run) -> None:
    more = pd.concat([table("west"), table("west", 6).assign(id=[f"Q{i}" for i in range(6)])])
    more.to_csv(road.parent / "more.csv", index=False)
    options = ["--view", "ct", "--id", "id", "--center", "west", "--label", "outcome"]
    run(road, "radmill", "features", "import", str(road.parent / "more.csv"), *options)
    done = run(road, "radmill", "run")
    assert "Running stage 'evaluate'" in done.stdout
    assert "Running stage 'tune@" not in done.stdout
    metrics = json.loads((road / "data" / "evaluation" / "metrics.json").read_text())["ct_lr"]
    assert metrics["external.west"]["n"] == N_PATIENTS + 6


def test_a_table_edited_by_hand_stops_the_run(road: Path, run: Run) -> None:
    path = road / "data" / "imported" / "ct" / "center=east" / "part-0.parquet"
    held = path.read_bytes()
    rows = pd.read_parquet(path)
    rows.loc[0, "original_glcm_F0"] = 99.0
    rows.to_parquet(path, index=False)
    done = run(road, "radmill", "run", check=False)
    path.write_bytes(held)
    assert done.returncode != 0
    assert f"imported/ct/center=east: 1 of {N_PATIENTS} rows are not what was written" in done.stdout + done.stderr
