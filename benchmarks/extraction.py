"""Measures extraction side by side: the fast engine, PyRadiomics as is and with preCrop, ITK's mere reading, and peers.

    python benchmarks/extraction.py FOLDER [--parts "rows;peers;workers;profile"] [--features "107;…"]
                                           [--cases "100x2000;…"] [--peers "nyxus;…"] [--resume]

Every engine runs in a process of its own with one thread, is warmed up once, and takes turns with the others; medians
count. Files are read inside the measured time. Results go to benchmarks/results/extraction.json, and the page
docs/performance.md is written from them. Any part can be measured by itself: it takes the place of what was measured
before; `--resume` leaves out what is there.
"""

import argparse
import json
import os
import platform
import re
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from extraction_cases import CASES, FEATURE_SETS, content_of, images
from extraction_page import page
from extraction_peers import PEERS, python_of
from store_page import BEGIN

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "extraction.json"
PAGE = ROOT / "docs" / "performance.md"
THREADS = dict.fromkeys(
    (
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    ),
    "1",
)
ROUNDS = {"itk": 9, "fast": 9, "precrop": 2, "stock": 0}
"""Rounds of each engine after the first; without any, the first counts: stock needs minutes."""
PEER_ROUNDS = 3
SLOW_S = 15.0
"""A peer whose first case takes longer is not asked again: its first counts."""
PEER_LIMIT_S = 200.0
PARTS = ("rows", "peers", "workers", "profile")


class Worker:
    """A process that runs one engine."""

    def __init__(self, engine: str, python: Path | None = None) -> None:
        environment = {**os.environ, **THREADS, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        if python is not None:
            del environment["PYTHONPATH"]
        script = Path(__file__).resolve().parent / "extraction_worker.py"
        self.process = subprocess.Popen(
            [str(python or sys.executable), str(script), engine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, image: Path, mask: Path, content: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"image": str(image), "mask": str(mask), "content": content}) + "\n")
        self.process.stdin.flush()

    def told(self, limit_s: float | None = None) -> dict[str, Any]:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        if not select.select([self.process.stdout], [], [], limit_s)[0]:
            self.process.kill()
            raise RuntimeError(f"more than {limit_s:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError((self.process.stderr.read().strip().splitlines() or ["it ended"])[-1])
        return json.loads(line)

    def run(self, image: Path, mask: Path, content: dict[str, Any], limit_s: float | None = None) -> dict[str, Any]:
        self.ask(image, mask, content)
        return self.told(limit_s)

    def close(self) -> None:
        self.process.communicate()


def measured_row(folder: Path, feature_set: str, case: tuple[int, int]) -> dict[str, Any]:
    """Returns the fast engine beside ITK and both ways of PyRadiomics."""
    pair = images(folder, *case)
    workers = {name: Worker(name) for name in ROUNDS}
    contents = {name: content_of(feature_set, name) for name in ROUNDS}
    first = {name: worker.run(*pair, contents[name]) for name, worker in workers.items()}
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in ROUNDS}
    for turn in range(max(ROUNDS.values())):
        for name, worker in workers.items():
            if turn < ROUNDS[name]:
                answers[name].append(worker.run(*pair, contents[name]))
    for worker in workers.values():
        worker.close()
    row: dict[str, Any] = {"features": feature_set, "slices": case[0], "voxels": case[1], **_file_sizes(pair)}
    row |= {name: _summary(first[name], told) for name, told in answers.items()}
    stock, fast = ((answers[name] or [first[name]])[0]["features"] for name in ("stock", "fast"))
    row |= {"agreement": _agreement(stock, fast), "n_features": len(fast), "load": os.getloadavg()[0]}
    return row


def _file_sizes(pair: tuple[Path, Path]) -> dict[str, int]:
    image, mask = (path.stat().st_size for path in pair)
    return {"image_bytes": image, "mask_bytes": mask}


def _summary(first: dict[str, Any], told: list[dict[str, Any]]) -> dict[str, Any]:
    told = told or [first]
    return {
        "seconds": statistics.median(answer["seconds"] for answer in told),
        "cpu_seconds": statistics.median(answer["cpu_seconds"] for answer in told),
        "all_seconds": [round(answer["seconds"], 4) for answer in told],
        "first_seconds": first["seconds"],
        "peak_mb": round(max(answer["peak_mb"] for answer in [first, *told])),
    }


def _agreement(reference: dict[str, float], found: dict[str, float]) -> float:
    from pipelines.radiomics.agreement import relative_differences

    return max(relative_differences(reference, found).values())


def measured_peer(folder: Path, name: str, feature_set: str, case: tuple[int, int]) -> dict[str, Any]:
    """Returns a peer beside the fast engine, or why there is nothing to compare."""
    pair, content = images(folder, *case), content_of(feature_set, "fast")
    row: dict[str, Any] = {"peer": name, "features": feature_set, "slices": case[0], "voxels": case[1]}
    try:
        worker = Worker(name, python_of(name, folder / "envs"))
        first = worker.run(*pair, content, PEER_LIMIT_S)
    except (RuntimeError, subprocess.SubprocessError) as error:
        return {**row, "reason": str(error)}
    fast = Worker("fast")
    first_fast = fast.run(*pair, content)
    n_rounds = PEER_ROUNDS if first["seconds"] < SLOW_S else 0
    told: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for _ in range(PEER_ROUNDS):
        told[1].append(fast.run(*pair, content))
        if len(told[0]) < n_rounds:
            told[0].append(worker.run(*pair, content, PEER_LIMIT_S))
    for process in (worker, fast):
        process.close()
    row |= {"them": _summary(first, told[0]), "fast": _summary(first_fast, told[1])}
    return row | _compared(first_fast["features"], first["features"])


