"""Packages beside MLflow's own logging and loading, and the registry's commands at 1,000 versions.

    python benchmarks/model_registry.py [--part kinds operations] [--versions 1000] [--rounds 5]

- Kinds: one model of each kind on 1,000 columns, 30 components: saved, loaded (which verifies every byte, shape and
  golden input), and asked about 100 patients. MLflow: the same scikit-learn pipeline by `mlflow.sklearn`, the same
  network by `mlflow.pytorch`, requirements given, into a SQLite store that is there already; loading there checks no
  digest.
- Operations: a ledger of so many versions, each with its package, evidence and training set, in git; DVC's own second a
  call is left out.

One thread; medians of wall-clock seconds. The results of a part replace those of that part alone.
"""

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from featurestore.files import write_bytes, write_json
from featurestore.schemas import Column
from featurestore.training_sets import TrainingSet
from pipelines.models.estimators import estimator_arrays
from pipelines.models.resnet import NetworkSpec
from pipelines.record import installed
from registry import lifecycle
from registry.keeping import write_evidence
from registry.ledger import FIRST, Event
from registry.lifecycle import Registry
from registry.mirror.place import connection
from registry.package import load_package, save_package
from registry.predict import predict

RESULTS = Path(__file__).parent / "results" / "model_registry.json"
PATIENTS, FEATURES, COMPONENTS, ASKED = 200, 1000, 30, 100
WHEN = "2026-01-01T00:00:00Z"


def median(rounds: int, work: Callable[[], Any]) -> float:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return round(statistics.median(took), 5)


def manifest(name: str, estimator: str, n: int, training_set: str = "0" * 64) -> dict[str, Any]:
    return {
        "kind": "tabular",
        "model": {"name": name, "estimator": estimator, "activation": "relu", "hyperparameters": {}},
        "features": [{"name": f"ct.f{i}", "unit": ""} for i in range(n)],
        "service": {"name": "ct", "view": "radiomics", "phases": ["ct"], "columns": ".*"},
        "rules": {},
        "extraction": {"engine": "fast", "by_phase": {}, "fingerprint": "0" * 64},
        "feature_set": "1",
        "training_set": training_set,
        "label": "y",
        "thresholds": {"youden": 0.5},
        "metrics_oof": {},
        "release": "0.1.0",
    }


def arrays_of(name: str, pipeline: Pipeline) -> dict[str, Any]:
    scale, pca, last = (step for _, step in pipeline.steps)
    found = {"scale.mean": scale.mean_, "scale.sd": scale.scale_, "pca.mean": pca.mean_}
    found["pca.components"] = pca.components_
    return found | estimator_arrays(name, last)


def kinds(folder: Path, rounds: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(PATIENTS, FEATURES))
    y = (X[:, 0] + rng.normal(size=PATIENTS) > 0).astype(int)
    estimators = {
        "lr": LogisticRegression(),
        "rf": RandomForestClassifier(200, random_state=0),
        "mlp": MLPClassifier((32,), random_state=0, max_iter=50),
    }
    found = {}
    for name, estimator in estimators.items():
        pipeline = Pipeline([("scale", StandardScaler()), ("pca", PCA(COMPONENTS)), ("model", estimator)]).fit(X, y)
        own, target = arrays_of(name, pipeline), folder / name / "package"
        told = manifest(name, name, FEATURES)
        save = median(rounds, lambda t=target, m=told, a=own: save_package(t, m, a, X[:8], "# card\n"))
        digest = save_package(target, told, own, X[:8], "# card\n")
        package = load_package(target, digest)
        found[name] = {
            "radmill": {
                "save": save,
                "load_and_verify": median(rounds, lambda t=target, d=digest: load_package(t, d)),
                "predict": median(rounds, lambda p=package: predict(p, X[:ASKED])),
                "bytes": size(target),
            },
            "mlflow": mlflow_kind(folder, "sklearn", pipeline, rounds, lambda m: m.predict_proba(X[:ASKED])),
        }
    return {**found, "network": network(folder, rounds)}


def mlflow_kind(folder: Path, flavor: str, model: Any, rounds: int, ask: Callable[[Any], Any]) -> dict[str, Any]:
    import mlflow

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    options: dict[str, Any] = {"pip_requirements": ["scikit-learn"]}
    options["serialization_format"] = {"sklearn": "cloudpickle", "pytorch": "pickle"}[flavor]
    with connection(uri) as client:
        if client.get_experiment_by_name("b") is None:
            client.create_experiment("b", artifact_location=(folder / "artifacts").as_uri())
        mlflow.set_experiment("b")
        module, logged = getattr(mlflow, flavor), []

        def log() -> None:
            with mlflow.start_run():
                logged.append(module.log_model(model, name="model", **options).model_uri)

        save = median(rounds, log)
        loaded = module.load_model(logged[-1])
        return {
            "save": save,
            "load": median(rounds, lambda: module.load_model(logged[-1])),
            "predict": median(rounds, lambda: ask(loaded)),
        }


