"""Ready probabilities of an imported table are a model like any other: assembled, recalibrated, packed and judged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from featurestore.flat_tables import read_flat
from featurestore.training_sets import TrainingSet
from pipelines.evaluation.evaluate import evaluate
from pipelines.imports.importing import ImportRequest, import_table
from pipelines.params import Params, edit_params, load_params
from pipelines.training.assemble import assemble
from pipelines.training.tune import tune
from pipelines.workspace import Workspace
from registry.package import load_package
from registry.predict import predict

ROOT = Path(__file__).resolve().parents[2]
CENTERS = {"east": "development", "north": "development", "west": "external"}
N = 60
STRETCH = 3.0
"""The table's log odds are so many times too large: whoever made it was too sure."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Params]:
    """Assembled, tuned and evaluated."""
    root = tmp_path_factory.mktemp("given")
    workspace = Workspace(root / "study")
    workspace.root.mkdir()
    workspace.params.write_bytes((ROOT / "pipelines" / "template" / "tables.yaml").read_bytes())
    for number, (center, role) in enumerate(CENTERS.items()):
        rng = np.random.default_rng(number)
        z = rng.normal(size=N)
        outcome = (rng.random(N) < expit(z)).astype(int)
        rows = pd.DataFrame({"id": [f"P{i}" for i in range(N)], "outcome": outcome, "p": expit(STRETCH * z)})
        rows.to_csv(root / f"{center}.csv", index=False)
        request: dict[str, Any] = {"view": "net", "id_column": "id", "center": center, "role": role}
        import_table(workspace, root / f"{center}.csv", ImportRequest(**request, label="outcome"))
    edit_params(workspace.params, declare)
    params = load_params(workspace.params)
    assemble(workspace, params)
    tune(workspace, params, "given")
    evaluate(workspace, params)
    return workspace, params


def declare(content: Any) -> None:
    content["models"] = {"given": {"service": "net", "estimator": "probability"}}
    content["tuning"].update(trials=1, folds=3, repeats=2)
    content["evaluation"].update(bootstrap=100)


def test_only_the_recalibration_is_learned(study: tuple[Workspace, Params]) -> None:
    """Its slope undoes how sure the table was; the order of patients is the table's."""
    workspace, _ = study
    package = load_package(workspace.model("given") / "package")
    whole = TrainingSet.load(workspace.training("net"))
    assert package.features == ("net.p",)
    intercept, slope = package.arrays["calibration.coefficients"]
    assert slope == pytest.approx(1 / STRETCH, rel=0.3)
    told = predict(package, whole.X)
    np.testing.assert_allclose(told, expit(intercept + slope * logit(whole.X[:, 0])), atol=1e-12)
    assert np.argsort(told).tolist() == np.argsort(whole.X[:, 0]).tolist()
    oof, _ = read_flat(workspace.model("given") / "oof.parquet")
    assert len(oof) == (whole.split == "training").sum()
    assert oof["p"].between(0, 1).all()


def test_it_is_judged_in_every_cohort(study: tuple[Workspace, Params]) -> None:
    """The external area is the table's own: a recalibration changes no order."""
    workspace, params = study
    metrics = json.loads((workspace.evaluation / "metrics.json").read_text(encoding="utf-8"))["given"]
    assert {"training", "internal", "external", "external.west"} <= set(metrics)
    assert metrics["external"]["n"] == N
    rows = pd.read_csv(workspace.root.parent / "west.csv")
    positive, negative = (rows.loc[rows["outcome"] == label, "p"].to_numpy() for label in (1, 0))
    area = (positive[:, None] > negative).mean()
    assert metrics["external"]["auc"] == pytest.approx(area, abs=1e-6)
    assert 0.5 < metrics["external"]["calibration_slope"] < 2
    assert list(params.all_models()) == ["given"]


def test_done_again_it_leaves_the_same_bytes(study: tuple[Workspace, Params]) -> None:
    workspace, params = study
    folder = workspace.model("given")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    tune(workspace, params, "given")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
