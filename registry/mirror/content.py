"""What a run in the window says about one model, gathered from the study's files and hashed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.errors import RadmillError
from featurestore.fingerprints import bytes_digest, digest, file_digest
from featurestore.visible import in_markdown, visible
from registry.package import ModelPackage, load_package

FORMAT = 1
"""Raised when a run of the same model is to look different, so that the next mirror writes it again."""

COHORTS = ("training", "training_apparent", "internal", "external")
METRICS = ("auc", "average_precision", "brier", "calibration_slope", "calibration_intercept", "n", "events")
POINT_METRICS = ("accuracy", "sensitivity", "specificity", "ppv", "npv", "f1")
INTERVALS = ("auc", "average_precision", "brier", "calibration_slope")
N_TRIALS_SHOWN = 5
DECIMALS = 3
"""What the UI shows in full; more is cut off and tells nothing at these sample sizes."""
CASE = "case"

Table = dict[str, list[Any]]


@dataclass(frozen=True, kw_only=True)
class DatasetNote:
    """A data set that a run saw: name, digest, and whether for training, internal or external."""

    name: str
    digest: str
    context: str
    profile: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrialNote:
    """One trial of the search: its hyperparameters and its cross-validated AUC."""

    number: int
    params: dict[str, str]
    value: float


@dataclass(frozen=True, kw_only=True)
class RunContent:
    """Everything that one model's run shows.

    Args:
        package: The digest of its package; one run for each.
        name: The run's name.
        model: The model's name in the settings.
        params: Shown as parameters.
        metrics: Numbers without history, `cohort/measure`.
        curves: Numbers by search trial.
        tags: Shown as tags.
        datasets: What it was trained and judged on.
        tables: Artifacts that the UI shows as tables, by artifact path.
        texts: Text artifacts, by artifact path.
        files: Files to copy, by artifact path.
        trials: The best trials of the search.
    """

    package: str
    name: str
    model: str
    params: dict[str, str]
    metrics: dict[str, float]
    curves: dict[str, list[float]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    datasets: tuple[DatasetNote, ...] = ()
    tables: dict[str, Table] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    trials: tuple[TrialNote, ...] = ()

    def content_hash(self) -> str:
        """Returns a hash of all that the run shows."""
        shown = {
            "format": FORMAT,
            **{name: getattr(self, name) for name in ("package", "name", "params", "metrics", "curves", "tags")},
            "tables": self.tables,
            "texts": {path: bytes_digest(text.encode()) for path, text in self.texts.items()},
            "files": {path: file_digest(source) for path, source in self.files.items()},
            "datasets": [vars(note) for note in self.datasets],
            "trials": [vars(trial) for trial in self.trials],
        }
        return digest(shown)


def candidate_contents(study: Path, figures: Path | None = None) -> list[RunContent]:
    """Returns what to show of each candidate in `data/models`, sorted by name.

    Args:
        study: The study's root.
        figures: Where figures lie as `<model>/*.png`, if anywhere.
    """
    metrics = read_json(study / "data" / "evaluation" / "metrics.json")
    predictions = _predictions(study / "data" / "evaluation" / "predictions.parquet")
    contents = []
    for folder in _folders(study):
        try:
            package = load_package(folder / "package")
        except RadmillError:
            continue  # half made; `radmill status` and `registry verify` name it
        rows = predictions[predictions["model"] == folder.name] if len(predictions) else predictions
        own = study / "data" / "training" / _service(package)
        record = read_json((folder / "training" if (folder / "training").is_dir() else own) / "record.json").get(
            "record", {}
        )
        content = package_content(package, folder.name, metrics.get(folder.name, {}), record, rows)
        contents.append(_with_history(content, folder, figures))
    return contents


def _folders(study: Path) -> list[Path]:
    """Returns the folders of candidates: models, and fusions beside them."""
    found = [path.parent for kind in ("models", "fusion") for path in (study / "data" / kind).glob("*/package")]
    return sorted(found, key=lambda path: path.name)


def package_content(
    package: ModelPackage,
    model: str,
    metrics: Mapping[str, Any],
    record: Mapping[str, Any] | None = None,
    predictions: pd.DataFrame | None = None,
) -> RunContent:
    """Returns what a package and its metrics alone say.

    Args:
        package: The package.
        model: The model's name.
        metrics: Its block of `metrics.json`, by cohort.
        record: The record of its training set.
        predictions: Its predictions: columns model, cohort, center, case_id, y, p.
    """
    service = _service(package)
    family = model.removesuffix(f"_{service}")
    rows = pd.DataFrame() if predictions is None else predictions
    tables = {"tables/performance.json": _performance(metrics)}
    if len(rows):
        tables["tables/predictions.json"] = _prediction_table(rows)
    return RunContent(
        package=package.digest,
        name=visible(f"{family} · {service}" if service else family),
        model=model,
        params=_params(package, service),
        metrics=dict(_numbers(metrics)),
        tags=_tags(package, family, metrics, record or {}),
        datasets=tuple(_datasets(package, service, metrics, rows)),
        tables=tables,
        texts={"card.md": in_markdown(package.card), "package/manifest.json": json.dumps(package.manifest, indent=2)},
    )


def read_json(path: Path) -> dict[str, Any]:
    """Returns a JSON file's content, empty when it is absent or no mapping."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _service(package: ModelPackage) -> str:
    return str(package.manifest["service"].get("name", ""))


