"""From 100 to 1,000,000 cases: what driver, scheduler and tables take, measured; writes docs/scaling.md.

    python benchmarks/scaling.py FOLDER --part costs --study STUDY    # a finished demo: how long real cases take
    python benchmarks/scaling.py FOLDER --part workers real_time tables    # half an hour
    python benchmarks/scaling.py FOLDER --part million                # about an hour on two cores that do nothing else
    python benchmarks/scaling.py --page

Each part puts its figures into benchmarks/results/scaling.json (those of cases into scaling_costs.json), so that a part
can be measured again alone. What is simulated and what is real is said in `scaling_window.py` and `scaling_tables.py`.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaling_costs import costs
from scaling_tables import measured_tables
from scaling_window import handed_out

from featurestore.files import write_json

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "scaling.json"
MILLION = HERE / "results" / "scaling_million.json"
COSTS = HERE / "results" / "scaling_costs.json"
WORKERS = (8, 64, 256)
AT_ONCE = 1e9
"""A case that takes no time: what is left is handing out."""


def workers(_: Path) -> list[dict[str, Any]]:
    """The same cases on more and more workers, as fast as they can be handed out."""
    return [_without_series(handed_out(6_000, n, AT_ONCE)) for n in WORKERS]


def real_time(_: Path) -> list[dict[str, Any]]:
    """Cases that take as long as measured ones: how much of a worker's time is work."""
    return [_without_series(handed_out(4_000, n, 1.0)) for n in (8, 32)]


def million(_: Path) -> dict[str, Any]:
    """1,000,000 cases on 64 workers; what was seen so far is in its results at any time."""
    return handed_out(1_000_000, 64, AT_ONCE, keep=lambda seen: store("million", seen, MILLION))


def _without_series(found: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in found.items() if name != "series"}, "last": found["series"][-1]}


PARTS: dict[str, Callable[[Path], Any]] = {
    "workers": workers,
    "real_time": real_time,
    "million": million,
    "tables": measured_tables,
}


def store(part: str, figures: Any, path: Path = RESULTS) -> None:
    """Puts the figures of a part beside those of the others."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    load = round(os.getloadavg()[0], 1)
    write_json(path, {**found, "machine": machine(), part: {"figures": figures, "load": load}})


def machine() -> dict[str, Any]:
    """Returns where it was measured."""
    from importlib.metadata import version

    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    names = ("distributed", "pyarrow", "pandas", "numpy")
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def main() -> None:
    """Runs the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("build/bench-scaling"))
    parser.add_argument("--part", nargs="+", choices=["costs", *PARTS], default=[])
    parser.add_argument("--study", type=Path, default=Path("demo"), help="a finished demo, for `costs`")
    parser.add_argument("--page", action="store_true", help="write docs/scaling.md")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for part in options.part:
        if part == "costs":
            write_json(COSTS, costs(options.study, options.folder))
            continue
        store(part, PARTS[part](options.folder), MILLION if part == "million" else RESULTS)
    if options.page:
        from scaling_page import write_page

        write_page()


if __name__ == "__main__":
    main()
