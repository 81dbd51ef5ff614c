"""Measures scoring: drift and what it rings for, and what a case costs.

    python benchmarks/scoring.py drift|images|cost [--draws 200] [--out benchmarks/results/scoring.json]
    python benchmarks/scoring.py page

Each part writes its results into the one file and leaves the others; `page` writes docs/performance-scoring.md.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from featurestore.files import write_json
from pipelines.record import installed

RESULTS = Path(__file__).parent / "results" / "scoring.json"
REFERENCES = 20


def false_alarms(draws: int) -> dict[str, Any]:
    from scoring_drift import false_alarms

    return {one: false_alarms(one, draws, REFERENCES) for one in ("lr", "rf")}


def power(draws: int) -> dict[str, Any]:
    from scoring_drift import power

    return power("lr", draws // 2)


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
    "by_package": by_package,
    "false_alarms": false_alarms,
    "power": power,
    "others": others,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("drift", *PARTS))
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    content: dict[str, Any] = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    began = time.perf_counter()
    with threadpool_limits(1):
        for part in ("false_alarms", "by_package", "power", "others") if chosen.part == "drift" else (chosen.part,):
            content[part] = PARTS[part](chosen.draws)
    content["versions"] = installed("radmill", "numpy", "scipy", "scikit-learn")
    write_json(chosen.out, content)
    print(chosen.part, f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
