"""The store beside plain pyarrow, a pandas CSV and Feast's offline store: time and memory, on this machine.

    python benchmarks/store.py --rows 100000 --columns 1130 --centers 50 --out benchmarks/results/store.json

Rows are real ones (`multicentre_nsclc`), drawn with replacement and shaken a little, so that compression works on what
it works on in life. Feast runs in an environment of its own, which `--feast` builds. Each figure is the smallest of
several runs; memory is the largest resident size of a process that does nothing else.
"""

import argparse
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from featurestore import validation
from featurestore.entities import KEY_COLUMNS
from featurestore.joining import joined_columns, view_of
from featurestore.schemas import Column, TableSchema, columns_of
from featurestore.tables import centers_of, partition, read_schema, read_table, write_center
from featurestore.training_sets import TrainingSet
from featurestore.views import FeatureService, feature_names, wide_frame
from pipelines.training.splits import side

DATA = Path(os.environ.get("RADMILL_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
RUNS = 3
SERVICE = FeatureService(name="late", view="fake", phases=("late",))


def real_values(n: int, p: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of real patients, drawn with replacement; each value is shaken by a thousandth of its column's spread."""
    frame = pd.read_csv(DATA / "multicentre_nsclc" / "Moffitt.csv.gz").select_dtypes("number").drop(columns="id")
    names = [f"{name}{'' if turn == 0 else f'_{turn}'}" for turn in range(-(-p // frame.shape[1])) for name in frame]
    values = np.tile(frame.to_numpy(np.float64), (1, -(-p // frame.shape[1])))[:, :p]
    drawn = values[rng.integers(len(values), size=n)]
    return pd.DataFrame(drawn + rng.normal(size=drawn.shape) * np.nanstd(values, axis=0) / 1000, columns=names[:p])


def center_rows(center: str, n: int, p: int) -> pd.DataFrame:
    values = real_values(n, p, np.random.default_rng([n, p, int(center[1:])]))
    keys = {
        "center": center,
        "case_id": [f"{i:016x}" for i in range(n)],
        "phase": "late",
        "roi": "tumor",
        "observer": "",
    }
    return pd.concat([pd.DataFrame(keys)[list(KEY_COLUMNS)], values], axis=1)


def write_store(root: Path, n: int, p: int, centers: int) -> None:
    for number in range(centers):
        frame = center_rows(f"c{number:03d}", n // centers, p)
        write_center(root, f"c{number:03d}", frame, schema_of(frame))


def schema_of(frame: pd.DataFrame) -> TableSchema:
    return TableSchema(name="fake", columns=tuple(Column(name=name) for name in feature_names(frame)))


def plain_read(root: Path, columns: list[str] | None = None, centers: list[str] | None = None) -> pa.Table:
    """The same bytes by pyarrow alone: every file read and joined, nothing checked or added."""
    chosen = centers or centers_of(root)
    return pa.concat_tables([pq.ParquetFile(partition(root, center)).read(columns=columns) for center in chosen])


def training_set(root: Path, centers: list[str]) -> TrainingSet:
    long = read_table(root, centers=centers).to_pandas()
    wide = wide_frame(long, SERVICE)
    names = [name for name in wide if name not in ("center", "case_id")]
    declared = joined_columns(
        {"fake": view_of("fake", long, columns_of(read_schema(root, centers=centers[:1])))}, SERVICE
    )
    pairs = zip(wide["center"], wide["case_id"], strict=True)
    made = TrainingSet(
        X=wide[names].to_numpy(np.float64),
        y=(np.arange(len(wide)) % 2).astype(np.int8),
        center=wide["center"].to_numpy(np.str_),
        case_id=wide["case_id"].to_numpy(np.str_),
        split=np.array([side(center, case, 1, 0.3) for center, case in pairs]),
        columns=tuple(declared[name] for name in names),
        record={"service": SERVICE.plain()},
    )
    assert made.digest
    return made


def validate(root: Path, centers: list[str]) -> int:
    rows = read_table(root, centers=centers).to_pandas()
    names = feature_names(rows)
    rules = (
        validation.empty_rows,
        validation.infinite_values,
        validation.missing_values,
        validation.constant_columns,
        validation.duplicated_rows,
    )
    return sum(len(rule(rows, names, "late")) for rule in rules)


def add_one_case(root: Path) -> None:
    """One more row of one center: its partition alone is read and written."""
    center = centers_of(root)[0]
    frame = read_table(root, centers=[center]).to_pandas()
    last = frame.iloc[[-1]].assign(case_id="f" * 16)
    write_center(root, center, pd.concat([frame, last]).drop_duplicates("case_id"), schema_of(frame))


def seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    took = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return round(min(took), 4)


def in_turn(one: Callable[[], object], two: Callable[[], object], runs: int = 7) -> tuple[float, float]:
    """Times two ways of the same work in turn, so that what else the machine does strikes both."""
    took = [(seconds(one, 1), seconds(two, 1)) for _ in range(runs)]
    return min(a for a, _ in took), min(b for _, b in took)


def peak_mb(work: Callable[..., object], *arguments: object) -> float:
    """The largest resident size of a fresh process that runs `work`, what importing takes included."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measured, (work, arguments))


def _measured(work: Callable[..., object], arguments: tuple[object, ...]) -> float:
    work(*arguments)
    told = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(re.search(r"VmHWM:\s+(\d+)", told).group(1)) / 1024, 1)


def side_by_side(folder: Path, n: int, p: int, centers: int) -> dict[str, Any]:
    """(a): write, read all, 20 columns, one center, a training set of at most 10,000 rows, validate."""
    root, few = folder / "store", [f"c{number:03d}" for number in range(max(1, min(centers, 10_000 * centers // n)))]
    frames = {f"c{i:03d}": center_rows(f"c{i:03d}", n // centers, p) for i in range(min(centers, 3))}
    one = frames["c000"]
    found: dict[str, Any] = {"rows": n, "columns": p, "centers": centers}
    found["write_center_s"] = seconds(lambda: write_center(folder / "w", "c000", one, schema_of(one)))
    found["plain_write_center_s"] = seconds(
        lambda: pq.write_table(
            pa.Table.from_pandas(one), folder / "w.parquet", compression="zstd", use_dictionary=False
        )
    )
    write_store(root, n, p, centers)
    found["bytes"] = sum(path.stat().st_size for path in root.rglob("*.parquet"))
    twenty = feature_names(one)[:20]
    for name, columns, chosen in (("all", None, None), ("20_columns", twenty, None), ("one_center", None, ["c000"])):
        plain, own = in_turn(
            lambda c=columns, k=chosen: plain_read(root, c, k),
            lambda c=columns, k=chosen: read_table(root, columns=c, centers=k),
        )
        found |= {f"plain_read_{name}_s": plain, f"read_{name}_s": own, f"read_{name}_ratio": round(own / plain, 2)}
    found["training_set_rows"] = n // centers * len(few)
    found["training_set_s"] = seconds(lambda: training_set(root, few))
    found["validate_s"] = seconds(lambda: validate(root, few), 1)
    found["read_20_columns_mb"] = peak_mb(_read_columns, root, twenty)
    found["import_mb"] = peak_mb(len, "")
    return found


def _read_columns(root: Path, columns: list[str]) -> int:
    return int(read_table(root, columns=columns).num_rows)


def csv_beside(folder: Path, n: int, p: int) -> dict[str, Any]:
    """A CSV by pandas at a size that it survives."""
    frame, path = center_rows("c000", n, p), folder / "one.csv"
    write = seconds(lambda: frame.to_csv(path, index=False), 1)
    read = seconds(lambda: pd.read_csv(path), 1)
    columns = feature_names(frame)[:20]
    some = seconds(lambda: pd.read_csv(path, usecols=columns), 1)
    write_center(folder / "csv_store", "c000", frame, schema_of(frame))
    store = seconds(lambda: read_table(folder / "csv_store").to_pandas())
    return {
        "rows": n,
        "columns": p,
        "csv_write_s": write,
        "csv_read_s": read,
        "csv_20_columns_s": some,
        "store_read_s": store,
    }


def growth(folder: Path, sizes: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """(b) and (c): from a thousand rows to a million, fewer columns at the top; and one case more at each size."""
    rows = []
    for n, p in sizes:
        root = folder / f"grow-{n}"
        write = seconds(lambda r=root, a=n, b=p: write_store(r, a, b, 50), 1)
        row = {
            "rows": n,
            "columns": p,
            "write_with_drawing_s": write,
            "read_all_s": seconds(lambda r=root: read_table(r)),
            "read_one_center_s": seconds(lambda r=root: read_table(r, centers=["c000"])),
            "add_one_case_s": seconds(lambda r=root: add_one_case(r)),
            "read_one_center_mb": peak_mb(_read_center, root),
            "read_all_mb": peak_mb(_read_columns, root, None),
        }
        rows.append(row)
        shutil.rmtree(root)
    return rows


def _read_center(root: Path) -> int:
    return int(read_table(root, centers=["c000"]).num_rows)


def feast_beside(folder: Path, environment: Path, n: int, p: int) -> dict[str, Any]:
    """The same training-set retrieval by Feast's file store (DuckDB where it is there) in its own environment."""
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "feast[duckdb]"], check=True)
    frame = center_rows("c000", n, p)
    repository = folder / "feast"
    repository.mkdir()
    stamped = frame.assign(event_timestamp=pd.Timestamp("2024-01-01", tz="UTC"))
    stamped.to_parquet(repository / "features.parquet", index=False)
    script = Path(__file__).with_name("store_feast.py")
    done = subprocess.run([str(python), str(script), str(repository)], capture_output=True, text=True, check=False)
    root = folder / "feast_store"
    write_center(root, "c000", frame, schema_of(frame))
    own = {
        "rows": n,
        "columns": p,
        "radmill_s": seconds(lambda: training_set(root, ["c000"])),
        "radmill_mb": peak_mb(training_set, root, ["c000"]),
    }
    if done.returncode:
        return {**own, "failed": done.stderr.strip().splitlines()[-1]}
    return {**own, **json.loads(done.stdout.strip().splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--columns", type=int, default=1_130)
    parser.add_argument("--centers", type=int, default=50)
    parser.add_argument("--top", type=int, default=20_000, help="(b): the most rows")
    parser.add_argument("--csv-rows", type=int, default=2_000)
    parser.add_argument("--feast", type=Path, help="where Feast's environment is, or is to be built")
    parser.add_argument("--feast-rows", type=int, default=1_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/store.json"))
    options = parser.parse_args()
    sizes = [
        (n, p) for n, p in ((1_000, 1_130), (10_000, 1_130), (100_000, 1_130), (1_000_000, 100)) if n <= options.top
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {"cores": os.cpu_count(), "pyarrow": pa.__version__, "pandas": pd.__version__}
        found["side_by_side"] = side_by_side(folder, options.rows, options.columns, options.centers)
        found["csv"] = csv_beside(folder, options.csv_rows, options.columns)
        found["growth"] = growth(folder, sizes)
        if options.feast:
            found["feast"] = feast_beside(folder, options.feast, options.feast_rows, options.columns)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
