"""Where a study stands: what was sent, what became of it, which models there are, and what to do next.

Reads tables and folder listings only, so it is the quick look before anything long.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from featurestore.errors import RadmillError
from featurestore.files import free_bytes
from featurestore.tables import read_frame
from pipelines.ingest.clinical import read_clinical
from pipelines.ingest.places import study_places
from pipelines.ingest.pseudonyms import key_path, load_key
from pipelines.params import Params
from pipelines.params.base import NAME
from pipelines.record import FEATURE_SET
from pipelines.scoring.announced import untold
from pipelines.scoring.in_force import case_rules
from pipelines.scoring.places import Deployment
from pipelines.scoring.runs import recent_runs
from pipelines.scoring.scores import current_scores, read_scores
from pipelines.workspace import ROLES, Role, Workspace

Row = dict[str, object]

REFUSALS = ("refused", "failed")
STATUSES = ("ok", "warned", "refused", "failed", "excluded")


@dataclass
class Status:
    """What `radmill status` shows."""

    tables: dict[str, list[Row]] = field(default_factory=dict)
    facts: Row = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    n_refused: int = 0

    def plain(self) -> Row:
        """Returns the status as JSON types."""
        return {"tables": self.tables, "facts": self.facts, "remarks": self.remarks, "refused": self.n_refused}


def study_status(workspace: Workspace, params: Params) -> Status:
    """Looks at a study without changing it."""
    status = Status()
    status.tables["Centers, as sent"] = [
        _center_row(workspace, params, role, center, status.remarks)
        for role in ROLES
        for center in params.centers.of(role)
    ]
    qc = _qc(workspace)
    status.tables["Cases"] = _case_rows(workspace, qc)
    status.tables["Not used, by reason"] = _reason_rows(qc)
    status.tables["Models (AUC)"] = _model_rows(workspace)
    status.tables["Incoming hospitals"] = _incoming_rows(workspace)
    status.n_refused = int(qc["status"].isin(REFUSALS).sum()) if len(qc) else 0
    status.facts = {
        "study": params.study.name,
        "work": _work(workspace, params, status.tables["Centers, as sent"], status.tables["Cases"]),
        "free disk": f"{free_bytes(workspace.root) / 1e9:.0f} GB",
        **_in_force(workspace),
        **_incoming_facts(status.tables["Incoming hospitals"]),
        **_performance_facts(workspace),
        **_last_run(workspace, status.remarks),
        "gallery": "reports/gallery.html" if (workspace.reports / "gallery.html").exists() else "not made yet",
        "study page": "reports/study.html" if (workspace.reports / "study.html").exists() else "not made yet",
    }
    if params.radmill.feature_set != FEATURE_SET:
        status.remarks.append(
            f"feature set {params.radmill.feature_set} is pinned, {FEATURE_SET} is installed: `radmill upgrade`"
        )
    status.remarks += [*_unnamed(workspace, params), *_moved(workspace, params)]
    return status


def _unnamed(workspace: Workspace, params: Params) -> list[str]:
    """Returns a remark for each folder of raw data that `params.yaml` takes for no center's."""
    root, named = workspace.raw("any").parent, {*params.centers.development, *params.centers.external}
    folders = sorted(path.name for path in root.glob("*") if path.is_dir()) if root.is_dir() else []
    told = "name it under centers.development or centers.external in params.yaml"
    rename = "rename it to small letters, digits, _ and -, then " + told
    return [
        f"data/raw/{name} is no center's: {told if re.match(NAME, name) else rename}"
        for name in folders
        if name not in named and not name.startswith(".")
    ]


def _moved(workspace: Workspace, params: Params) -> list[str]:
    from registry.mirror import moved_aliases

    return moved_aliases(workspace.root, params.registry.name)


def key_state(workspace: Workspace, params: Params) -> list[Row]:
    """Returns, for each center, its key id and whether the right key is here."""
    return [
        {"role": role, "center": center, "key_id": section.key_id, "key": _key(workspace, center, section.key_id)}
        for role in ROLES
        for center, section in params.centers.of(role).items()
    ]


def stored_rows(workspace: Workspace) -> int:
    """Returns how many feature rows the study holds."""
    return sum(len(read_frame(workspace.features(role), columns=["case_id"])) for role in ROLES)


def _key(workspace: Workspace, center: str, key_id: str | None) -> str:
    if not key_path(workspace.keys, center).exists():
        return "made by `radmill run`" if key_id is None else "missing"
    try:
        load_key(workspace.keys, center, key_id)
    except RadmillError as error:
        return error.what
    return "here"