def network(folder: Path, rounds: int) -> dict[str, Any]:
    import torch

    from pipelines.models.resnet import Network, build, network_from

    spec, shape = NetworkSpec(architecture="resnet10", spatial_dims=2, channels=3), (3, 64, 64)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = build(spec).eval()
    state = {name: value.numpy() for name, value in net.state_dict().items() if value.dtype == torch.float32}
    own = Network(spec=spec, shape=shape, state=state, coefficients=np.array([0.0, 1.0]))
    told = manifest("network", "resnet10", 0) | {"kind": "deep", "golden": own.golden()}
    told["model"] = {
        "name": "network",
        "estimator": "resnet10",
        "network": {"spec": spec.plain(), "recipe": {}, "shape": list(shape)},
    }
    target, X = folder / "network" / "package", np.random.default_rng(0).normal(size=(ASKED, *shape)).astype(np.float32)
    arrays = own.to_arrays()
    save = median(rounds, lambda: save_package(target, told, arrays, np.empty((0, 0)), "# card\n"))

    def load() -> Any:
        package = load_package(target)
        return network_from(package.manifest["model"], dict(package.arrays), package.manifest["golden"])

    loaded = load()
    with torch.no_grad():
        beside = mlflow_kind(folder, "pytorch", net, rounds, lambda m: [m(torch.from_numpy(x[None])) for x in X])
    return {
        "radmill": {
            "save": save,
            "load_and_verify": median(rounds, load),
            "predict": median(rounds, lambda: loaded.predict(X)),
            "bytes": size(target),
        },
        "mlflow": beside,
    }


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def operations(folder: Path, rounds: int, n_versions: int) -> dict[str, Any]:
    lifecycle.dvc_add = lambda _, path: path.with_name(f"{path.name}.dvc").touch()  # type: ignore[assignment]
    study = folder / "study"
    registry = grown(study, n_versions)
    package, training = candidate(study, n_versions + 1)
    evidence = {"external": {"auc": 0.8, "n": 40, "events": 20}}
    timed = {
        "state": median(rounds, registry.state),
        "select_by_name": median(rounds, lambda: registry.version("model-7")),
        "register": median(1, lambda: registry.register("new", package, training, evidence, "a benchmark")),
        "promote": median(1, lambda: registry.promote("new", {"external_auc_minimum": 0.5})),
        "challenge": median(1, lambda: registry.challenge("model-7", "a benchmark")),
        "rollback_and_back": median(1, lambda: [registry.promote("model-9", {}), registry.rollback("a benchmark")]),
        "verify": median(1, registry.verify),
    }
    faults = [str(fault) for fault in registry.verify() if "commit" not in fault.where]
    if faults:
        raise SystemExit(f"the registry that was timed is not sound: {faults[:3]}")
    return {"versions": n_versions, "ledger_bytes": registry.ledger.path.stat().st_size, **timed}


def candidate(study: Path, seed: int) -> tuple[Path, Path]:
    rng, folder = np.random.default_rng(seed), study / "data" / "models" / f"model-{seed}" / "package"
    training = study / "data" / "training" / "ct"
    arrays = {"lr.coef": rng.normal(size=5), "lr.intercept": rng.normal(size=1)}
    told = manifest(f"model-{seed}", "lr", 5, json.loads((training / "record.json").read_bytes())["digest"])
    save_package(folder, told, arrays, rng.normal(size=(3, 5)), "# card\n")
    return folder, training


def grown(study: Path, n_versions: int) -> Registry:
    """Writes a registry of so many versions at once; one by one it would take its time in git."""
    training, registry = study / "data" / "training" / "ct", Registry(study)
    kept = TrainingSet(
        X=np.random.default_rng(0).normal(size=(60, 5)),
        y=np.tile(np.array([0, 1], np.int8), 30),
        center=np.array(["north"] * 60),
        case_id=np.array([f"{i:016x}" for i in range(60)]),
        split=np.array(["training"] * 60),
        columns=tuple(Column(name=f"ct.f{i}") for i in range(5)),
        record={"service": {"name": "ct"}},
    )
    digest, lines, prev = kept.save(training), [], FIRST
    kept.save(registry.models / "training" / digest)
    (registry.models / "training" / f"{digest}.dvc").touch()
    for number in range(1, n_versions + 1):
        folder, _ = candidate(study, number)
        package = load_package(folder).digest
        target = registry.models / "packages" / package
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)
        target.with_name(f"{package}.dvc").touch()
        metrics = {"external": {"auc": 0.5 + 0.4 * number / n_versions, "n": 40, "events": 20}}
        sha = write_evidence(registry.models / "evidence", {"metrics": metrics, "package": package, "predictions": []})
        details = {"model": f"model-{number}", "training_set": digest, "release": "0.1.0"}
        told = {"who": "a", "when": WHEN, "why": "", "evidence": sha, "details": details, "prev": prev}
        event = Event(number=number, verb="register", package=package, **told).sealed()
        lines.append(event.line())
        prev = event.hash
    write_bytes(registry.ledger.path, b"".join(lines))
    (study / ".gitignore").write_text("/data\n/models/packages/*/\n/models/training/*/\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    for command in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "--message", "Begin"]):
        subprocess.run(["git", *command], cwd=study, check=True)
    return registry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", default=["kinds", "operations"], choices=["kinds", "operations"])
    parser.add_argument("--versions", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    found = json.loads(asked.out.read_bytes()) if asked.out.is_file() else {}
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "kinds" in asked.part:
            found["kinds"] = kinds(Path(folder), asked.rounds)
        if "operations" in asked.part:
            found["operations"] = operations(Path(folder), asked.rounds, asked.versions)
    versions = installed("numpy", "scikit-learn", "mlflow", "torch")
    found["machine"] = {"python": platform.python_version(), "machine": platform.machine(), **versions}
    write_json(asked.out, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
