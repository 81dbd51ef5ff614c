"""Candidates: the models that tune has made, which is best in training, and the evidence a registration rests on."""

import csv
import json
from dataclasses import dataclass
from typing import Any

from featurestore.errors import InputError
from featurestore.fingerprints import file_digest
from featurestore.flat_tables import read_flat
from pipelines.evaluation.discrimination import delong_test
from pipelines.evaluation.estimates import Floats, Labels
from pipelines.params import Params
from pipelines.workspace import Workspace

TRAINING = "training"
EXTERNAL = "external"
SHUFFLED_LABELS = "shuffled_labels"


class NoCandidateError(InputError):
    """There is no such candidate, or it was not evaluated."""

    default_remedy = "make and evaluate it with `radmill run`; `radmill models` lists the candidates"


class StaleEvaluationError(InputError):
    """The candidate was made anew since it was judged, so the numbers on disk are another package's."""

    default_remedy = "`radmill run` judges it as it is now"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that was tuned and evaluated.

    Args:
        name: Its name in `params.yaml`.
        service: The feature service it was trained on.
        metrics: Its block of `metrics.json`, by cohort.
    """

    name: str
    service: str
    metrics: dict[str, Any]

    @property
    def training_auc(self) -> float:
        """Cross-validated AUC on the training patients; what candidates are chosen by."""
        value = self.metrics.get(TRAINING, {}).get("auc")
        return -1.0 if value is None else float(value)


def candidates(workspace: Workspace, params: Params) -> list[Candidate]:
    """Returns all evaluated candidates, the best in training first; external patients have no say in the order."""
    path = workspace.evaluation / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = [
        Candidate(name=name, service=params.service_of_model(name), metrics=metrics[name])
        for name in params.all_models()
        if name in metrics and (workspace.model(name) / "package").is_dir()
    ]
    return sorted(found, key=lambda candidate: (-candidate.training_auc, candidate.name))


def choose(workspace: Workspace, params: Params, name: str | None) -> Candidate:
    """Returns the named candidate, or the best in training.

    Raises:
        NoCandidateError: There is none.
        StaleEvaluationError: The metrics that are here are those of another package of this name.
    """
    found = candidates(workspace, params)
    chosen = next((candidate for candidate in found if name in (None, candidate.name)), None)
    if chosen is None:
        names = ", ".join(candidate.name for candidate in found) or "none"
        what = f"no evaluated candidate {name}" if name else "no evaluated candidate"
        raise NoCandidateError(f"{what} (there are: {names})", where="data/models")
    if _judged(workspace).get(chosen.name) != file_digest(workspace.model(chosen.name) / "package" / "manifest.json"):
        raise StaleEvaluationError("it was made anew since it was judged", where=f"model {chosen.name}")
    return chosen


def further_evidence(workspace: Workspace, name: str) -> dict[str, object]:
    """Returns what gates may ask for besides metrics: external subgroups, negative controls, checklists.

    A control or a subgroup that could not tell is left out; it neither passes nor fails.
    """
    own = [row for row in _rows(workspace, "subgroups") if (row["model"], row["cohort"]) == (name, EXTERNAL)]
    subgroups = [
        {"subgroup": row["subgroup"], "level": row["level"], "auc": float(row["auc"])} for row in own if row["auc"]
    ]
    told = [row for row in _rows(workspace, "controls") if row["passed"]]
    controls = [
        {"name": row["name"], "passed": row["passed"] == "True"}
        for row in told
        if (row["model"], row["cohort"]) == (name, EXTERNAL) and row["name"] != SHUFFLED_LABELS
    ]
    controls += [  # the search is on trial, which all models of the study share
        {"name": f"{SHUFFLED_LABELS}, {row['cohort']}", "passed": row["passed"] == "True"}
        for row in told
        if row["name"] == SHUFFLED_LABELS
    ]
    path = workspace.reports / "checklists.json"
    lists = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    shares = {key: 1 - (one["missing"] + one["partly"]) / one["items"] for key, one in lists.items()}
    return {"subgroups": subgroups, "controls": controls, "checklists": shares}


def search_history(workspace: Workspace, name: str) -> list[dict[str, object]]:
    """Returns the trials of a candidate's search, so that a window can show its curve when the candidate is gone."""
    path = workspace.model(name) / "search.json"
    trials = json.loads(path.read_text(encoding="utf-8")).get("trials", []) if path.is_file() else []
    return [{key: trial[key] for key in ("number", "params", "value") if key in trial} for trial in trials]


def external_predictions(workspace: Workspace, name: str) -> list[dict[Any, object]]:
    """Returns a candidate's predictions on external patients: center, case_id, y, p."""
    frame, _ = read_flat(workspace.evaluation / "predictions.parquet")
    rows = frame[(frame["model"] == name) & (frame["cohort"] == EXTERNAL)]
    return rows[["center", "case_id", "y", "p"]].to_dict("records")


def paired_difference(y: Labels, own: Floats, other: Floats, confidence: float) -> tuple[float, float, float] | None:
    """Returns the difference in AUC of two models on the same patients, with DeLong's interval; None without one.

    Two models that rank all patients alike differ by nothing, and surely so.
    """
    found = delong_test(y, own, other, confidence).difference
    if found.value == 0 and found.low is None:
        return 0.0, 0.0, 0.0
    if found.value is None or found.low is None or found.high is None:
        return None
    return found.value, found.low, found.high


def _judged(workspace: Workspace) -> dict[str, str]:
    """Returns the digest of the package that each model's metrics are of."""
    return {row["model"]: row["package"] for row in _rows(workspace, "packages")}


def _rows(workspace: Workspace, table: str) -> list[dict[str, str]]:
    path = workspace.evaluation / "tables" / f"{table}.csv"
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.is_file() else []
