"""The MLflow window: filled once, unchanged by a second filling, and brought back when it is lost."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient

from proofs.window import shown
from registry.errors import WrongFeaturesError
from registry.lifecycle import Registry
from registry.mirror import MirrorSummary, default_uri, mirror, models_link, moved_aliases
from registry.mirror.filling import WindowError
from registry.mirror.place import VIEW_TAG, connection, own_uri, without_password
from registry.predict import predict

NAME = "her2-bladder"
pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow and SQLAlchemy warn about themselves


def fill(study: Path, *, restore: bool = False) -> MirrorSummary:
    return mirror(
        study,
        own_uri(study),
        experiment="a study",
        registry_name=NAME,
        intended_use="Tests.",
        figures=study / "figures",
        restore=restore,
    )


@pytest.fixture(scope="module")
def filled(empty_study: Path, tmp_path_factory: pytest.TempPathFactory, candidates: Any) -> Path:
    """A study with two candidates, both registered, one of them champion, shown in a window."""
    study = tmp_path_factory.mktemp("mirror") / "study"
    shutil.copytree(empty_study, study)
    registry, metrics = Registry(study), {}
    for seed, name in enumerate(("radiomics_lr_biphasic", "other_biphasic")):
        package, training = candidates.write(study, name, seed)
        metrics[name] = candidates.metrics(0.8 - seed / 10)
        trials = [{"number": i, "params": {"C": i}, "value": value} for i, value in enumerate([0.6, 0.7, 0.65])]
        (package.parent / "search.json").write_text(json.dumps({"trials": trials}))
        registry.register(name, package, training, metrics[name], "a test", further={"search": trials})
    registry.promote("v1", {"external_auc_minimum": 0.5})
    (study / "data" / "evaluation").mkdir()
    (study / "data" / "evaluation" / "metrics.json").write_text(json.dumps(metrics))
    (study / "figures" / "other_biphasic").mkdir(parents=True)
    (study / "figures" / "other_biphasic" / "variance.png").write_bytes(b"no picture")
    fill(study)
    return study


@pytest.fixture
def client(filled: Path) -> Iterator[Any]:
    with connection(own_uri(filled)) as opened:
        yield opened


def runs(client: Any, stage: str = "model") -> dict[str, Any]:
    experiment = client.get_experiment_by_name("a study")
    found = client.search_runs([experiment.experiment_id], f"tags.stage = '{stage}'")
    return {run.info.run_name: run for run in found}


def test_a_run_says_what_compares_models(client: Any) -> None:
    run = runs(client)["radiomics_lr · biphasic"]
    assert run.data.metrics["external/auc"] == 0.8
    assert run.data.metrics["search/best_auc"] == 0.7
    assert run.data.params["C"] == "0.5"
    assert {"model_family", "phases", "feature_set", "outcome", "n_events", "content_hash"} <= run.data.tags.keys()
    assert run.data.tags["registered"] == "v1 champion"
    assert {tag.value for dataset in run.inputs.dataset_inputs for tag in dataset.tags} == {
        "training",
        "internal",
        "external",
    }
    curve = [metric.value for metric in client.get_metric_history(run.info.run_id, "search/best_auc")]
    assert curve == [0.6, 0.7, 0.7]
    assert set(runs(client, "trial")) == {"trial 0", "trial 1", "trial 2"}


def test_figures_belong_to_their_model(client: Any) -> None:
    run = runs(client)["other · biphasic"]
    assert [item.path for item in client.list_artifacts(run.info.run_id, "figures")] == ["figures/variance.png"]


def test_people_land_on_a_table_of_models(client: Any, filled: Path) -> None:
    experiment = client.get_experiment_by_name("a study")
    view = json.loads(experiment.tags[VIEW_TAG])
    assert (view["orderByKey"], view["searchFilter"]) == ("metrics.`external/auc`", "tags.stage = 'model'")
    link = models_link(filled, own_uri(filled))
    assert (
        link == f"#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning&viewStateShareKey=radmill"
    )


def test_the_champion_predicts_by_its_alias_without_pickle(client: Any, filled: Path, candidates: Any) -> None:
    import mlflow

    registry = Registry(filled)
    champion = registry.champion()
    assert champion is not None
    X = np.random.default_rng(5).normal(size=(6, 3))
    frame = pd.DataFrame(X, columns=list(candidates.FEATURES)).iloc[:, ::-1].assign(more="ignored")
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    served = model.predict(frame)
    assert np.array_equal(served["probability"], predict(registry.package(champion), X))
    assert not list((filled / "mlartifacts").rglob("*.pkl"))
    with pytest.raises(WrongFeaturesError, match=r"1 features are missing, the first is late\.texture"):
        model.predict(frame.drop(columns="late.texture"))


def test_a_second_filling_changes_nothing(client: Any, filled: Path) -> None:
    before = {name: run.data.to_dictionary() for name, run in runs(client).items()}
    summary = fill(filled)
    assert (summary.runs, summary.runs_written, summary.versions_added, summary.remarks) == (2, 0, 0, ())
    assert {name: run.data.to_dictionary() for name, run in runs(client).items()} == before


def test_an_alias_moved_in_mlflow_is_named_and_left_until_somebody_decides(client: Any, filled: Path) -> None:
    """Who looks at the window must learn that it is not what is in force; nothing is undone behind his back."""
    client.set_registered_model_alias(NAME, "champion", "2")
    (remark,) = fill(filled).remarks
    assert "champion was moved in MLflow to version 2, the ledger has version 1: `radmill promote 2`" in remark
    assert moved_aliases(filled, NAME) == [remark]
    assert client.get_model_version_by_alias(NAME, "champion").version == 2
    assert fill(filled, restore=True).remarks == ("alias champion was put back",)
    assert client.get_model_version_by_alias(NAME, "champion").version == 1
    assert moved_aliases(filled, NAME) == []


def test_an_alias_moved_in_mlflow_is_adopted_through_the_gates(client: Any, filled: Path) -> None:
    client.set_registered_model_alias(NAME, "champion", "2")
    Registry(filled).promote("2", {}, why="adopted")
    assert fill(filled).remarks == ()
    assert client.get_model_version_by_alias(NAME, "champion").version == 2
    Registry(filled).rollback("the test's end")
    fill(filled)


def test_a_lost_database_and_a_lost_candidate_come_back(client: Any, filled: Path) -> None:
    """Runs, versions and aliases are rebuilt from ledger and packages; a registered model needs no candidate."""
    moved = Path(shutil.copytree(filled, filled.with_name("moved")))
    shutil.rmtree(moved / "data" / "models" / "radiomics_lr_biphasic")
    summary = fill(moved)
    assert summary.remarks == ("the MLflow database was made elsewhere and put aside",)
    with connection(own_uri(moved)) as other:
        assert set(runs(other)) == set(runs(client))
        rebuilt = runs(other)["radiomics_lr · biphasic"].data
        assert rebuilt.metrics["external/auc"] == 0.8
        there, here = (shown(one, NAME)["runs"] for one in (other, client))
        assert {name: what(run) for name, run in there.items()} == {name: what(run) for name, run in here.items()}
        version = other.get_model_version_by_alias(NAME, "champion")
        assert (version.version, version.tags["state"], version.tags["model"]) == (
            1,
            "champion",
            "radiomics_lr_biphasic",
        )
        assert len(other.search_model_versions(f"name = '{NAME}'")) == 2


def test_the_address_of_one_study_is_not_taken_for_the_next_one_s(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow leaves its address in the environment; a later command would write into another study's window."""
    for given in (None, "http://127.0.0.1:1"):
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        if given:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
        with connection(own_uri(filled)):
            pass
        assert default_uri(tmp_path) == (given or own_uri(tmp_path))
        assert os.environ.get("MLFLOW_TRACKING_URI") == given
        assert "MLFLOW_REGISTRY_URI" not in os.environ