def _center_row(workspace: Workspace, params: Params, role: Role, center: str, remarks: list[str]) -> Row:
    section = params.centers.of(role)[center]
    folder = study_places(workspace, params, role).raw.get(center)
    row: Row = {"role": role, "center": center, "files": None, "MB": None, "patients": None, "positive": None}
    row |= {"negative": None, "no label": None, "key": _key(workspace, center, section.key_id)}
    if folder is None:
        return row | _imported_counts(workspace, center)
    if not folder.is_dir():
        remarks.append(f"{center}: its folder {folder.relative_to(workspace.root)} is not there")
        return row
    sizes = list(_sizes(folder))
    row |= {"files": len(sizes), "MB": round(sum(sizes) / 1e6)}
    try:
        row |= _clinical_counts(folder / "clinical.csv", center, params)
    except RadmillError as error:
        remarks.append(f"{center}: {error.what}")
    return row


def _imported_counts(workspace: Workspace, center: str) -> Row:
    """Returns the counts of a center that sent tables of features only."""
    root = workspace.imported("any").parent
    views = [read_frame(path, centers=[center]) for path in root.iterdir() if path.name not in ("qc", "outcomes")]
    patients = {case for view in views if len(view) for case in view["case_id"]}
    outcomes = read_frame(workspace.imported("outcomes"), centers=[center])
    labels = outcomes["label"].tolist() if len(outcomes) else []
    known = {"positive": labels.count(1), "negative": labels.count(0)}
    return {"patients": len(patients), **known, "no label": len(patients) - sum(known.values())}


def _clinical_counts(path: Path, center: str, params: Params) -> Row:
    sections = {**params.centers.development, **params.centers.external}
    own_names = sections[center].clinical
    table = read_clinical(path, center, params.ingest.clinical, params.label, own_names)
    labels = [patient.label for patient in table.patients.values()]
    return {
        "patients": len(labels),
        "positive": labels.count(1),
        "negative": labels.count(0),
        "no label": labels.count(None),
    }


def _sizes(folder: Path) -> Iterator[int]:
    for parent, _, names in os.walk(folder):
        yield from (os.stat(os.path.join(parent, name)).st_size for name in names)


def _qc(workspace: Workspace) -> pd.DataFrame:
    frames = []
    for role in ROLES:
        for root in (workspace.view(role, "qc"), workspace.features(role, "qc")):
            if len(frame := read_frame(root)):
                frames.append(frame.assign(role=role))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _case_rows(workspace: Workspace, qc: pd.DataFrame) -> list[Row]:
    if qc.empty:
        return []
    rows = []
    ingest = qc[(qc["stage"] == "ingest") & (qc["item"] == "")]  # rows with an item speak of that item alone
    for role, center in ((role, center) for role in ROLES for center in sorted(set(ingest["center"]))):
        group = ingest[(ingest["role"] == role) & (ingest["center"] == center)]
        if group.empty:
            continue
        counts = group["status"].value_counts()
        features = read_frame(workspace.features(role), centers=[center], columns=["case_id"])
        rows.append(
            {"role": role, "center": center}
            | {status: int(counts.get(status, 0)) for status in STATUSES}
            | {"with features": len(features)}
        )
    return rows


def _reason_rows(qc: pd.DataFrame) -> list[Row]:
    if qc.empty:
        return []
    noted = qc[qc["status"] != "ok"]
    return [
        {
            "status": status,
            "code": code,
            "n": len(group),
            "where": ", ".join(sorted(set(group["center"]))),
            "for example": group["message"].iloc[0],
            "remedy": group["remedy"].iloc[0],
        }
        for (status, code), group in noted.groupby(["status", "code"])
    ]


def _model_rows(workspace: Workspace) -> list[Row]:
    path = workspace.evaluation / "metrics.json"
    if not path.exists():
        return []
    metrics = json.loads(path.read_text(encoding="utf-8"))
    rows: list[Row] = []
    for model, cohorts in metrics.items():
        aucs = {cohort: cohorts.get(cohort, {}) for cohort in ("training", "internal", "external")}
        rows.append({"model": model} | {cohort: interval(values) for cohort, values in aucs.items()})
    return sorted(rows, key=lambda row: str(row["training"]), reverse=True)


def interval(values: dict[str, float | None]) -> str:
    """Returns an AUC with its interval as text."""
    if values.get("auc") is None:
        return "–"
    low, high = values.get("auc_low"), values.get("auc_high")
    between = f" ({low:.2f}–{high:.2f})" if low is not None and high is not None else ""
    return f"{values['auc']:.3f}{between}"


