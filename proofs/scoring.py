"""Kills scoring 100 times while cases arrive bit by bit, and looks whether every case got exactly one score.

A round lets cases come in four steps and kills the run after each at a random moment, with every process it started;
then the run is made again, as a schedule does. At the end all scores must be those of an undisturbed run, to the last
bit. Each round is written down when it is done; a call that was stopped goes on with the next one.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from tests.killed_scoring import STEPS, discard, killed_round, prepared


def main() -> None:
    """Makes the rounds that are missing and prints the figures."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--kills", type=int, default=100)
    asked.add_argument("--record", type=Path, default=Path("build/prove-scoring.jsonl"))
    options = asked.parse_args()
    n_rounds = -(-options.kills // len(STEPS))
    done = read(options.record)
    if missing := [seed for seed in range(n_rounds) if seed not in {row["round"] for row in done}]:
        make(missing, options.record)
    show(read(options.record))


def read(record: Path) -> list[dict[str, object]]:
    """Returns the kills of complete rounds."""
    return [row for line in record.read_text().splitlines() for row in json.loads(line)] if record.exists() else []


def make(seeds: list[int], record: Path) -> None:
    """Makes rounds and writes each down."""
    record.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="prove-scoring-"))
    try:
        start, wanted, context = prepared(folder)
        for seed in seeds:
            study = start.copy(folder / f"round-{seed}")
            kills = [
                {"round": seed, "step": step, "moment_s": moment, "run_s": wanted.took[step], "at_work": at_work,
                 "n_scores": len(wanted.history)}
                for step, moment, at_work in killed_round(study, wanted, context, seed)
            ]  # fmt: skip
            with record.open("a") as file:
                file.write(f"{json.dumps(kills)}\n")
            discard(study)
    finally:
        shutil.rmtree(folder)


def show(kills: list[dict[str, object]]) -> None:
    """Prints the figures."""
    at_work = sum(bool(kill["at_work"]) for kill in kills)
    rounds = len({kill["round"] for kill in kills})
    n_scores = kills[0]["n_scores"] if kills else 0
    print(f"{len(kills)} kills in {rounds} rounds, {at_work} of them while the run was at work")
    print(f"every round: {n_scores} scores of 5 patients under 3 packages, none lost, none doubled, all equal")


if __name__ == "__main__":
    main()
