"""What used a patient: training sets, models, judgements and scores."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.erasure import rows_of
from featurestore.flat_tables import read_flat
from featurestore.training_sets import RECORD, TABLE
from pipelines.lineage.places import Whose
from pipelines.scoring.places import Deployment
from pipelines.scoring.scores import read_scores
from pipelines.workspace import Workspace
from registry.lifecycle import Registry
from registry.states import ModelVersion

Row = dict[str, Any]


def training_sets(workspace: Workspace, whose: Whose) -> list[Row]:
    """Returns the training sets, those of the registry too, that hold a patient, with his side and row hash."""
    own = [folder / "training" for folder in workspace.candidates()]
    folders = sorted([*workspace.training("x").parent.glob("*"), *own, *(workspace.models / "training").glob("*")])
    found = []
    for folder in folders:
        path = folder / TABLE
        if path.is_file() and rows_of(path, whose.center, whose.case_id):
            row = _own(path, whose).iloc[0]
            found.append(
                {
                    "digest": str(json.loads((folder / RECORD).read_bytes())["digest"]),
                    "where": folder.relative_to(workspace.root).as_posix(),
                    "split": str(row["split"]),
                    "row_hash": str(row["row_hash"]),
                }
            )
    return found


def candidates(workspace: Workspace, sets: list[Row]) -> list[Row]:
    """Returns the candidates that were made from the sets: name, package, training set."""
    digests = {row["digest"] for row in sets}
    found = []
    for path in (folder / "summary.json" for folder in workspace.candidates()):
        if not path.is_file():
            continue
        told = json.loads(path.read_bytes())
        if told["training_set"] in digests:
            found.append({"model": told["model"], "package": told["package"], "training_set": told["training_set"]})
    return found


def versions(workspace: Workspace, sets: list[Row]) -> list[ModelVersion]:
    """Returns the registered versions that were made from the sets."""
    digests = {row["digest"] for row in sets}
    if not (workspace.models / "ledger.jsonl").is_file():
        return []
    return [version for version in Registry(workspace.root).versions() if version.training_set in digests]


def judgements(workspace: Workspace, whose: Whose) -> list[Row]:
    """Returns the predictions that evaluation made for a patient."""
    path = workspace.evaluation / "predictions.parquet"
    if not path.is_file():
        return []
    rows = _own(path, whose)
    return [
        {"model": str(row["model"]), "cohort": str(row["cohort"]), "probability": float(row["p"])}
        for row in rows.to_dict("records")
    ]


def scores(workspace: Workspace, whose: Whose) -> list[Row]:
    """Returns every score ever given to a patient."""
    root = Deployment(workspace).scores
    rows = read_scores(root) if root.is_dir() else pd.DataFrame(columns=["center", "case_id"])
    own = rows[(rows["center"] == whose.center) & (rows["case_id"] == whose.case_id)]
    names = ("model", "version", "package", "inputs", "sequence", "probability", "threshold", "positive")
    return [{name: _plain(row[name]) for name in names} for row in own.to_dict("records")]


def _own(path: Path, whose: Whose) -> pd.DataFrame:
    frame, _ = read_flat(path)
    return frame[(frame["center"] == whose.center) & (frame["case_id"] == whose.case_id)]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
