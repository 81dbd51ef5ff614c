"""A writer that is killed at any moment leaves a store that the same command brings to the undisturbed state.

`RADMILL_KILLS` sets how many moments are tried; the default keeps the suite quick.
"""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer

from featurestore.entities import KEY_COLUMNS
from featurestore.object_tables import ObjectTables
from featurestore.schemas import Column, TableSchema
from featurestore.tables import keep_centers, read_table, write_center

KILLS = int(os.environ.get("RADMILL_KILLS", "6"))
CENTERS = [f"c{number}" for number in range(6)]
SCHEMA = TableSchema(name="fake", columns=tuple(Column(name=f"f{i}") for i in range(40)))


def rows(center: str, seed: int) -> pd.DataFrame:
    n, rng = 60, np.random.default_rng([seed, len(center), int(center[1:])])
    frame = pd.DataFrame(rng.normal(size=(n, 40)), columns=[column.name for column in SCHEMA.columns])
    keys = {
        "center": center,
        "case_id": [f"{i:04d}" for i in range(n)],
        "phase": "late",
        "roi": "tumor",
        "observer": "",
    }
    return pd.concat([pd.DataFrame(keys)[list(KEY_COLUMNS)], frame], axis=1)


def write(root: Path, seed: int, begin: float = 0.0) -> None:
    """What a stage does: each center's partition, then a sweep of what does not belong."""
    while time.time() < begin:
        pass
    for center in CENTERS:
        write_center(root, center, rows(center, seed), SCHEMA)
    keep_centers(root, CENTERS)


def publish(url: str, endpoint: str, root: Path, begin: float = 0.0) -> None:
    while time.time() < begin:
        pass
    ObjectTables(url, **options(endpoint)).publish({"development/fake": root})


def options(endpoint: str) -> dict[str, object]:
    return {"endpoint_url": endpoint, "key": "test", "secret": "test", "client_kwargs": {"region_name": "us-east-1"}}


def make_bucket(endpoint: str, name: str) -> None:
    import boto3

    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
    )
    client.create_bucket(Bucket=name)


