"""Feast's side of `benchmarks/store.py`, run by the Python of Feast's own environment; prints one line of JSON."""

import json
import re
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
from feast.value_type import ValueType

KEYS = {"center", "case_id", "phase", "roi", "observer", "event_timestamp"}
ROUNDS = 2
"""The first retrieval of a process also imports what its store is made of, so the smaller time of two counts."""


def main(folder: Path, kind: str, centers: int) -> None:
    path = folder / "features.parquet"
    names = [name for name in pq.read_schema(path).names if name not in KEYS]
    keys = pd.read_parquet(path, columns=["center", "case_id"])
    wanted = keys[keys["center"].isin([f"c{number:03d}" for number in range(centers)])]
    began = time.perf_counter()
    store, told = opened(folder, kind)
    entities = [Entity(name=name, join_keys=[name], value_type=ValueType.STRING) for name in ("center", "case_id")]
    source = FileSource(path=str(folder / "features.parquet"), timestamp_field="event_timestamp")
    fields = [Field(name=name, dtype=Float64) for name in names]
    view = FeatureView(name="fake", entities=entities, ttl=timedelta(days=3650), schema=fields, source=source)
    store.apply([*entities, view])
    applied = time.perf_counter() - began
    asked = wanted.assign(event_timestamp=pd.Timestamp("2024-06-01", tz="UTC"))
    took = min(retrieved(store, asked, names) for _ in range(ROUNDS))
    status = Path("/proc/self/status").read_text(encoding="ascii")
    memory = int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024
    print(json.dumps({"feast": told, "feast_apply_s": applied, "feast_s": took, "feast_mb": round(memory, 1)}))


def retrieved(store: FeatureStore, asked: pd.DataFrame, names: list[str]) -> float:
    began = time.perf_counter()
    got = store.get_historical_features(entity_df=asked, features=[f"fake:{name}" for name in names]).to_df()
    took = time.perf_counter() - began
    assert len(got) == len(asked), got.shape
    assert set(names) <= set(got), got.columns
    return took


def opened(folder: Path, kind: str) -> tuple[FeatureStore, str]:
    import feast

    settings = {
        "project": "bench",
        "provider": "local",
        "registry": str(folder / "registry.db"),
        "online_store": None,
        "entity_key_serialization_version": 3,
    }
    config = RepoConfig(**settings, offline_store={"type": kind}, repo_path=folder)
    return FeatureStore(config=config), f"feast {feast.__version__}, {kind} offline store"


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
