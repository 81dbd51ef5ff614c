"""The members of a fusion: what they said of patients they had not seen, on the folds they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from featurestore.entities import PATIENT_COLUMNS
from featurestore.errors import InputError
from featurestore.fingerprints import digest
from featurestore.flat_tables import read_flat
from featurestore.schemas import Column
from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.models.base import Floats, Labels
from pipelines.params import Params
from pipelines.training.splits import Fold
from pipelines.workspace import Workspace
from registry.package import MANIFEST, ModelPackage, load_package
from registry.stacking import member_log_odds

PATIENT = list(PATIENT_COLUMNS)
LOG_ODDS = "says."
IMPORTED = "imported"


class MemberAbsentError(InputError):
    """A member of a fusion was not made yet, or from other patients than lie here."""

    default_remedy = "run `radmill run`, which makes the members first"


class MixedFoldsError(InputError):
    """Members held out the same patient in different folds, so what they say of him cannot be weighed together."""

    default_remedy = (
        "let all members take the same patients (services with the same phases and centers, or "
        "missing_phase: impute), so that they are dealt into the same folds"
    )


class OneClassFoldError(InputError):
    """A fold of the patients that all members know has one class only."""

    default_remedy = "lower tuning.folds, or fuse models that share more patients"


@dataclass(frozen=True, kw_only=True, eq=False)
class Member:
    """One member.

    Args:
        name: The model.
        package: Its package.
        training: The training set it was made from.
        out_of_fold: Its honest predictions, indexed by patient.
        repeats: In how many repeats it was judged.
    """

    name: str
    package: ModelPackage
    training: TrainingSet
    out_of_fold: pd.DataFrame
    repeats: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Shared:
    """What all members know.

    Args:
        patients: Center and pseudonym, sorted.
        y: Labels, shape (n,).
        log_odds: What each member says, mean over repeats, shape (n, members).
        folds: The folds of all repeats that every member has.
        repeats: How many these are.
    """

    patients: pd.MultiIndex
    y: Labels
    log_odds: Floats
    folds: tuple[Fold, ...]
    repeats: int

    @property
    def center(self) -> NDArray[np.str_]:
        """The patients' centers."""
        return self.patients.get_level_values(0).to_numpy(np.str_)


def load_members(workspace: Workspace, params: Params, names: Sequence[str]) -> list[Member]:
    """Reads the members of a fusion.

    Raises:
        MemberAbsentError: One has no package, or one of another training set than lies here.
    """
    return [_load(workspace, params, name) for name in names]


def _load(workspace: Workspace, params: Params, name: str) -> Member:
    folder, service = workspace.model(name), params.service_of_model(name)
    if not (folder / "package" / MANIFEST).is_file():
        raise MemberAbsentError("it was not made yet", where=f"model {name}")
    package, training = load_package(folder / "package"), TrainingSet.load(workspace.training(service))
    if package.manifest["training_set"] != training.digest:
        raise MemberAbsentError("it was made from another training set", where=f"model {name}")
    frame, _ = read_flat(folder / "oof.parquet")
    repeats = sum(column.startswith("fold_") for column in frame.columns)
    frame = frame.set_index(PATIENT).sort_index()
    return Member(name=name, package=package, training=training, out_of_fold=frame, repeats=repeats)


def shared(members: Sequence[Member]) -> Shared:
    """Returns what the members say of the training patients they all have.

    Raises:
        MixedFoldsError: They were dealt into different folds.
        OneClassFoldError: A fold has one class only.
    """
    common = members[0].out_of_fold.index
    for member in members[1:]:
        common = common.intersection(member.out_of_fold.index)
    common = pd.MultiIndex.from_tuples(sorted(common.to_list()), names=PATIENT)
    tables = [member.out_of_fold.loc[common] for member in members]
    repeats = min(member.repeats for member in members)
    names = [f"fold_{repeat}" for repeat in range(repeats)]
    for member, table in zip(members, tables, strict=True):
        differing = (table[names] != tables[0][names]).any(axis=1)
        if differing.any():
            raise MixedFoldsError(
                f"{member.name} held out {int(differing.sum())} of {len(common)} patients in other folds",
                where=f"fusion with {members[0].name}",
            )
    y = tables[0]["y"].to_numpy(np.int8)
    folds = tuple(fold for r in range(repeats) for fold in _folds(tables[0][f"fold_{r}"].to_numpy(np.int64), y, r))
    log_odds = [member_log_odds(t[[f"p_{r}" for r in range(repeats)]].to_numpy()).mean(axis=1) for t in tables]
    return Shared(patients=common, y=y, log_odds=np.column_stack(log_odds), folds=folds, repeats=repeats)


def _folds(number: NDArray[np.int64], y: Labels, repeat: int) -> list[Fold]:
    found = []
    for k in sorted(set(number.tolist())):
        fit, held_out = np.flatnonzero(number != k), np.flatnonzero(number == k)
        if min(len(set(y[fit].tolist())), len(set(y[held_out].tolist()))) < 2:
            raise OneClassFoldError(f"fold {k} of repeat {repeat} has one class", where="fusion")
        found.append(Fold(repeat=repeat, number=k, fit=fit, held_out=held_out))
    if len(found) < 2:
        raise OneClassFoldError("there are fewer than two folds", where="fusion")
    return found