def _incoming_rows(workspace: Workspace) -> list[Row]:
    folders = sorted(p for p in workspace.incoming.glob("*") if p.is_dir()) if workspace.incoming.is_dir() else []
    scores, manifest = _champions(workspace)
    return [
        {
            "center": folder.name,
            "files": sum(1 for _ in _sizes(folder)),
            "scored": int((scores["center"] == folder.name).sum()),
            "positive": int(scores.loc[scores["center"] == folder.name, "positive"].sum()),
            "not scored": _n_refused(workspace, folder.name, manifest),
        }
        for folder in folders
    ]


def _champions(workspace: Workspace) -> tuple[pd.DataFrame, Row]:
    """Returns the champion's current scores, and its manifest; nothing where there is none, or not its bytes."""
    from registry.lifecycle import Registry

    registry = Registry(workspace.root)
    champion = registry.champion()
    scores = current_scores(read_scores(Deployment(workspace).scores))
    if champion is None:
        return scores.iloc[:0], {}
    path = registry.package_folder(champion) / "manifest.json"
    manifest = json.loads(path.read_bytes()) if path.is_file() else {}
    return scores[scores["package"] == champion.digest], manifest


def _n_refused(workspace: Workspace, center: str, manifest: Row) -> int:
    if not manifest:
        return 0
    qc = read_frame(Deployment(workspace).ingest(center, case_rules(manifest, ())).views / "qc")
    return int(qc["status"].isin(REFUSALS).sum()) if len(qc) else 0


def _in_force(workspace: Workspace) -> Row:
    """Returns the champion and its external result at the time it was registered."""
    from registry.lifecycle import Registry

    registry = Registry(workspace.root)
    champion = registry.champion()
    if champion is None:
        first = "" if registry.versions() else "`radmill register`, then "
        return {"champion": f"none yet: {first}`radmill promote`"}
    external = registry.evidence(champion)["metrics"].get("external", {})
    return {
        "champion": f"{champion.model} (version {champion.number})",
        "external AUC": f"{interval(external)}, {external.get('n', 0)} patients",
    }


def _incoming_facts(rows: list[Row]) -> Row:
    return {
        f"incoming {row['center']}": f"{row['scored']} scored, {row['positive']} of them positive; "
        f"{row['not scored']} cases not used"
        for row in rows
    }


def _performance_facts(workspace: Workspace) -> Row:
    """Returns how the champion does at each hospital whose labels have come."""
    from registry.lifecycle import Registry

    champion = Registry(workspace.root).champion()
    if champion is None:
        return {}
    paths = sorted((workspace.deployment / "performance").glob(f"*/{champion.digest[:16]}.json"))
    found = {path.parent.name: json.loads(path.read_bytes()) for path in paths}
    return {
        f"AUC at {center}": f"{interval(one['metrics'])}, {one['n']} labelled cases"
        for center, one in found.items()
        if one.get("metrics")
    }


def _last_run(workspace: Workspace, remarks: list[str]) -> Row:
    """Returns what the last scoring run did; its alarms and what it could not tell are remarks."""
    runs = recent_runs(workspace)
    if not runs:
        return {}
    last = runs[-1]
    remarks += [f"alarm at {alarm['center']}: {alarm['message']}" for alarm in last.alarms]
    remarks += [f"scoring of {c['center']}: {c['problem']}" for c in last.centers if c["problem"]]
    remarks += untold(last)
    return {"last scoring": last.words()}


def _work(workspace: Workspace, params: Params, centers: list[Row], cases: list[Row]) -> str:
    """Says how much a run would do, from the costs that earlier runs on this machine recorded."""
    expected = sum(int(str(row["patients"] or 0)) for row in centers) * len(params.phases)
    known = sum(int(str(row[status])) for row in cases for status in STATUSES)
    due = max(expected - known, 0)
    path = workspace.state / "costs.json"
    costs: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    told = f"about {due} cases to read and extract" if due else "no new case in the clinical tables"
    if not due:
        return told
    raw_mb = sum(int(str(row["MB"] or 0)) for row in centers)
    disk = f"at most {raw_mb * due / max(expected, 1):.0f} MB of disk"
    if not costs:
        return f"{told}, {disk}; times are known after the first run"
    return f"{told}, about {due * sum(costs.values()) / 60:.1f} min ({_each(costs)}), {disk}"


def _each(costs: dict[str, float]) -> str:
    return ", ".join(f"{work} {seconds:.2f} s a case" for work, seconds in sorted(costs.items()))
