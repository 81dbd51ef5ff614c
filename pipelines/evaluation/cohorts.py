"""Who is judged: training, internal and external patients, and what each model says about them.

External labels are read here and nowhere else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from featurestore.entities import PATIENT_COLUMNS
from featurestore.errors import DamagedTableError, InputError
from featurestore.flat_tables import read_flat
from featurestore.joining import joined_frame, refuse_mixed
from featurestore.tables import read_frame
from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from featurestore.views import FeatureService
from pipelines.evaluation.adapting import center_adapters
from pipelines.evaluation.metrics import CohortPredictions, OutOfFold
from pipelines.models.predicting import CaseInputs, StoredCases, predict_cases
from pipelines.params import Params
from pipelines.stored_views import outcomes_frame, service_of, view_frame, view_notes
from pipelines.workspace import ROLES, Role, Workspace
from registry.package import MANIFEST, ModelPackage, load_package
from registry.parts import Part

APPARENT, EXTERNAL = "training_apparent", "external"


class StaleModelError(InputError):
    """A model was made from another training set than the one that lies here."""

    default_remedy = "run `radmill run`, which tunes what is out of date first"


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """One tuned model with what judging it needs."""

    name: str
    service: str
    package: ModelPackage
    training: TrainingSet
    folder: Path


def candidates(workspace: Workspace, params: Params) -> tuple[list[Candidate], list[str]]:
    """Loads every declared model that was tuned.

    Returns:
        The candidates in the order of `params.yaml`, and the names of the models that have no package.

    Raises:
        StaleModelError: A model's training set is not the one that lies here.
    """
    found, absent = [], []
    sets: dict[str, TrainingSet] = {}
    for name in params.all_models():
        folder, service = workspace.model(name), params.service_of_model(name)
        if not (folder / "package" / MANIFEST).is_file():
            absent.append(name)
            continue
        if service not in sets:
            sets[service] = TrainingSet.load(workspace.training_of(name, service))
        package = load_package(folder / "package")
        if package.manifest["training_set"] != sets[service].digest:
            raise StaleModelError("it was tuned on another training set", where=f"model {name}")
        found.append(Candidate(name=name, service=service, package=package, training=sets[service], folder=folder))
    return found, absent


def out_of_fold(candidate: Candidate) -> CohortPredictions:
    """Returns the cross-validated predictions of the training patients.

    Raises:
        DamagedTableError: The patients are not those of the training set.
    """
    part = candidate.training.part(TRAINING)
    frame, _ = read_flat(candidate.folder / "oof.parquet")
    frame = frame.sort_values(list(PATIENT_COLUMNS), kind="stable")
    n_repeats = sum(name.startswith("fold_") for name in frame.columns)
    names = [(f"p_{number}", f"fold_{number}") for number in range(n_repeats)]
    predictions = CohortPredictions(
        model=candidate.name,
        cohort=TRAINING,
        center=frame["center"].to_numpy(np.str_),
        case_id=frame["case_id"].to_numpy(np.str_),
        y=frame["y"].to_numpy(np.int8),
        p=frame["p"].to_numpy(np.float64),
        out_of_fold=OutOfFold(
            p=frame[[p for p, _ in names]].to_numpy(np.float64),
            fold=frame[[fold for _, fold in names]].to_numpy(np.int64),
            on_scale=frame["p_best"].to_numpy(np.float64),
        ),
        left_out={},
    )
    patients = set(zip(part.center.tolist(), part.case_id.tolist(), strict=True))
    told = predictions.patients()
    # a fusion learns from those of whom all members say something
    if not (set(told) <= patients if candidate.package.is_fusion else set(told) == patients):
        raise DamagedTableError("holds other patients than the training set", where=f"oof of {candidate.name}")
    return predictions


@dataclass(frozen=True, kw_only=True, eq=False)
class DevelopmentData:
    """Where the development patients' columns and images are.

    Args:
        sets: The training set of each service.
        cases: Their stored images.
    """

    sets: Mapping[str, TrainingSet]
    cases: StoredCases

    def features(self, candidate: Candidate) -> Callable[[Part], pd.DataFrame]:
        """Returns how a part of a candidate finds its columns: in the training set that it was made from."""

        def find(part: Part) -> pd.DataFrame:
            is_own = part.manifest["training_set"] == candidate.training.digest
            whole = candidate.training if is_own else self._made_from(part)
            order = [whole.names.index(name) for name in part.features]
            frame = pd.DataFrame(whole.X[:, order], columns=list(part.features))
            return frame.assign(center=whole.center, case_id=whole.case_id)

        return find

    def _made_from(self, part: Part) -> TrainingSet:
        name = str(part.manifest["service"]["name"])
        whole = self.sets.get(name)
        if whole is None or whole.digest != part.manifest["training_set"]:
            raise StaleModelError("it was made from another training set", where=f"member {part.name}")
        return whole


def read_development(workspace: Workspace, params: Params) -> DevelopmentData:
    """Reads the training sets that are here, and the table of stored cases."""
    folders = [workspace.training(name) for name in params.services]
    sets = {folder.name: TrainingSet.load(folder) for folder in folders if folder.is_dir()}
    return DevelopmentData(sets=sets, cases=_stored(workspace, "development"))


def _stored(workspace: Workspace, role: Role) -> StoredCases:
    return StoredCases(folder=workspace.cases(role), rows=read_frame(workspace.view(role, "cases")))


def of_training_set(candidate: Candidate, split: str, cohort: str, data: DevelopmentData) -> CohortPredictions:
    """Returns the package's predictions on one side of the training set's split."""
    part = candidate.training.part(split)
    inputs = CaseInputs(center=part.center, case_id=part.case_id, features=data.features(candidate), cases=data.cases)
    said = predict_cases(candidate.package, inputs)
    keep = ~np.isnan(said.p)
    return CohortPredictions(
        model=candidate.name,
        cohort=cohort,
        center=part.center[keep],
        case_id=part.case_id[keep],
        y=part.y[keep],
        p=said.p[keep],
        left_out={reason: int(lost.sum()) for reason, lost in said.reasons.items() if lost.any()},
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class ExternalData:
    """The tables of the external centers.

    Args:
        centers: The centers in the order of `params.yaml`.
        tables: By view, one row a case, as extract or an import wrote it.
        outcomes: `center`, `case_id`, `label` of every eligible patient.
        cases: Their stored images.
    """

    centers: tuple[str, ...]
    tables: Mapping[str, pd.DataFrame]
    outcomes: pd.DataFrame
    cases: StoredCases | None = None

    def features(self, part: Part) -> pd.DataFrame:
        """Returns `center`, `case_id` and a part's columns, of those patients who have what it needs."""
        columns = list(part.features)
        service = FeatureService.from_plain(part.manifest["service"])
        if any(self.tables[one.view].empty for one in service.parts):
            return _no_rows(columns)
        return joined_frame(self.tables, service, columns)