def said_set(name: str, members: Sequence[Member], known: Shared) -> TrainingSet:
    """Returns the training set of a late fusion: what members said out of fold, NaN where one says nothing.

    It names every patient who trained any member; only those whom all know taught the weights.
    """
    frames = [_patients(member.training) for member in members]
    rows = pd.concat(frames).reset_index().drop_duplicates(PATIENT).sort_values(PATIENT)
    place = pd.MultiIndex.from_frame(rows[PATIENT])
    X = pd.DataFrame(known.log_odds, index=known.patients).reindex(place).to_numpy(np.float64)
    columns = tuple(Column(name=f"{LOG_ODDS}{member.name}") for member in members)
    return _set(rows, X, columns, record_of(name, members, rows))


def joined_set(name: str, members: Sequence[Member]) -> TrainingSet:
    """Returns the training set of an early fusion: the columns of all members, of the patients whom all have."""
    tables, columns = [], dict[str, Column]()
    for member in members:
        whole = member.training
        frame = pd.DataFrame(whole.X, columns=whole.names, index=_patients(whole).index)
        new = [column for column in whole.columns if column.name not in columns]
        columns |= {column.name: column for column in new}
        tables.append(frame[[column.name for column in new]])
    X = pd.concat(tables, axis=1, join="inner").sort_index()
    rows = _patients(members[0].training).loc[X.index].reset_index()
    return _set(rows, X.to_numpy(np.float64), tuple(columns.values()), record_of(name, members, rows))


def _patients(whole: TrainingSet) -> pd.DataFrame:
    frame = pd.DataFrame({"center": whole.center, "case_id": whole.case_id, "y": whole.y, "split": whole.split})
    return frame.set_index(PATIENT)


def _set(rows: pd.DataFrame, X: Floats, columns: tuple[Column, ...], record: dict[str, Any]) -> TrainingSet:
    return TrainingSet(
        X=X,
        y=rows["y"].to_numpy(np.int8),
        center=rows["center"].to_numpy(np.str_),
        case_id=rows["case_id"].to_numpy(np.str_),
        split=rows["split"].to_numpy(np.str_),
        columns=columns,
        record=record,
    )


def record_of(name: str, members: Sequence[Member], rows: pd.DataFrame) -> dict[str, Any]:
    """Returns how a fusion's training set was made, in the words of `assemble`."""
    records = [member.training.record for member in members]
    counts = rows.groupby(["center", "split"], sort=True)["y"].agg(["size", "sum"]).reset_index()
    kept = ("feature_set", "rules", "label", "split")
    first: dict[str, Any] = {key: records[0][key] for key in kept if key in records[0]}
    return {
        **first,
        "service": merged_service(name, [record["service"] for record in records]),
        "extraction": _merged_extraction([record["extraction"] for record in records]),
        "centers": sorted({center for record in records for center in record["centers"]}),
        "acquisition": {k: told for record in records for k, told in record.get("acquisition", {}).items()},
        "left_out": {},
        "counts": [
            {"center": center, "split": split, "n": int(n), "positive": int(positive)}
            for center, split, n, positive in counts.itertuples(index=False)
            if split in (TRAINING, INTERNAL)
        ],
        "members": {
            member.name: {"package": member.package.digest, "training_set": member.training.digest}
            for member in members
        },
    }


def merged_service(name: str, services: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns one service with the views, phases and columns of several."""
    parts: dict[str, dict[str, Any]] = {}
    for service in services:
        for one in (service, *service.get("joins", ())):
            own = parts.setdefault(str(one["view"]), {"phases": [], "patterns": []})
            own["phases"] += [phase for phase in one["phases"] if phase not in own["phases"]]
            own["patterns"] += [one["columns"]] if one["columns"] not in own["patterns"] else []
    told = [{"view": view, "phases": own["phases"], "columns": _either(own["patterns"])} for view, own in parts.items()]
    missing = {"missing_phase": "impute"} if all(s.get("missing_phase") == "impute" for s in services) else {}
    return {"name": name, **told[0], **({"joins": told[1:]} if told[1:] else {}), **missing}


def _either(patterns: Sequence[str]) -> str:
    return patterns[0] if len(patterns) == 1 else "|".join(f"(?:{pattern})" for pattern in patterns)


def _merged_extraction(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    by_phase = {phase: one for extraction in told for phase, one in extraction["by_phase"].items()}
    prints = {phase: one for extraction in told for phase, one in extraction["fingerprints"].items()}
    views = {view: one for extraction in told for view, one in extraction.get("views", {}).items()}
    notes = {view: one for extraction in told for view, one in extraction.get("notes", {}).items()}
    engines = [extraction["engine"] for extraction in told if extraction["engine"] != IMPORTED]
    engine = engines[0] if engines else told[0]["engine"]
    own = {"engine": engine, "by_phase": prints, **({"views": views} if views else {})}
    return {
        "engine": engine,
        "by_phase": by_phase,
        "fingerprints": prints,
        "fingerprint": digest(own),
        **({"views": views} if views else {}),
        **({"notes": notes} if notes else {}),
    }
