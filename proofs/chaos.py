"""Disturbs runs at random moments in eight ways, and looks whether the next run makes it good.

`python -m proofs.chaos FOLDER` makes a hundred rounds on a small study, `--full` three on the whole demo. In each a
pristine study is run and disturbed; then `radmill run` is made once more, and everything must be as in an undisturbed
run, to the byte. Each round is written down when it is done; a call that was stopped goes on with the next one.
`--again` repeats the rounds that had faults, `--fresh` freezes the code as it is now. It takes root: file systems are
mounted.
"""

import argparse
import json
import os
import random
import sys
from collections.abc import Iterable
from pathlib import Path

from proofs.chaos_faults import FAULTS
from proofs.chaos_round import Part, Round, Row
from proofs.chaos_study import Stage

SEED, TWICE = 20261124, 3
"""Each third machine that is stopped is stopped again in the next run."""

FULL = (("machine stopped", (0.05, 0.3)), ("machine stopped", (0.35, 0.65)), ("driver killed", (0.7, 0.95)))
"""The rounds on the full demo: early, in the middle, late."""

Plan = list[tuple[str, Part]]


def main() -> int:
    """Makes the rounds that are missing and prints the figures."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folder", type=Path, nargs="?", default=Path("build/proofs/chaos"))
    asked.add_argument("--full", action="store_true", help="three rounds on the whole demo")
    asked.add_argument("--again", action="store_true", help="the rounds that had faults as well")
    asked.add_argument("--fresh", action="store_true", help="with the code as it is now")
    asked.add_argument("--only", type=int, nargs="*", help="of these rounds alone")
    asked.add_argument("--lot", type=int, nargs=2, default=(0, 1), metavar=("K", "N"), help="from K on every Nth round")
    asked.add_argument("--show", action="store_true", help="print the figures of what was done")
    options = asked.parse_args()
    stage = Stage((options.folder / ("full" if options.full else "small")).resolve(), options.full)
    plan, record = list(FULL) if options.full else planned(), stage.folder / "rounds.jsonl"
    if options.fresh:
        stage.forget()
    done = {number for number, row in read(record).items() if not (options.again and row["faults"])}
    lot = range(options.lot[0], len(plan), options.lot[1])
    missing = [n for n in lot if n not in done and (not options.only or n in options.only)]
    if not options.show:
        make(stage, plan, missing, record)
    rows = read(record)
    print(summary(rows))
    return int(len(rows) < len(plan) or any(row["faults"] for row in rows.values()))


def planned() -> Plan:
    """Returns the fault of each round, in an order drawn by chance."""
    names = [(name, (0.0, 1.0)) for name, fault in FAULTS.items() for _ in range(fault.rounds)]
    random.Random(SEED).shuffle(names)
    return names


def read(record: Path) -> dict[int, Row]:
    """Returns the last line of each round; a line that was cut by a kill does not count."""
    found = {}
    for line in record.read_text(encoding="utf-8").splitlines() if record.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[int(row["round"])] = row
    return dict(sorted(found.items()))


def make(stage: Stage, plan: Plan, missing: Iterable[int], record: Path) -> None:
    """Makes rounds and writes each down."""
    if os.geteuid() != 0:
        raise SystemExit("a file system is filled and made to fail: run as root, on a machine that may be disturbed")
    _part_from_other_mounts()
    reference = stage.prepare()
    for number in missing:
        name, part = plan[number]
        is_twice = name == "machine stopped" and number % TWICE == 0 and not stage.is_full
        row = Round(stage, reference, number, name, part, is_twice).play(SEED)
        with record.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(row)}\n")
        print(told(row), flush=True)


def _part_from_other_mounts() -> None:
    """Goes on where no other process sees what is mounted here: it would keep a failed file system alive."""
    if "RADMILL_CHAOS_MOUNTS" not in os.environ:
        os.environ["RADMILL_CHAOS_MOUNTS"] = "own"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, "-u", "-m", "proofs.chaos", *sys.argv[1:]])


def told(row: Row) -> str:
    """Returns a round in one line."""
    return (
        f"{row['round']:3d} {row['fault']}: {row['did']}, in {row['stage']}; exit {row['exit']}, "
        f"{len(row['failed_cases'])} cases failed; {row['reruns']} rerun, {row['recovery_s']} s: "
        f"{'equal' if not row['faults'] else row['faults']}"
    )


def summary(rows: dict[int, Row]) -> str:
    """Returns the figures by fault."""
    head = ("fault", "rounds", "equal", "exit 0", "exit 1", "exit 2 or 3", "reruns", "slowest recovery")
    table = [head, *(_figures(name, rows) for name in [*FAULTS, "all"] if name == "all" or _of(name, rows))]
    lines = [f"{name:<18}" + "".join(f"{cell:>17}" for cell in cells) for name, *cells in table] if rows else []
    undisturbed = sorted({row["run_s"] for row in rows.values()})
    lines.append(f"an undisturbed run took {undisturbed} s; code {sorted({row['commit'] for row in rows.values()})}")
    return "\n".join([*lines, *(told(row) for row in rows.values() if row["faults"])])


def _of(name: str, rows: dict[int, Row]) -> list[Row]:
    return [row for row in rows.values() if name in ("all", row["fault"])]


def _figures(name: str, rows: dict[int, Row]) -> tuple[str, ...]:
    own = _of(name, rows)
    codes = [row["exit"] for row in own if not FAULTS[row["fault"]].ends_run]
    counts = codes.count(0), codes.count(1), codes.count(2) + codes.count(3)
    numbers = (len(own), sum(not row["faults"] for row in own), *counts)
    slowest = max(row["recovery_s"] for row in own)
    return name, *map(str, numbers), str(max(row["reruns"] for row in own)), f"{slowest:.1f} s"


if __name__ == "__main__":
    raise SystemExit(main())
