"""The store beside plain pyarrow, a pandas CSV and Feast's offline stores: time and memory, on this machine.

    python benchmarks/store.py FOLDER --part data       # makes the tables, nothing is timed
    python benchmarks/store.py FOLDER --part read       # and write, train, validate, csv, growth, one_case, feast
    python benchmarks/store.py --page                   # writes its section of docs/performance.md

Each part puts its figures into benchmarks/results/store.json, so that a part can be measured again alone. Two ways of
the same work are timed in turn and the smallest time of each counts; memory is the largest resident size of a fresh
process that does nothing else. Feast runs in an environment of its own, `--feast`, which is built where it is lacking.
"""

import argparse
import json
import multiprocessing
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from store_page import write_section
from store_tables import (
    add_one_case,
    center_rows,
    names_of,
    patient_rows,
    plain_frame,
    plain_read,
    plain_write,
    rewrite_one_file,
    schema_of,
    stamped_file,
    training_set,
    validate,
    write_one_file,
    write_store,
)

from featurestore.files import write_json
from featurestore.tables import partition, read_frame, read_table, write_center
from featurestore.views import feature_names

RESULTS = Path(__file__).parent / "results" / "store.json"
ROWS, COLUMNS, CENTERS = 100_000, 1_130, 50
TRAINING_CENTERS = 5
GROWTH = ((1_000, 1_130), (10_000, 1_130), (100_000, 1_130), (1_000_000, 100))
CSV_ROWS = 2_000
FEAST_CENTERS = (TRAINING_CENTERS, CENTERS)
"""Feast retrieves the training patients from a table of these centers alone, and from the table of all."""

FEAST_LIMIT_S = 100


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(*ways: Callable[[], object], rounds: int) -> list[float]:
    """Times ways of the same work in turn, so that what else the machine does strikes all; the smallest of each."""
    took = [[seconds(way) for way in ways] for _ in range(rounds)]
    return [round(min(times), 4) for times in zip(*took, strict=True)]


def beside(own: Callable[[], object], plain: Callable[[], object], rounds: int = 5) -> dict[str, float]:
    """Times own and plain work in turn, by the clock and by the processor: on a busy machine the latter is fairer."""
    took: dict[str, list[tuple[float, float]]] = {"own": [], "plain": []}
    for number in range(rounds):
        ways = [("own", own), ("plain", plain)]
        for name, work in ways if number % 2 else reversed(ways):
            processor = time.process_time()
            took[name].append((seconds(work), time.process_time() - processor))
    wall = {name: min(one for one, _ in times) for name, times in took.items()}
    cpu = {name: min(one for _, one in times) for name, times in took.items()}
    return {
        "own_s": round(wall["own"], 4),
        "plain_s": round(wall["plain"], 4),
        "ratio": round(wall["own"] / wall["plain"], 2),
        "own_cpu_s": round(cpu["own"], 4),
        "plain_cpu_s": round(cpu["plain"], 4),
        "cpu_ratio": round(cpu["own"] / cpu["plain"], 2),
    }


