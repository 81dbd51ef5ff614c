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
from featurestore.tables import read_frame
from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from featurestore.views import FeatureService, wide_frame
from pipelines.evaluation.metrics import CohortPredictions, OutOfFold
from pipelines.params import Params
from pipelines.workspace import Workspace
from registry.package import MANIFEST, ModelPackage, load_package
from registry.predict import predict

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
    for name, model in params.models.items():
        folder = workspace.model(name)
        if not (folder / "package" / MANIFEST).is_file():
            absent.append(name)
            continue
        if model.service not in sets:
            sets[model.service] = TrainingSet.load(workspace.training(model.service))
        package = load_package(folder / "package")
        if package.manifest["training_set"] != sets[model.service].digest:
            raise StaleModelError("it was tuned on another training set", where=f"model {name}")
        found.append(
            Candidate(name=name, service=model.service, package=package, training=sets[model.service], folder=folder)
        )
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
    if predictions.patients() != list(zip(part.center.tolist(), part.case_id.tolist(), strict=True)):
        raise DamagedTableError("holds other patients than the training set", where=f"oof of {candidate.name}")
    return predictions


def of_training_set(candidate: Candidate, split: str, cohort: str) -> CohortPredictions:
    """Returns the package's predictions on one side of the training set's split."""
    part = candidate.training.part(split)
    order = [part.names.index(name) for name in candidate.package.features]
    return CohortPredictions(
        model=candidate.name,
        cohort=cohort,
        center=part.center,
        case_id=part.case_id,
        y=part.y,
        p=predict(candidate.package, part.X[:, order]),
        left_out={},
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class ExternalData:
    """The tables of the external centers.

    Args:
        centers: The centers in the order of `params.yaml`.
        features: One row a case, as extract wrote it.
        outcomes: `center`, `case_id`, `label` of every eligible patient.
    """

    centers: tuple[str, ...]
    features: pd.DataFrame
    outcomes: pd.DataFrame


def read_external(workspace: Workspace, params: Params, view: str = "radiomics") -> ExternalData:
    """Reads features and labels of the declared external centers; without any, both are empty."""
    centers = tuple(params.centers.external)
    outcomes = read_frame(workspace.outcomes("external"), centers=centers)
    if outcomes.empty:
        outcomes = pd.DataFrame(columns=[*PATIENT_COLUMNS, "label"])
    features = read_frame(workspace.features("external", view), centers=centers)
    return ExternalData(centers=centers, features=features, outcomes=outcomes)


def of_external(candidate: Candidate, data: ExternalData) -> list[CohortPredictions]:
    """Returns the predictions on the external patients, pooled and by center; none without external centers."""
    if not data.centers:
        return []
    columns = list(candidate.package.features)
    service = FeatureService.from_plain({"name": candidate.service, **candidate.package.manifest["service"]})
    wide = wide_frame(data.features, service, columns) if len(data.features) else _no_rows(columns)
    joined = data.outcomes[[*PATIENT_COLUMNS, "label"]].merge(wide, on=list(PATIENT_COLUMNS), how="left")
    joined = joined.sort_values(list(PATIENT_COLUMNS), kind="stable").reset_index(drop=True)
    present = pd.MultiIndex.from_frame(joined[list(PATIENT_COLUMNS)]).isin(
        pd.MultiIndex.from_frame(wide[list(PATIENT_COLUMNS)])
    )
    labelled = joined["label"].notna().to_numpy()
    keep = present & labelled
    p = np.full(len(joined), np.nan)
    p[keep] = predict(candidate.package, joined.loc[keep, columns].to_numpy(np.float64))
    center = joined["center"].to_numpy(np.str_)
    reasons = {"label_missing": ~labelled, "features_missing": labelled & ~present}

    def cohort(name: str, at: NDArray[np.bool_]) -> CohortPredictions:
        rows = at & keep
        return CohortPredictions(
            model=candidate.name,
            cohort=name,
            center=center[rows],
            case_id=joined["case_id"].to_numpy(np.str_)[rows],
            y=joined.loc[rows, "label"].to_numpy(np.int8),
            p=p[rows],
            left_out={reason: int((at & lost).sum()) for reason, lost in reasons.items()},
        )

    pooled = cohort(EXTERNAL, np.ones(len(joined), dtype=bool))
    return [pooled, *(cohort(f"{EXTERNAL}.{name}", center == name) for name in data.centers)]


def all_cohorts(candidate: Candidate, data: ExternalData) -> list[CohortPredictions]:
    """Returns the model's predictions on every cohort, training first."""
    return [
        out_of_fold(candidate),
        of_training_set(candidate, TRAINING, APPARENT),
        of_training_set(candidate, INTERNAL, INTERNAL),
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
