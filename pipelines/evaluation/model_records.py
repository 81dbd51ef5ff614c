"""What each model's training left for people, as rows: the data behind learning curves, importance and components."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Rows = list[dict[str, object]]

RECORDS = {
    "learning": (
        "share", "patients", "folds", "training", "training_sd", "validation", "validation_sd",
    ),
    "importance": ("rank", "feature", "shapley", "share", "direction", "auc_drop", "auc_drop_sd", "method", "patients"),
    "families": ("phase", "class", "features", "share", "auc_drop", "auc_drop_sd"),
    "explained_variance": ("component", "cumulative"),
    "components": ("pc1", "pc2", "y"),
    "epochs": ("repeat", "fold", "epoch", "measure", "value"),
    "fusion_weights": ("member", "weight"),
}  # fmt: skip
"""The columns of each table after the model's name."""

ODDS = ("analysis", "predictor", "level", "reference", "odds_ratio", "low", "high", "p_value", "independent")
ANALYSES = ("univariable", "multivariable", "model")


def record_rows(folders: Mapping[str, Path]) -> dict[str, Rows]:
    """Returns the rows of every table of `RECORDS`; a model that lacks a record has none.

    Args:
        folders: Each model's candidate.
    """
    found: dict[str, Rows] = {name: [] for name in RECORDS}
    for model, folder in folders.items():
        for file, make in _READ.items():
            content = read_record(folder / file)
            for name, rows in make(content) if content else ():
                found[name] += [{"model": model, **row} for row in rows]
    return found


def odds_rows(folders: Mapping[str, Path]) -> Rows:
    """Returns the odds ratios of every clinical model: one row an analysis and coefficient.

    Args:
        folders: Each model's candidate.
    """
    rows: Rows = []
    for model, folder in folders.items():
        content = read_record(folder / "odds.json")
        independent = content.get("independent", [])
        for analysis in ANALYSES:
            for row in _with_odds(content.get(analysis)):
                told = {"model": model, "analysis": analysis, "independent": row.get("predictor") in independent}
                rows.append({name: row.get(name) for name in ODDS} | told)
    return rows


def members_of(content: Mapping[str, Any]) -> dict[str, float | None]:
    """Returns a fusion's members with their weights; those of an early fusion have none.

    Args:
        content: What `fusion.json` holds.
    """
    return {name: told.get("weight") for name, told in content.get("members", {}).items()}


def _with_odds(content: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the rows that name an odds ratio, however deep they lie."""
    if isinstance(content, Mapping) and "odds_ratio" in content:
        yield content
        return
    parts = content.values() if isinstance(content, Mapping) else content if isinstance(content, list) else ()
    for part in parts:
        yield from _with_odds(part)


def read_record(path: Path) -> dict[str, Any]:
    """Returns a record, empty when a model of this kind has none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


Named = Iterator[tuple[str, Rows]]


def _learning(content: Mapping[str, Any]) -> Named:
    yield "learning", [dict(point) for point in content["points"]]


def _importance(content: Mapping[str, Any]) -> Named:
    about = {"method": content["method"], "patients": content["patients"]}
    features = [
        {
            "rank": rank,
            "feature": entry["name"],
            **{key: value for key, value in entry.items() if key != "name"},
            **about,
        }
        for rank, entry in enumerate(content["features"], start=1)
    ]
    yield "importance", features
    yield "families", [dict(entry) for entry in content["families"]]


def _components(content: Mapping[str, Any]) -> Named:
    shares = enumerate(content.get("cumulative", []), start=1)
    yield "explained_variance", [{"component": number, "cumulative": share} for number, share in shares]
    yield "components", [dict(point) for point in content.get("scatter", [])]


def _history(content: Mapping[str, Any]) -> Named:
    rows: Rows = []
    for fold in content.get("folds", []):
        place = {"repeat": fold["repeat"], "fold": fold["fold"]}
        for number, epoch in enumerate(fold["epochs"], start=1):
            rows += [
                {**place, "epoch": number, "measure": measure, "value": value}
                for measure, value in epoch.items()
                if isinstance(value, float)
            ]
    yield "epochs", rows


def _fusion(content: Mapping[str, Any]) -> Named:
    yield "fusion_weights", [{"member": name, "weight": weight} for name, weight in members_of(content).items()]


_READ: dict[str, Callable[[Mapping[str, Any]], Named]] = {
    "learning.json": _learning,
    "importance.json": _importance,
    "components.json": _components,
    "history.json": _history,
    "fusion.json": _fusion,
}