def state(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def spawn() -> multiprocessing.context.ForkServerContext:
    """Processes that start with everything imported, so that the kill falls into the writing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["featurestore.tables", "featurestore.object_tables", "s3fs", "pipelines.imports.importing"]
    )
    return context


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of an S3 server on this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def kill_at(process: multiprocessing.process.BaseProcess, begin: float, delay: float) -> None:
    process.start()
    time.sleep(max(begin + delay - time.time(), 0))
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), "a process that could not even begin proves nothing"


def test_a_killed_write_of_tables_is_made_good_by_the_next(
    spawn: multiprocessing.context.ForkServerContext, tmp_path: Path
) -> None:
    undisturbed, root = tmp_path / "whole", tmp_path / "root"
    started = time.time()
    write(undisturbed, seed=1)
    took, draw = time.time() - started, random.Random(7)
    wanted = state(undisturbed)
    write(root, seed=0)
    for number in range(KILLS):
        begin = time.time() + 0.15
        kill_at(spawn.Process(target=write, args=(root, 1, begin)), begin, draw.uniform(0, 1.3 * took))
        assert read_table(root).num_rows == 60 * len(CENTERS), "every partition is a whole old or new one"
        write(root, seed=1)
        assert state(root) == wanted, f"kill {number}"
        write(root, seed=0)


def test_a_killed_publication_is_invisible_until_it_is_whole(
    spawn: multiprocessing.context.ForkServerContext, endpoint: str, tmp_path: Path
) -> None:
    make_bucket(endpoint, "store")
    draw, whole, seen = random.Random(11), tmp_path / "whole", 0
    write(whole, seed=1)
    expected = read_table(whole)
    store, took = ObjectTables("s3://store/one", **options(endpoint)), 0.5
    for number in range(KILLS):
        write(tmp_path / "next", seed=10 + number)
        begin = time.time() + 0.25
        target = ("s3://store/one", endpoint, tmp_path / "next", begin)
        kill_at(spawn.Process(target=publish, args=target), begin, draw.uniform(0, took))
        if store.versions():
            assert store.verify() == len(CENTERS), "the newest version is whole"
        publish("s3://store/one", endpoint, whole)
        assert store.read("development/fake").equals(expected), f"kill {number}"
        seen = max(seen, store.versions()[-1])
    assert seen >= 1


def test_two_publishers_at_once_both_stay(endpoint: str, tmp_path: Path) -> None:
    make_bucket(endpoint, "both")
    write(tmp_path / "a", seed=1)
    write(tmp_path / "b", seed=2)
    context = multiprocessing.get_context("forkserver")
    jobs = [
        context.Process(target=publish_named, args=("s3://both/x", endpoint, name, tmp_path / name)) for name in "ab"
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    store = ObjectTables("s3://both/x", **options(endpoint))
    assert sorted(store.manifest()["tables"]) == ["development/a", "development/b"]
    assert store.versions() == [1, 2]


def publish_named(url: str, endpoint: str, name: str, root: Path) -> None:
    ObjectTables(url, **options(endpoint)).publish({f"development/{name}": root})


def test_a_version_that_is_gone_and_a_lost_object_are_named(endpoint: str, tmp_path: Path) -> None:
    import s3fs

    from featurestore.errors import DamagedTableError
    from featurestore.object_tables import VersionGoneError
    from featurestore.store import Store

    files = s3fs.S3FileSystem(**options(endpoint))
    make_bucket(endpoint, "lost")
    write(tmp_path / "a", seed=1)
    store = ObjectTables("s3://lost/x", **options(endpoint))
    assert store.publish({"development/fake": tmp_path / "a"}) == 1
    assert store.publish({"development/fake": tmp_path / "a"}) == 1, "the same content is the same version"
    reader = Store("s3://lost/x", **options(endpoint))
    assert reader.tables() == ["development/fake"]
    assert reader.frame("fake", centers=["c1"], columns=["f0"]).equals(
        read_table(tmp_path / "a", centers=["c1"], columns=["f0"]).to_pandas()
    )
    with pytest.raises(VersionGoneError, match="there are 1 to 1"):
        store.read("development/fake", version=7)
    files.rm(f"lost/x/{store.manifest()['tables']['development/fake']['c1']['object']}")
    with pytest.raises(DamagedTableError, match="c1"):
        store.verify()


def import_late(study: Path, file: Path, begin: float) -> None:
    from pipelines.imports.importing import ImportRequest, import_table
    from pipelines.workspace import Workspace

    request = ImportRequest(view="ct", id_column="id", center_column="site", label="outcome", role="development")
    while time.time() < begin:
        pass
    import_table(Workspace(study), file, request)


def test_a_killed_import_is_made_good_by_the_same_command(
    spawn: multiprocessing.context.ForkServerContext, tmp_path: Path
) -> None:
    study, files = tmp_path / "study", []
    study.mkdir()
    template = Path(__file__).resolve().parents[2] / "pipelines" / "template" / "tables.yaml"
    (study / "params.yaml").write_bytes(template.read_bytes())
    for number in range(2):
        table = pd.concat([rows(center, number).assign(site=center, id=range(60)) for center in CENTERS])
        table = table.drop(columns=list(KEY_COLUMNS)).assign(outcome=lambda frame: frame["id"] % 2)
        files.append(tmp_path / f"{number}.csv")
        table.to_csv(files[-1], index=False)
    states = []
    for file in files:
        started = time.time()
        import_late(study, file, 0.0)
        took = time.time() - started
        states.append(state(study))
    draw = random.Random(3)
    for number in range(KILLS):
        begin = time.time() + 0.3
        kill_at(spawn.Process(target=import_late, args=(study, files[0], begin)), begin, draw.uniform(0, 1.3 * took))
        import_late(study, files[number % 2], 0.0)
        assert state(study) == states[number % 2], f"kill {number}"
        import_late(study, files[1], 0.0)


def write_with_little_room(root: Path, room: int) -> None:
    import resource

    from featurestore.errors import FaultError

    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        write_center(root, "c1", rows("c1", 2), SCHEMA)
    except FaultError as error:
        os._exit(17 if "c1" in str(error) else 1)
    os._exit(0)


def test_a_full_disk_leaves_the_old_state_whole_and_is_named(
    spawn: multiprocessing.context.ForkServerContext, tmp_path: Path
) -> None:
    write(tmp_path, seed=1)
    before = state(tmp_path)
    process = spawn.Process(target=write_with_little_room, args=(tmp_path, 4096))
    process.start()
    process.join()
    assert process.exitcode == 17
    assert state(tmp_path) == before