def peak_mb(work: Callable[..., object], *arguments: object) -> float:
    """The largest resident size of a fresh process that runs `work`, what importing takes included."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, arguments))


def _measured(work: Callable[..., object], arguments: tuple[object, ...]) -> float:
    held = work(*arguments)
    told = Path("/proc/self/status").read_text(encoding="ascii")
    del held
    return round(int(re.search(r"VmHWM:\s+(\d+)", told).group(1)) / 1024, 1)


def large(folder: Path) -> Path:
    return folder / f"store-{ROWS}-{COLUMNS}"


def data(folder: Path) -> dict[str, Any]:
    """Makes every table that a part needs and that is not here yet."""
    for n, p in GROWTH:
        root = folder / f"store-{n}-{p}"
        if not (root / "done").exists():
            write_store(root, n, p, CENTERS)
            (root / "done").touch()
    return {"bytes": sum(path.stat().st_size for path in large(folder).rglob("*.parquet"))}


def write(folder: Path) -> dict[str, Any]:
    """All 50 centers written; the rows of five of them lie in memory and are written under ten names each."""
    frames = [center_rows(center, ROWS // CENTERS, COLUMNS) for center in names_of(TRAINING_CENTERS)]
    own, plain = folder / "written", folder / "plain"

    def all_own() -> None:
        for number, center in enumerate(names_of(CENTERS)):
            frame = frames[number % TRAINING_CENTERS]
            write_center(own, center, frame, schema_of(frame))

    def all_plain() -> None:
        for number, center in enumerate(names_of(CENTERS)):
            plain_write(plain / f"{center}.parquet", frames[number % TRAINING_CENTERS])

    plain.mkdir(exist_ok=True)
    found = beside(all_own, all_plain, rounds=2)
    shutil.rmtree(own)
    shutil.rmtree(plain)
    return found


def read(folder: Path) -> dict[str, Any]:
    """Everything, twenty columns, one center; and the memory that each takes."""
    root = large(folder)
    twenty = feature_names(read_frame(root, centers=["c000"]))[:20]
    asked = {"all": (None, None, 6), "20_columns": (twenty, None, 16), "one_center": (None, ["c000"], 20)}
    found: dict[str, Any] = {"import_mb": peak_mb(len, "")}
    for name, (columns, centers, rounds) in asked.items():
        times = beside(
            lambda c=columns, k=centers: read_table(root, columns=c, centers=k),
            lambda c=columns, k=centers: plain_read(root, c, k),
            rounds,
        )
        memory = {
            "own_mb": peak_mb(_read, root, columns, centers),
            "plain_mb": peak_mb(plain_read, root, columns, centers),
        }
        found[name] = {**times, **memory}
    return found


def _read(root: Path, columns: list[str] | None, centers: list[str] | None) -> pa.Table:
    return read_table(root, columns=columns, centers=centers)


def train(folder: Path) -> dict[str, Any]:
    """A training set of 10,000 rows out of 100,000, beside reading the same rows into a frame."""
    root, few = large(folder), names_of(TRAINING_CENTERS)
    times = beside(lambda: training_set(root, few), lambda: plain_frame(root, few), 7)
    memory = {"own_mb": peak_mb(training_set, root, few), "plain_mb": peak_mb(plain_frame, root, few)}
    return {"rows": ROWS // CENTERS * TRAINING_CENTERS, **times, **memory}


def check(folder: Path) -> dict[str, Any]:
    """The rules about rows and columns, over the training centers and over all."""
    root, few = large(folder), names_of(TRAINING_CENTERS)
    return {
        "training_rows_s": in_turn(lambda: validate(root, few), rounds=3)[0],
        "all_rows_s": in_turn(lambda: validate(root, names_of(CENTERS)), rounds=1)[0],
        "all_rows_mb": peak_mb(validate, root, names_of(CENTERS)),
    }


def csv(folder: Path) -> dict[str, Any]:
    """A CSV by pandas at a size that it survives."""
    frame, path, root = center_rows("c000", CSV_ROWS, COLUMNS), folder / "one.csv", folder / "csv_store"
    columns = feature_names(frame)[:20]
    found = {
        "rows": CSV_ROWS,
        "csv_write_s": in_turn(lambda: frame.to_csv(path, index=False), rounds=1)[0],
        "csv_read_s": in_turn(lambda: pd.read_csv(path), rounds=2)[0],
        "csv_20_columns_s": in_turn(lambda: pd.read_csv(path, usecols=columns), rounds=2)[0],
        "csv_keeps_digits": bool(pd.read_csv(path)[columns].equals(frame[columns])),
        "csv_bytes": path.stat().st_size,
        "own_write_s": in_turn(lambda: write_center(root, "c000", frame, schema_of(frame)), rounds=3)[0],
        "own_read_s": in_turn(lambda: read_frame(root), rounds=3)[0],
        "own_20_columns_s": in_turn(lambda: read_frame(root, columns=columns), rounds=3)[0],
        "own_bytes": partition(root, "c000").stat().st_size,
    }
    shutil.rmtree(root)
    path.unlink()
    return found


def growth(folder: Path) -> list[dict[str, Any]]:
    """(b): from a thousand rows to a million, fewer columns at the top."""
    found = []
    for n, p in GROWTH:
        root = folder / f"store-{n}-{p}"
        row = {"rows": n, "columns": p}
        row["write_center_s"] = _written(root)
        row["read_all_s"] = in_turn(lambda r=root: read_table(r), rounds=2)[0]
        row["read_one_center_s"] = in_turn(lambda r=root: read_table(r, centers=["c000"]), rounds=5)[0]
        row["read_all_mb"] = peak_mb(_read, root, None, None)
        row["read_one_center_mb"] = peak_mb(_read, root, None, ["c000"])
        found.append(row)
    return found


def _written(root: Path) -> float:
    frame, target = read_frame(root, centers=["c001"]), root.with_name("one-center")
    took = in_turn(lambda: write_center(target, "c001", frame, schema_of(frame)), rounds=3)[0]
    shutil.rmtree(target)
    return took


def one_case(folder: Path) -> dict[str, Any]:
    """(c): one case more in a store of 50 centers, by the rows of all centers and by those of its own."""
    found: dict[str, Any] = {"by_rows": [], "by_center": []}
    for n, p in GROWTH[:3]:
        root = folder / f"store-{n}-{p}"
        took = [seconds(lambda r=root, i=number: add_one_case(r, i)) for number in range(3)]
        _take_back(root)
        found["by_rows"].append({"rows": n, "center_rows": n // CENTERS, "seconds": round(min(took), 4)})
    frame = read_frame(large(folder), centers=names_of(10))
    for rows in (200, 2_000, 20_000):
        root = folder / "grown"
        own = frame.head(rows).assign(center="c000", case_id=[f"{i:016x}" for i in range(rows)])
        write_center(root, "c000", own, schema_of(own))
        took = [seconds(lambda r=root, i=number: add_one_case(r, i)) for number in range(2)]
        size = partition(root, "c000").stat().st_size
        found["by_center"].append({"center_rows": rows, "bytes": size, "seconds": round(min(took), 4)})
        shutil.rmtree(root)
    return found


def _take_back(root: Path) -> None:
    frame = read_frame(root, centers=["c000"])
    write_center(root, "c000", frame[~frame["case_id"].str.startswith("f")], schema_of(frame))


def whole_file(folder: Path) -> dict[str, Any]:
    """The same case in one file of all rows, as a store without partitions keeps it."""
    source = folder / "whole.parquet"
    write_one_file(large(folder), source)
    took = seconds(lambda: rewrite_one_file(source, folder / "whole-2.parquet"))
    for name in ("whole.parquet", "whole-2.parquet"):
        (folder / name).unlink()
    return {"rows": ROWS, "seconds": round(took, 2)}


def feast(folder: Path, environment: Path) -> list[dict[str, Any]]:
    """The same training-set retrieval by Feast's offline stores in their own environment."""
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "feast[duckdb]"], check=True)
    root, few, found = large(folder), names_of(TRAINING_CENTERS), []
    rows_s, own_s = in_turn(lambda: patient_rows(root, few), lambda: training_set(root, few), rounds=7)
    own = {"rows_s": rows_s, "own_s": own_s, "own_mb": peak_mb(training_set, root, few)}
    for centers in FEAST_CENTERS:
        repository = folder / "feast"
        shutil.rmtree(repository, ignore_errors=True)
        repository.mkdir()
        stamped_file(root, names_of(centers), repository / "features.parquet")
        for kind in ("duckdb", "dask"):
            told = _feast_once(repository, python, kind)
            names = {"times": "rows_s", "times_frozen": "own_s"} if "feast_s" in told else {}
            ratio = {name: round(told["feast_s"] / own[of], 1) for name, of in names.items()}
            sizes = {"rows": ROWS // CENTERS * TRAINING_CENTERS, "of": ROWS // CENTERS * centers, "columns": COLUMNS}
            found.append({**sizes, "kind": kind, **own, **told, **ratio})
        shutil.rmtree(repository)
    return found


def _feast_once(repository: Path, python: Path, kind: str) -> dict[str, Any]:
    script = Path(__file__).with_name("store_feast.py")
    command = [str(python), str(script), str(repository), kind, str(TRAINING_CENTERS)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FEAST_LIMIT_S)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {FEAST_LIMIT_S} s"}
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


PARTS: dict[str, Callable[[Path], Any]] = {
    "data": data,
    "write": write,
    "read": read,
    "train": train,
    "validate": check,
    "csv": csv,
    "growth": growth,
    "one_case": one_case,
    "whole_file": whole_file,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="where the tables lie between parts; some 2.5 GB")
    parser.add_argument("--part", nargs="+", choices=[*PARTS, "feast"], default=[])
    parser.add_argument("--feast", type=Path, help="where Feast's environment is, or is to be built")
    parser.add_argument("--page", action="store_true", help="write the section of docs/performance.md")
    options = parser.parse_args()
    for part in options.part:
        options.folder.mkdir(parents=True, exist_ok=True)
        work = PARTS.get(part, lambda folder: feast(folder, options.feast or folder / "feast_environment"))
        load = os.getloadavg()[0]
        figures = {"figures": work(options.folder), "load": round(load, 1)}
        found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        write_json(RESULTS, {**found, "machine": machine(), part: figures})
        print(part, json.dumps(figures, indent=1))
    if options.page:
        write_section(json.loads(RESULTS.read_text(encoding="utf-8")))


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "pyarrow": pa.__version__,
        "pandas": pd.__version__,
        "sizes": {"rows": ROWS, "columns": COLUMNS, "centers": CENTERS},
    }


if __name__ == "__main__":
    main()
