"""The window elsewhere than in the study: in a PostgreSQL server, which may die half-way."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from proofs.window import shown
from registry import lifecycle
from registry.lifecycle import Registry
from registry.mirror import MirrorSummary, mirror
from registry.mirror.filling import WindowError
from registry.mirror.place import connection
from registry.predict import predict
from tests.contract.postgres import ABSENT, Postgres, binaries

NAME = "her2-bladder"
pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow and SQLAlchemy warn about themselves


def fill(study: Path, uri: str | None = None) -> MirrorSummary:
    return mirror(study, uri, experiment="a study", registry_name=NAME, intended_use="Tests.")


@pytest.fixture(scope="module")
def study(empty_study: Path, tmp_path_factory: pytest.TempPathFactory, candidates: Any) -> Path:
    """Two registered versions, the first of them champion; nothing was mirrored yet."""
    study = Path(shutil.copytree(empty_study, tmp_path_factory.mktemp("window") / "study"))
    registry, metrics = Registry(study), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lifecycle, "dvc_add", lambda _, folder: folder.with_name(f"{folder.name}.dvc").touch())
        for seed, name in enumerate(("radiomics_lr_biphasic", "other_biphasic")):
            package, training = candidates.write(study, name, seed)
            metrics[name] = candidates.metrics(0.8 - seed / 10)
            trials = [{"number": i, "params": {"C": i}, "value": value} for i, value in enumerate([0.6, 0.7, 0.65])]
            (package.parent / "search.json").write_text(json.dumps({"trials": trials}))
            registry.register(name, package, training, metrics[name], "a test")
        registry.promote("v1", {"external_auc_minimum": 0.5})
    (study / "data" / "evaluation").mkdir()
    (study / "data" / "evaluation" / "metrics.json").write_text(json.dumps(metrics))
    return study


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    folder = binaries()
    if folder is None:
        pytest.skip(ABSENT)
    server = Postgres(folder)
    server.start()
    yield server
    server.close()


def test_the_window_may_be_postgresql(study: Path, postgres: Postgres, candidates: Any) -> None:
    """The address alone decides; artifacts then lie in the study and not where the command happened to run."""
    uri = postgres.uri()
    assert fill(study, uri).versions_added == 2
    assert (fill(study, uri).runs_written, fill(study, uri).remarks) == (0, ())
    with connection(uri) as client:
        seen = shown(client, NAME)
        experiment = client.get_experiment_by_name("a study")
        served = load_and_predict(candidates)
    assert experiment.artifact_location == (study / "mlartifacts").resolve().as_uri()
    assert seen["aliases"] == {"champion": "1"}
    assert {number: v["tags"]["model"] for number, v in seen["versions"].items()} == {
        "1": "radiomics_lr_biphasic",
        "2": "other_biphasic",
    }
    run = seen["runs"][seen["versions"]["1"]["run"]]
    assert run["metrics"]["search/best_auc"] == [(0, 0.6), (1, 0.7), (2, 0.7)]
    assert np.array_equal(served, expected(study, candidates))


def load_and_predict(candidates: Any) -> Any:
    import mlflow

    frame = pd.DataFrame(rows(candidates), columns=list(candidates.FEATURES))
    return mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(frame)["probability"].to_numpy()


def expected(study: Path, candidates: Any) -> Any:
    registry = Registry(study)
    champion = registry.champion()
    assert champion is not None
    return predict(registry.package(champion), rows(candidates))


def rows(candidates: Any) -> Any:
    return np.random.default_rng(5).normal(size=(6, len(candidates.FEATURES)))


def test_a_store_that_dies_half_way_is_filled_by_the_next_mirror(
    study: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies while the trials of the second model are written; afterwards nothing is missing or there twice."""
    uri = postgres.uri("template1")
    create, calls = MlflowClient.create_run, []

    def create_and_die(self: MlflowClient, *arguments: Any, **options: Any) -> Any:
        calls.append(options.get("run_name"))
        if len(calls) == 7:
            postgres.stop("immediate")
        return create(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", create_and_die)
        with pytest.raises(WindowError, match="radmill mirror"):
            fill(study, uri)
    postgres.start()
    assert (fill(study, uri).runs_written, fill(study, uri).runs_written) == (1, 0)
    with connection(uri) as client:
        seen = shown(client, NAME)
    assert seen["n_runs"] == len(seen["runs"]) == 2 + 2 * 3
    assert seen["aliases"] == {"champion": "1"}
    curves = [run["metrics"]["search/auc"] for run in seen["runs"].values()]
    assert sorted(map(len, curves)) == [1] * 6 + [3] * 2