def _compared(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, Any]:
    """Returns how many features both compute and how many of them agree."""
    named = {_plain(name): value for name, value in theirs.items()}
    gaps = {
        name: abs(value - named[_plain(name)]) / max(abs(value), 1e-12)
        for name, value in ours.items()
        if _plain(name) in named
    }
    worst = max(gaps, key=lambda name: gaps[name]) if gaps else ""
    return {
        "n_theirs": len(theirs),
        "n_common": len(gaps),
        "n_equal": sum(gap <= 1e-6 for gap in gaps.values()),
        "largest": gaps.get(worst, 0.0),
        "largest_in": worst,
    }


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower()).replace("10th", "10").replace("90th", "90")


def throughput(folder: Path, n_cases: int = 16) -> dict[str, float]:
    """Returns cases a second of one worker and of two at once, in two rounds each."""
    pair, content = images(folder, 100, 20_000), content_of("1130", "fast")
    found: dict[str, list[float]] = {}
    for n_workers in (1, 2, 1, 2):
        workers = [Worker("fast") for _ in range(n_workers)]
        for worker in workers:
            worker.run(*pair, content)
        start = time.perf_counter()
        for _ in range(n_cases):
            for worker in workers:
                worker.ask(*pair, content)
            for worker in workers:
                worker.told()
        found.setdefault(f"{n_workers} worker", []).append(n_cases * n_workers / (time.perf_counter() - start))
        for worker in workers:
            worker.close()
    return {name: statistics.median(rates) for name, rates in found.items()}


def profile(folder: Path, case: tuple[int, int], n_rounds: int = 7) -> dict[str, float]:
    """Returns the seconds of each part of the fast engine, by the clock: medians of rounds."""
    pair, content = images(folder, *case), content_of("1130", "fast")
    worker = Worker("parts")
    worker.run(*pair, content)
    rounds = [worker.run(*pair, content)["features"] for _ in range(n_rounds)]
    worker.close()
    parts = {name: statistics.median(told[name] for told in rounds) for name in rounds[0]}
    whole = parts.pop("all")
    parts["the rest"] = whole - sum(parts.values())
    return dict(sorted(parts.items(), key=lambda part: -part[1]))


def machine() -> dict[str, Any]:
    models = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


Step = tuple[str, tuple[Any, ...]]


def steps(arguments: argparse.Namespace) -> Iterator[Step]:
    """Yields what is to be measured: the part and what of it."""
    wanted = [case for case in CASES if f"{case[0]}x{case[1]}" in arguments.cases]
    if "rows" in arguments.parts:
        yield from (("rows", (name, case)) for name in FEATURE_SETS if name in arguments.features for case in wanted)
    if "peers" in arguments.parts:
        for peer in (name for name in PEERS if name in arguments.peers):
            covered = [name for name in PEERS[peer].covers if name in arguments.features]
            yield from (("peers", (peer, name, case)) for name in covered for case in wanted)
    if "workers" in arguments.parts:
        yield "workers", ()
    if "profile" in arguments.parts:
        yield from (("profile", (case,)) for case in wanted)


def measure(folder: Path, step: Step) -> Any:
    part, of = step
    functions = {"rows": measured_row, "peers": measured_peer, "workers": throughput, "profile": profile}
    return functions[part](folder, *of)  # type: ignore[operator]


def key_of(step: Step) -> str:
    return " · ".join("x".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in step[1]) or "all"


def main(arguments: argparse.Namespace) -> None:
    arguments.folder.mkdir(parents=True, exist_ok=True)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if "rows" not in found or isinstance(found["rows"], list):
        found = {part: {} for part in PARTS}
    for step in steps(arguments):
        part, key = step[0], key_of(step)
        if arguments.resume and key in found[part]:
            continue
        found["machine"] = machine()
        found[part][key] = measure(arguments.folder, step)
        print(part, key, json.dumps(found[part][key]), file=sys.stderr, flush=True)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(found) + store_section(), encoding="utf-8")


def store_section() -> str:
    """Returns what the benchmark of the store wrote into the same page."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    return f"\n{text[text.index(BEGIN) :]}" if BEGIN in text else ""


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where images and environments are kept")

    def several(name: str, choices: list[str]) -> None:
        parser.add_argument(f"--{name}", type=lambda text: text.split(";"), default=choices, help="; between several")

    several("parts", list(PARTS))
    several("features", list(FEATURE_SETS))
    several("cases", [f"{slices}x{voxels}" for slices, voxels in CASES])
    several("peers", list(PEERS))
    parser.add_argument("--resume", action="store_true", help="leave out what was measured before")
    return parser.parse_args()


if __name__ == "__main__":
    main(parsed())