def with_search(content: RunContent, search: list[dict[str, Any]]) -> RunContent:
    """Adds the curve of a search and its best trials."""
    values = [float(trial["value"]) for trial in search if isinstance(trial.get("value"), int | float)]
    curves = {"search/auc": values, "search/best_auc": list(accumulate(values, max))} if values else {}
    return replace(content, curves=curves, trials=tuple(_trials(search)))


def _with_history(content: RunContent, folder: Path, figures: Path | None) -> RunContent:
    """Adds what only a candidate's folder has: search, components, figures."""
    paths = {f"{name}/{name}.json": folder / f"{name}.json" for name in ("search", "components")}
    files = {name: path for name, path in paths.items() if path.is_file()}
    drawn = sorted((figures / content.model).glob("*.png")) if figures else []
    files |= {f"figures/{path.name}": path for path in drawn}
    return replace(with_search(content, read_json(folder / "search.json").get("trials", [])), files=files)


def _trials(search: list[dict[str, Any]]) -> Iterator[TrialNote]:
    known = [trial for trial in search if isinstance(trial.get("value"), int | float)]
    ranked = sorted(known, key=lambda trial: (-trial["value"], trial.get("number", 0)))
    for trial in ranked[:N_TRIALS_SHOWN]:
        params = trial.get("params") or trial.get("values") or {}
        named = {str(key): str(value) for key, value in params.items()}
        yield TrialNote(number=int(trial.get("number", 0)), params=named, value=float(trial["value"]))


def _params(package: ModelPackage, service: str) -> dict[str, str]:
    model = package.manifest["model"]
    components = package.arrays.get("pca.components")
    own = {
        "estimator": package.estimator,
        "service": service,
        "features": len(package.features),
        "components": "" if components is None else len(components),
    }
    tuned = {key: value for key, value in model.get("hyperparameters", {}).items() if key not in own}
    return {key: visible(str(value)) for key, value in {**own, **tuned}.items() if value != ""}


def _numbers(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yields `cohort/measure`: the part before the slash becomes a section of charts."""
    for cohort, block in metrics.items():
        point = block.get("at", {}).get("youden", {})
        for name in METRICS:
            if isinstance(block.get(name), int | float):
                yield f"{cohort}/{name}", round(float(block[name]), DECIMALS)
        for name in POINT_METRICS:
            if isinstance(point.get(name), int | float):
                yield f"{cohort}/{name}", round(float(point[name]), DECIMALS)


def _tags(package: ModelPackage, family: str, metrics: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, str]:
    manifest = package.manifest
    label = manifest["label"]
    tags = {
        "model_family": family,
        "phases": ", ".join(manifest["service"].get("phases", [])),
        "centers": ", ".join(sorted(record.get("centers", []))),
        "feature_set": manifest["feature_set"],
        "outcome": str(label.get("name", "")) if isinstance(label, dict) else label,
        "n_events": str(metrics.get("training", {}).get("events", "")),
    }
    return {name: visible(value) for name, value in tags.items() if value}


def _datasets(
    package: ModelPackage, service: str, metrics: Mapping[str, Any], predictions: pd.DataFrame
) -> Iterator[DatasetNote]:
    for context in ("training", "internal", "external"):
        block = metrics.get(context)
        if not block or not block.get("n"):
            continue
        profile = {"patients": block["n"], "events": block.get("events")}
        name, sha = f"{service}, {context} part", digest([package.manifest["training_set"], context])
        if context == "external":
            rows = predictions[predictions["cohort"] == "external"] if len(predictions) else predictions
            keys = rows[["center", "case_id", "y"]].astype(str).to_numpy().tolist() if len(rows) else [profile]
            name, sha = "external patients", digest(keys)
        yield DatasetNote(name=name, digest=sha, context=context, profile=profile)


def _performance(metrics: Mapping[str, Any]) -> Table:
    rows = [
        {
            "cohort": cohort,
            "n": block.get("n"),
            "events": block.get("events"),
            **{key: block.get(key) for name in INTERVALS for key in (name, f"{name}_low", f"{name}_high")},
        }
        for cohort, block in metrics.items()
    ]
    return {key: [row[key] for row in rows] for key in rows[0]} if rows else {}


def _prediction_table(rows: pd.DataFrame) -> Table:
    """Returns predictions with the probability right after the key: the UI compares runs by that column."""
    ordered = rows.sort_values(["cohort", "center", "case_id"])
    key = ordered["cohort"].astype(str) + " / " + ordered["center"].astype(str) + " / " + ordered["case_id"].astype(str)
    return {
        CASE: key.tolist(),
        "p": [round(float(value), 6) for value in ordered["p"]],
        "y": [int(value) for value in ordered["y"]],
        "cohort": ordered["cohort"].astype(str).tolist(),
        "center": ordered["center"].astype(str).tolist(),
    }


def _predictions(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.is_file() else pd.DataFrame()
