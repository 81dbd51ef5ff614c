"""A small made-up study on disk, as the stages before evaluation leave it: tables, training sets, packages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from featurestore.entities import KEY_COLUMNS, CaseKey
from featurestore.files import write_json
from featurestore.flat_tables import write_flat
from featurestore.schemas import Column, TableSchema
from featurestore.tables import write_center
from featurestore.training_sets import TrainingSet
from featurestore.views import FeatureService, wide_frame
from pipelines.demo import write_demo
from pipelines.ingest.views import ACQUISITION, QC, clinical_schema, outcomes_schema, qc_row
from pipelines.params import Params, parse_params
from pipelines.workspace import Workspace
from registry.package import save_package

ROOT = Path(__file__).resolve().parents[2]
FEATURES = [f"original_glcm_Fake{i}" for i in range(12)]
COMPONENTS = 5
FOLDS, REPEATS = 5, 2

Patients = pd.DataFrame
FakeStudy = Callable[..., tuple[Workspace, Params]]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six patients of each of the demo's centers, with every planted fault. Tests read it; to change it, copy it."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, patients=6)
    return folder


@pytest.fixture(scope="session")
def fake_study() -> FakeStudy:
    """Writes a made-up study and returns it with its settings; see `write_fake_study`."""
    return write_fake_study


def write_fake_study(
    root: Path,
    *,
    effect: float = 1.0,
    n_per_center: int = 40,
    external: tuple[str, ...] = ("west",),
    estimators: tuple[str, ...] = ("lr",),
    services: tuple[str, ...] = ("excretory", "triphasic"),
    seed: int = 1,
) -> tuple[Workspace, Params]:
    """Writes everything that evaluate and report read.

    Args:
        root: The study's folder.
        effect: How far the classes lie apart; 0 is nothing to find.
        n_per_center: Patients of each center.
        external: The external centers.
        estimators: One model each on every service.
        services: The services, of those that the template declares.
        seed: Decides all values.
    """
    params = _params(external, estimators, services)
    workspace = Workspace(root)
    rng = np.random.default_rng(seed)
    for role in ("development", "external"):
        for number, center in enumerate(params.centers.of(role)):
            patients = _patients(center, n_per_center, effect, rng)
            _write_tables(workspace, params, role, patients, shift=0.3 * number + (role == "external"), rng=rng)
    for service in params.services:
        _write_training_set(workspace, params, service)
    for name in params.models:
        _write_model(workspace, params, name)
    _write_validation(workspace)
    return workspace, params


def _params(external: tuple[str, ...], estimators: tuple[str, ...], services: tuple[str, ...]) -> Params:
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["centers"]["external"] = {name: {} for name in external}
    content["evaluation"]["bootstrap"] = 100
    content["services"] = {name: content["services"][name] for name in services}
    content["deep"], content["fusion"] = {}, {}
    content["models"] = {
        f"radiomics_{estimator}_{service}": {"service": service, "estimator": estimator}
        for service in content["services"]
        for estimator in estimators
    }
    return parse_params(content)


def _patients(center: str, n: int, effect: float, rng: np.random.Generator) -> Patients:
    label = rng.integers(0, 2, n)
    return pd.DataFrame(
        {
            "center": center,
            "case_id": [f"{center[:2]}{i:014x}" for i in range(n)],
            "label": label,
            "signal": effect * label + rng.normal(size=n),
            "age": rng.normal(67, 9, n).round(),
            "sex": rng.choice(["F", "M"], n, p=[0.3, 0.7]),
            "sessile": rng.uniform(size=n) < 0.3 + 0.25 * label,
            "hydronephrosis": rng.uniform(size=n) < 0.25,
            "pelvic_pain": rng.uniform(size=n) < 0.2,
            "node_status": rng.choice(["N0", "N+"], n),
        }
    )


def _write_tables(
    workspace: Workspace, params: Params, role: Any, patients: Patients, shift: float, rng: np.random.Generator
) -> None:
    center = str(patients["center"].iloc[0])
    fates = {1: ("excluded", "excluded", "adults"), 2: ("refused", "slices_missing", "slices 12 to 14 are missing")}
    fates[3] = ("refused", "empty_mask", "the mask has no voxel inside")
    qc, features = [], []
    for index, patient in patients.iterrows():
        for phase in params.phases:
            key = CaseKey(center=center, case_id=str(patient["case_id"]), phase=phase, roi="tumor", observer="")
            status, code, message = fates.get(int(str(index)), ("ok", "", ""))
            remedy = "export the series again with all its slices" if code == "slices_missing" else ""
            qc.append(qc_row(key, status, code=code, message=message, remedy=remedy))  # type: ignore[arg-type]
            if status == "ok":
                values = patient["signal"] * np.linspace(0.2, 1, len(FEATURES)) + shift
                features.append(
                    {
                        **key.columns(),
                        **dict(zip(FEATURES, values + rng.normal(size=len(FEATURES)), strict=True)),
                        "fingerprint": "f",
                        "value_hash": "v",
                    }
                )
    columns = (*(Column(name=name) for name in FEATURES), *(Column(name=n, kind="string") for n in _BOOKKEEPING))
    write_center(workspace.features(role), center, features, TableSchema(name="radiomics", columns=columns))
    write_center(workspace.features(role, "qc"), center, [], QC)
    write_center(workspace.view(role, "qc"), center, qc, QC)
    schema = clinical_schema(params.ingest.clinical)
    kept = patients.drop(index=[1])
    write_center(workspace.view(role, "clinical"), center, kept[list(schema.names())], schema)
    _write_acquisition(workspace, role, center, features)
    labels = kept[["center", "case_id", "label"]].assign(value="2+").astype({"label": "Int64"})
    labels.iloc[4, 2] = pd.NA
    write_center(workspace.outcomes(role), center, labels, outcomes_schema(params.label))


_BOOKKEEPING = ("fingerprint", "value_hash")


def _write_acquisition(workspace: Workspace, role: Any, center: str, features: list[dict[str, Any]]) -> None:
    blank = {column.name: None for column in ACQUISITION.columns}
    rows = [
        {**blank, **{k: row[k] for k in KEY_COLUMNS}, "manufacturer": center.title(), "slice_thickness_mm": 5.0}
        for row in features
    ]
    frame = pd.DataFrame(rows).astype({c.name: "float64" for c in ACQUISITION.columns if c.kind == "float"})
    write_center(workspace.view(role, "acquisition"), center, frame, ACQUISITION)


def _service(params: Params, name: str) -> FeatureService:
    service = params.services[name]
    return FeatureService(name=name, view=service.view, phases=tuple(service.phases), pattern=service.columns)


def _write_training_set(workspace: Workspace, params: Params, name: str) -> None:
    from featurestore.tables import read_frame

    wide = wide_frame(read_frame(workspace.features("development")), _service(params, name))
    outcomes = read_frame(workspace.outcomes("development")).dropna(subset=["label"])
    joined = wide.merge(outcomes, on=["center", "case_id"]).sort_values(["center", "case_id"])
    names = [column for column in wide.columns if column not in ("center", "case_id")]
    split = np.where(joined["case_id"].map(lambda text: int(text[2:], 16) % 10 < 7), "training", "internal")
    TrainingSet(
        X=joined[names].to_numpy(np.float64),
        y=joined["label"].to_numpy(np.int8),
        center=joined["center"].to_numpy(np.str_),
        case_id=joined["case_id"].to_numpy(np.str_),
        split=split.astype(np.str_),
        columns=tuple(Column(name=column) for column in names),
        record={"service": _service(params, name).plain(), "feature_set": "1", "extraction": {"fingerprint": "e" * 64}},
    ).save(workspace.training(name))


def _write_model(workspace: Workspace, params: Params, name: str) -> None:
    model = params.models[name]
    whole = TrainingSet.load(workspace.training(model.service))
    part = whole.part("training")
    arrays = _fit(part.X, part.y)
    _write_oof(workspace, name, part)
    manifest = {
        "kind": "tabular",
        "model": {"name": name, "estimator": "lr", "hyperparameters": {"C": 1.0, "components": COMPONENTS}},
        "features": [{"name": feature, "unit": ""} for feature in whole.names],
        "service": _service(params, model.service).plain(),
        "rules": {},
        "extraction": {"engine": "pyradiomics", "by_phase": {}, "fingerprint": "e" * 64},
        "feature_set": "1",
        "training_set": whole.digest,
        "label": "her2",
        "thresholds": {"youden": 0.45},
        "metrics_oof": {},
        "release": "0",
    }
    save_package(workspace.model(name) / "package", manifest, arrays, part.X[:3], "card")
    _write_components(workspace, name, part)


def _fit(X: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    scaler = StandardScaler().fit(X)
    pca = PCA(COMPONENTS, svd_solver="full").fit(scaler.transform(X))
    lr = LogisticRegression().fit(pca.transform(scaler.transform(X)), y)
    return {
        "scale.mean": scaler.mean_,
        "scale.sd": scaler.scale_,
        "pca.mean": pca.mean_,
        "pca.components": pca.components_,
        "lr.coef": lr.coef_[0],
        "lr.intercept": lr.intercept_,
    }


def _write_oof(workspace: Workspace, name: str, part: TrainingSet) -> None:
    frame = pd.DataFrame({"center": part.center, "case_id": part.case_id, "y": part.y.astype(np.int64)})
    for repeat in range(REPEATS):
        p, fold = np.zeros(len(part.y)), np.zeros(len(part.y), dtype=np.int64)
        deal = StratifiedKFold(FOLDS, shuffle=True, random_state=repeat)
        for number, (fit, held) in enumerate(deal.split(part.X, part.y)):
            arrays = _fit(part.X[fit], part.y[fit])
            scores = (part.X[held] - arrays["scale.mean"]) / arrays["scale.sd"] - arrays["pca.mean"]
            logits = scores @ arrays["pca.components"].T @ arrays["lr.coef"] + arrays["lr.intercept"]
            p[held], fold[held] = 1 / (1 + np.exp(-logits)), number
        frame[f"p_{repeat}"], frame[f"fold_{repeat}"] = p, fold
    frame.insert(3, "p", frame[[f"p_{r}" for r in range(REPEATS)]].mean(axis=1))
    frame["p_best"] = frame["p"]
    kinds = {"center": "string", "case_id": "string", "y": "integer"} | {f"fold_{r}": "integer" for r in range(REPEATS)}
    columns = tuple(Column(name=column, kind=kinds.get(column, "float")) for column in frame.columns)  # type: ignore[arg-type]
    write_flat(workspace.model(name) / "oof.parquet", frame, columns)


def _write_components(workspace: Workspace, name: str, part: TrainingSet) -> None:
    pca = PCA(svd_solver="full").fit(StandardScaler().fit_transform(part.X))
    scores = pca.transform(StandardScaler().fit_transform(part.X))
    cumulative = np.cumsum(pca.explained_variance_ratio_)[: min(100, len(part.y) - 1)]
    content = {
        "cumulative": cumulative.tolist(),
        "knee": 3,
        "chosen": COMPONENTS,
        "area_percent": float(100 * np.trapezoid(cumulative) / (len(cumulative) - 1)),
        "scatter": [
            {"pc1": float(a), "pc2": float(b), "y": int(label)}
            for (a, b), label in zip(scores[:, :2], part.y, strict=True)
        ],
    }
    write_json(workspace.model(name) / "components.json", content)


def _write_validation(workspace: Workspace) -> None:
    finding = {
        "rule": "constant_columns",
        "severity": "warning",
        "subject": "excretory",
        "message": "2 columns have one value in all rows",
        "remedy": "models leave them out",
        "n": 2,
        "examples": [],
    }
    write_json(workspace.validation, {"errors": 0, "warnings": 1, "findings": [finding]})