def read_external(workspace: Workspace, params: Params) -> ExternalData:
    """Reads features and labels of the declared external centers; without any, both are empty.

    Raises:
        MixedSettingsError: External rows were made with other settings or versions than the development rows.
    """
    centers = tuple(params.centers.external)
    parts = [part for name in params.services for part in service_of(params, name).parts]
    views = dict.fromkeys(part.view for part in parts)
    for view in views:
        notes = [(role, view_notes(workspace, params, role, view)) for role in ROLES]
        refuse_mixed({f"{role} {c}": told for role, made in notes for c, told in made.items()}, f"view {view}")
    tables = {view: view_frame(workspace, params, "external", view) for view in views}
    outcomes, cases = outcomes_frame(workspace, params, "external"), _stored(workspace, "external")
    return ExternalData(centers=centers, tables=tables, outcomes=outcomes, cases=cases)


def of_external(candidate: Candidate, data: ExternalData) -> list[CohortPredictions]:
    """Returns the predictions on the external patients, pooled and by center; none without external centers."""
    return said_of_external(candidate.name, candidate.package, data)


def said_of_external(model: str, package: Part, data: ExternalData) -> list[CohortPredictions]:
    """Returns what a package, or what predicts like one, says of the external patients.

    Args:
        model: What it is called.
        package: What predicts.
        data: The external patients.
    """
    if not data.centers:
        return []
    patients = data.outcomes[[*PATIENT_COLUMNS, "label"]]
    patients = patients.sort_values(list(PATIENT_COLUMNS), kind="stable").reset_index(drop=True)
    center, case_id = (patients[name].to_numpy(np.str_) for name in PATIENT_COLUMNS)
    labelled = patients["label"].notna().to_numpy()
    inputs = CaseInputs(
        center=center[labelled],
        case_id=case_id[labelled],
        features=data.features,
        adapters=center_adapters,
        cases=data.cases,
    )
    said = predict_cases(package, inputs)
    p = np.full(len(patients), np.nan)
    p[labelled] = said.p
    keep = ~np.isnan(p)
    reasons = {"label_missing": ~labelled}
    for reason, lost in said.reasons.items():
        reasons[reason] = np.zeros(len(patients), dtype=bool)
        reasons[reason][labelled] = lost

    def cohort(name: str, at: NDArray[np.bool_]) -> CohortPredictions:
        rows = at & keep
        return CohortPredictions(
            model=model,
            cohort=name,
            center=center[rows],
            case_id=case_id[rows],
            y=patients.loc[rows, "label"].to_numpy(np.int8),
            p=p[rows],
            left_out={reason: int((at & lost).sum()) for reason, lost in reasons.items()},
        )

    pooled = cohort(EXTERNAL, np.ones(len(patients), dtype=bool))
    return [pooled, *(cohort(f"{EXTERNAL}.{name}", center == name) for name in data.centers)]


def all_cohorts(candidate: Candidate, development: DevelopmentData, data: ExternalData) -> list[CohortPredictions]:
    """Returns the model's predictions on every cohort, training first."""
    return [
        out_of_fold(candidate),
        of_training_set(candidate, TRAINING, APPARENT, development),
        of_training_set(candidate, INTERNAL, INTERNAL, development),
        *of_external(candidate, data),
    ]


def thresholds(
    candidate: Candidate, oof: CohortPredictions, rules: Mapping[str, Callable[..., float | None]]
) -> dict[str, float]:
    """Returns the operating points: the package's own, and those it lacks from out-of-fold predictions.

    Args:
        candidate: The model.
        oof: Its out-of-fold predictions.
        rules: How each operating point follows from labels and probabilities.
    """
    stored = candidate.package.thresholds
    p = oof.p if oof.out_of_fold is None else oof.out_of_fold.on_scale
    found = {name: stored.get(name, rule(oof.y, p)) for name, rule in rules.items()}
    return {name: float(value) for name, value in found.items() if value is not None}


def _no_rows(columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=np.float64) for name in columns}).assign(
        **{name: pd.Series(dtype=str) for name in PATIENT_COLUMNS}
    )
