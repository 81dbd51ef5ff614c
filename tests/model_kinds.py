"""One model of every kind, as training leaves it, from a few patients who have all that any of them looks at."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
import yaml
from numpy.typing import NDArray
from scipy.special import expit

from featurestore.flat_tables import read_flat
from featurestore.schemas import Column
from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.images.files import write_image
from pipelines.models.patches import Recipe, cohort_patches
from pipelines.models.predicting import PATIENT, CaseInputs, StoredCases
from pipelines.params import Params, parse_params
from pipelines.params.deep import DeepModel
from pipelines.params.fusion import Fusion
from pipelines.params.modelling import Model
from pipelines.runner import Silent
from pipelines.training.candidate import write_candidate
from pipelines.training.dealing import folds_of
from pipelines.training.deep_candidate import write_deep_candidate
from pipelines.training.deep_settings import recipe_of
from pipelines.training.direct import fit_direct, maker_of
from pipelines.training.direct_candidate import write_direct_candidate
from pipelines.training.fuse import fused
from pipelines.training.fusion_candidate import write_fusion_candidate
from pipelines.training.members import Member
from pipelines.training.results import EARLY
from pipelines.training.train_deep import learn
from pipelines.training.tune import fit_best
from registry.package import ModelPackage, load_package
from registry.stacking import member_log_odds, phases_absent

Floats = NDArray[np.float64]

N, N_FEATURES, TARGET = 48, 6, 0.9
PHASES = ("early", "late")
TUNING = {"trials": 2, "folds": 3, "repeats": 1, "batch": 2, "seed": 7}
VIEWS = {"images": ("radiomics", PHASES), "clinical": ("clinical", ("clinical",)), "net": ("net", ("net",))}

TABULAR: dict[str, dict[str, Any]] = {
    "lr": {"service": "images", "estimator": "lr"},
    "rf": {"service": "images", "estimator": "rf", "space": {"trees": [8]}},
    "mlp": {"service": "images", "estimator": "mlp", "space": {"hidden": ["4"], "iterations": [20]}},
}
DIRECT: dict[str, dict[str, Any]] = {
    "clinical": {"service": "clinical", "estimator": "clinical", "screening": {"p_enter": 0.5, "retain": "entered"}},
    "probability": {"service": "net", "estimator": "probability"},
}
_NETWORK = {
    "service": "images",
    "phases": list(PHASES),
    "architecture": "resnet10",
    "size": 16,
    "spacing_mm": 1.0,
    "window": {"low": -50, "high": 150},
    "width": 0.125,
    "epochs": 1,
    "batch": 16,
}
DEEP: dict[str, dict[str, Any]] = {
    "deep_25d": {**_NETWORK, "dims": "25d", "slices": 3},
    "deep_3d": {**_NETWORK, "dims": "3d", "roi": "masked"},
}
FUSIONS: dict[str, dict[str, Any]] = {
    "late": {"members": ["lr", "clinical", "deep_25d"]},
    "spared": {"members": ["lr", "probability"], "absent_member": "renormalize"},
    "early": {"members": ["lr", "clinical"], "kind": "early"},
    "tuned": {"members": ["lr", "clinical"], "kind": "tuned"},
}
KINDS = (*TABULAR, *DIRECT, *DEEP, *FUSIONS)


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """A model.

    Args:
        folder: Its candidate.
        package: What was read from there.
        whole: The training set it is from.
        said: What the model in memory says of all patients, shape (n,).
    """

    folder: Path
    package: ModelPackage
    whole: TrainingSet
    said: Floats

    @property
    def member(self) -> Member:
        """The model as a fusion sees it."""
        frame, _ = read_flat(self.folder / "oof.parquet")
        known = frame.set_index(PATIENT).sort_index()
        name, package = self.package.name, self.package
        return Member(name=name, package=package, training=self.whole, out_of_fold=known, repeats=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cohort:
    """The patients.

    Args:
        sets: Their training sets, by service.
        cases: Their stored images.
        cut: Patches that were cut before, flat or as cubes.
    """

    sets: dict[str, TrainingSet]
    cases: StoredCases
    cut: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def patches(self, recipe: Recipe) -> NDArray[np.float32]:
        """Returns what a network sees of all patients."""
        own = list(zip(self.sets["images"].center.tolist(), self.sets["images"].case_id.tolist(), strict=True))
        if recipe.dims not in self.cut:
            self.cut[recipe.dims] = cohort_patches(self.cases.folder, self.cases.rows, own, recipe)
        return self.cut[recipe.dims]

    @property
    def table(self) -> pd.DataFrame:
        """All features of all patients, one row a patient."""
        whole = self.sets["images"]
        frames = [pd.DataFrame(one.X, columns=one.names) for one in self.sets.values()]
        return pd.concat([pd.DataFrame({"center": whole.center, "case_id": whole.case_id}), *frames], axis=1)

    def inputs(
        self, rows: Sequence[int], table: pd.DataFrame | None = None, cases: pd.DataFrame | None = None
    ) -> CaseInputs:
        """Returns some patients as evaluation and scoring ask about them.

        Args:
            rows: Which of the table's patients.
            table: Features, where they are not the cohort's own.
            cases: Rows of the stored cases, where they are not the cohort's own.
        """
        wide = (self.table if table is None else table).iloc[list(rows)]
        stored = self.cases.rows if cases is None else cases
        return CaseInputs(
            center=wide["center"].to_numpy(np.str_),
            case_id=wide["case_id"].to_numpy(np.str_),
            features=lambda part: wide[~phases_absent(part.features, wide[list(part.features)].to_numpy(np.float64))],
            cases=StoredCases(folder=self.cases.folder, rows=stored),
        )


def cohort(folder: Path) -> Cohort:
    """Makes patients and writes their images."""
    rng = np.random.default_rng(3)
    y = (np.arange(N) % 2).astype(np.int8)
    images = rng.normal(size=(N, len(PHASES) * N_FEATURES)) + 0.8 * y[:, None]
    images[rng.random(images.shape) < 0.02] = np.nan
    node = rng.random(N) < 0.3 + 0.4 * y
    clinical = np.column_stack([rng.normal(65 + 6 * y, 8), rng.random(N) < 0.3 + 0.4 * y, node, ~node]).astype(float)
    clinical[[5, 20], 0] = np.nan
    given = expit(rng.normal(1.5 * y - 0.75))[:, None]
    names = {
        "images": [f"{phase}.f{i}" for phase in PHASES for i in range(N_FEATURES)],
        "clinical": ["clinical.age", "clinical.pain", "clinical.node=N+", "clinical.node=N0"],
        "net": ["net.p"],
    }
    values = {"images": images, "clinical": clinical, "net": given}
    sets = {service: _set(service, values[service], names[service], y) for service in names}
    return Cohort(sets=sets, cases=_stored(folder, sets["images"]))


def _set(service: str, X: Floats, names: list[str], y: NDArray[np.int8]) -> TrainingSet:
    view, phases = VIEWS[service]
    return TrainingSet(
        X=X,
        y=y,
        center=np.repeat(["east", "north"], N // 2),
        case_id=np.array([f"{i:016x}" for i in range(N)]),
        split=np.where(np.arange(N) % 8 < 6, TRAINING, INTERNAL),
        columns=tuple(Column(name=name) for name in names),
        record={
            "service": {"name": service, "view": view, "phases": list(phases), "columns": ".*"},
            "extraction": {"engine": "fast", "by_phase": {}, "fingerprints": {}, "fingerprint": "e" * 64},
            "rules": {"phases": {}},
            "label": "her2",
            "feature_set": "1",
            "centers": ["east", "north"],
            "acquisition": {},
        },
    )


def _stored(folder: Path, whole: TrainingSet) -> StoredCases:
    rows, size = [], {"x": 20, "y": 20, "z": 12}
    region = np.zeros((12, 20, 20), np.uint8)
    region[4:9, 7:13, 7:13] = 1
    for i, patient in enumerate(zip(whole.center.tolist(), whole.case_id.tolist(), strict=True)):
        for number, phase in enumerate(PHASES):
            voxels = np.random.default_rng([i, number]).normal(20, 15, region.shape)
            voxels[region > 0] += 40 + 30 * whole.y[i]
            own = {kind: f"{patient[1]}_{phase}_{kind}.nii.gz" for kind in ("image", "mask")}
            write_image(folder / own["image"], sitk.GetImageFromArray(voxels.astype(np.int16)))
            write_image(folder / own["mask"], sitk.GetImageFromArray(region))
            row = {
                "center": patient[0],
                "case_id": patient[1],
                "phase": phase,
                "roi": "tumor",
                "is_primary": True,
                "n_voxels": int(region.sum()),
            }
            sides = {f"{key}{axis}": n for axis, n in size.items() for key in ("size_", "full_size_")}
            rows.append({**row, **own, **sides, **{f"crop_{axis}": 0 for axis in size}})
    return StoredCases(folder=folder, rows=pd.DataFrame(rows))


def make_all(patients: Cohort, root: Path) -> dict[str, Made]:
    """Trains a model of every kind under `root`, by name."""
    content = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))
    params = parse_params({**content, "tuning": TUNING})
    made: dict[str, Made] = {}
    for name, settings in (TABULAR | DIRECT).items():
        made[name] = _on_columns(root / name, name, patients, Model(**settings), params)
    for name, settings in DEEP.items():
        made[name] = _on_images(root / name, name, patients, DeepModel(**settings), params)
    for name, settings in FUSIONS.items():
        made[name] = _joined(root / name, name, made, Fusion(**settings), params)
    return made


def _on_columns(folder: Path, name: str, patients: Cohort, settings: Model, params: Params) -> Made:
    whole = patients.sets[settings.service]
    part = whole.part(TRAINING)
    if name in TABULAR:
        tuned = fit_best(part, settings, params.tuning)
        write_candidate(folder, name, whole, settings, tuned, TARGET)
        said = tuned.model.predict_proba(whole.X)
    else:
        fitted = fit_direct(part.X, part.y, maker_of(settings, part), folds_of(part, params.tuning), 1)
        write_direct_candidate(folder, name, whole, settings, fitted, TARGET)
        said = fitted.model.predict_proba(whole.X)
    return Made(folder=folder, package=load_package(folder / "package"), whole=whole, said=said)


def _on_images(folder: Path, name: str, patients: Cohort, settings: DeepModel, params: Params) -> Made:
    whole, recipe = patients.sets[settings.service], recipe_of(params, settings)
    patches = patients.patches(recipe)
    seen, kept = patches[whole.split == TRAINING], patches[whole.split == INTERNAL]
    scratch = folder.with_name(f"{name}.scratch")
    learned = learn(whole.part(TRAINING), seen, recipe, settings, params, scratch, None, Silent())
    write_deep_candidate(folder, name, whole, settings, learned, seen, kept, TARGET)
    said = learned.network.predict(patches)
    return Made(folder=folder, package=load_package(folder / "package"), whole=whole, said=said)


def _joined(folder: Path, name: str, made: dict[str, Made], settings: Fusion, params: Params) -> Made:
    found = fused(name, [made[member].member for member in settings.members], settings, params.tuning)
    write_fusion_candidate(folder, name, found, TARGET)
    if found.chosen == EARLY and found.early is not None:
        said = found.early[0].model.predict_proba(found.early[1].X)
    else:
        told = np.column_stack([made[member].said for member in settings.members])
        said = found.late.model.predict_proba(member_log_odds(told))
    whole = TrainingSet.load(folder / "training")
    return Made(folder=folder, package=load_package(folder / "package"), whole=whole, said=said)
