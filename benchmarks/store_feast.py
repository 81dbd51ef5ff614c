"""Feast's side of `benchmarks/store.py`, run by the Python of Feast's own environment; prints one line of JSON."""

import json
import re
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
from feast.value_type import ValueType

KEYS = {"center", "case_id", "phase", "roi", "observer", "event_timestamp"}


def main(folder: Path) -> None:
    frame = pd.read_parquet(folder / "features.parquet")
    names = [name for name in frame.columns if name not in KEYS]
    began = time.perf_counter()
    store, kind = opened(folder)
    case = Entity(name="case", join_keys=["case_id"], value_type=ValueType.STRING)
    source = FileSource(path=str(folder / "features.parquet"), timestamp_field="event_timestamp")
    fields = [Field(name=name, dtype=Float64) for name in names]
    view = FeatureView(name="fake", entities=[case], ttl=timedelta(days=3650), schema=fields, source=source)
    store.apply([case, view])
    applied = time.perf_counter() - began
    entities = frame[["case_id"]].assign(event_timestamp=pd.Timestamp("2024-06-01", tz="UTC"))
    began = time.perf_counter()
    got = store.get_historical_features(entity_df=entities, features=[f"fake:{name}" for name in names]).to_df()
    took = time.perf_counter() - began
    assert len(got) == len(frame), len(got)
    told = Path("/proc/self/status").read_text(encoding="ascii")
    memory = int(re.search(r"VmHWM:\s+(\d+)", told).group(1)) / 1024
    print(json.dumps({"feast": kind, "feast_apply_s": applied, "feast_s": took, "feast_mb": round(memory, 1)}))


def opened(folder: Path) -> tuple[FeatureStore, str]:
    import feast

    settings = {
        "project": "bench",
        "provider": "local",
        "registry": str(folder / "registry.db"),
        "online_store": None,
        "entity_key_serialization_version": 3,
    }
    config = RepoConfig(**settings, offline_store={"type": "duckdb"}, repo_path=folder)
    return FeatureStore(config=config), f"feast {feast.__version__}, duckdb offline store"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
