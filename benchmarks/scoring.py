"""Measures scoring: drift and what it rings for, and what a case costs.

    python benchmarks/scoring.py drift|images|cost [--draws 200] [--out benchmarks/results/scoring.json]
    python benchmarks/scoring.py --page

Each part writes its results into the one file and leaves the others; `--page` writes docs/performance-scoring.md from
them and from those of `benchmarks/scoring_doubt.py`.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from featurestore.files import write_json
from pipelines.record import installed

RESULTS = Path(__file__).parent / "results" / "scoring.json"
REFERENCES = 20


def described(_draws: int) -> dict[str, Any]:
    from scoring_drift import ALPHA, DEVELOPMENT, INTERNAL_SHARE
    from scoring_population import SIZE, real_table

    X, names = real_table()
    held_out = round(DEVELOPMENT * INTERNAL_SHARE)
    told = {"size": SIZE, "rows": len(X), "features": len(names), "development": DEVELOPMENT}
    return told | {"held_out": held_out, "alpha": ALPHA}


def false_alarms(draws: int) -> dict[str, Any]:
    from scoring_drift import false_alarms

    return {one: false_alarms(one, draws, REFERENCES) for one in ("lr", "rf")}


def power(draws: int) -> dict[str, Any]:
    from scoring_drift import power

    return {"lr": power("lr", draws // 2), "rf": power("rf", draws // 5)}


def others(draws: int) -> dict[str, Any]:
    from scoring_drift import others

    return others(draws // 4)


def by_package(draws: int) -> dict[str, Any]:
    from scoring_drift import by_package

    return by_package("lr", REFERENCES, draws // 5)


def images(draws: int) -> dict[str, Any]:
    from scoring_images import images

    return images(draws)


def cost(draws: int) -> dict[str, Any]:
    from scoring_cost import cost

    return cost(draws)


PARTS = {
    "cost": cost,
    "images": images,
    "population": described,
    "by_package": by_package,
    "false_alarms": false_alarms,
    "power": power,
    "others": others,
}


DRIFT = ("population", "false_alarms", "by_package", "power", "others")


def machine() -> dict[str, Any]:
    """Returns what the timings are of."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    cpu = models[0] if models else platform.processor()
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version()}


def measure(parts: tuple[str, ...], draws: int, out: Path) -> None:
    content: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    with threadpool_limits(1):
        for part in parts:
            began = time.perf_counter()
            content[part] = PARTS[part](draws)
            print(part, f"{time.perf_counter() - began:.0f} s", flush=True)
    if "cost" in parts:
        content["machine"] = machine()
    write_json(out, content | {"versions": installed("radmill", "numpy", "scipy", "scikit-learn")})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=("drift", *PARTS))
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", action="store_true", help="write the page from what was measured")
    chosen = parser.parse_args()
    if chosen.part:
        measure(DRIFT if chosen.part == "drift" else (chosen.part,), chosen.draws, chosen.out)
    if chosen.page:
        from scoring_page import write_page

        write_page()


if __name__ == "__main__":
    main()