WRITES = ("create_run", "log_batch", "log_inputs", "create_model_version")


def test_a_filling_cut_short_anywhere_is_completed_and_nothing_is_there_twice(
    client: Any, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks at one call after another; what the next filling leaves is what an undisturbed one does."""
    whole = shown(client, NAME)
    study = Path(shutil.copytree(filled, tmp_path / "study", ignore=shutil.ignore_patterns("mlflow.db", "mlartifacts")))
    with connection(own_uri(study)) as fresh:
        fresh.search_experiments()  # the tables, made once
    shutil.copy(study / "mlflow.db", study / "empty.db")
    for fatal in ("log_inputs 1", "log_batch 3", "create_run 5", "create_model_version 2"):
        shutil.copy(study / "empty.db", study / "mlflow.db")
        with monkeypatch.context() as patch:
            break_connection(patch, fatal)
            with pytest.raises(WindowError, match="cut"):
                fill(study)
        fill(study)
        with connection(own_uri(study)) as other:
            seen = shown(other, NAME)
        assert {**seen, "experiments": None} == {**whole, "experiments": None}, f"cut at {fatal}"


def test_a_database_is_made_whole_or_not_at_all_and_a_half_made_one_is_begun_anew(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow takes up no database that a kill left half made: the window would stay closed for ever."""
    study = Path(shutil.copytree(filled, tmp_path / "study", ignore=shutil.ignore_patterns("mlflow.db", "mlartifacts")))
    with monkeypatch.context() as patch:
        patch.setattr(SqlAlchemyStore, "__init__", half_made)
        with pytest.raises(WindowError, match="cut"):
            fill(study)
    assert not list(study.glob("*mlflow.db*")), "nothing half made is left"
    half_made(None, own_uri(study), "")
    assert fill(study).remarks == ("the MLflow database was half made and is begun anew",)
    assert fill(study).remarks == ()


def half_made(store: Any, address: str, _: str) -> None:
    with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as begun:
        begun.execute("CREATE TABLE experiments (experiment_id INTEGER)")
        begun.execute("CREATE TABLE review_queues (queue_id INTEGER)")
        begun.commit()
    if store is not None:
        raise ConnectionError("cut")


def break_connection(patch: pytest.MonkeyPatch, fatal: str) -> None:
    calls: list[str] = []

    def breaking(name: str, write: Any) -> Any:
        def call(self: Any, *arguments: Any, **options: Any) -> Any:
            calls.append(name)
            if f"{name} {calls.count(name)}" == fatal:
                raise ConnectionError(f"cut at {name}")
            return write(self, *arguments, **options)

        return call

    for name in WRITES:
        patch.setattr(MlflowClient, name, breaking(name, getattr(MlflowClient, name)))


def what(run: dict[str, Any]) -> dict[str, Any]:
    """Parameters, curves and tags; artifacts of a candidate that is gone (figures, its search's file) are gone."""
    own = {key: value for key, value in run["tags"].items() if key not in ("content_hash", "mlflow.loggedArtifacts")}
    return {"params": run["params"], "metrics": run["metrics"], "tags": own}


def test_nothing_in_the_window_names_a_patient_or_a_place_on_disk(client: Any, filled: Path) -> None:
    for run in runs(client).values():
        said = json.dumps(run.data.to_dictionary())
        assert str(filled) not in said


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("no answer from http://ada:pw@host:5000/api", "no answer from http://…@host:5000/api"),
        ("403: X: 1 Authorization: Basic YWRhOnB3 </Message>", "403: X: 1 Authorization: Basic … </Message>"),
        ("{'authorization': 'Bearer abc.def', 'x': 1}", "{'authorization': 'Bearer …', 'x': 1}"),
        ("authorization was refused", "authorization was refused"),
    ],
)
def test_a_server_that_quotes_what_it_was_sent_tells_no_secret(told: str, shown: str) -> None:
    assert without_password(told) == shown
