"""Sends bad inputs of every kind down the real roads and counts how they end.

`python -m proofs.fuzz FOLDER [COUNT] [SEED]` goes on where it was stopped. Each input must end as a row of `qc` with
code and remedy, or as exit 2 with a remedy; a patient beside a bad one must be read as if he were alone; and what is
read must be what an independent reader sees: GDCM, nibabel or pynrrd.
"""

import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from proofs.fuzz_child import KINDS, groups_of, kind_of
from proofs.fuzz_named import named, store
from proofs.fuzz_roads import CRASH, FAULTS, HANG
from tests.ct_settings import ROOT

COUNT, SEED, CHUNK = 2750, 20240501, 300
STILL_S = 300.0
"""A child that has ended no group for so long hangs where no alarm reaches."""

Rows = dict[int, dict[str, Any]]


def main(folder: Path, count: int = COUNT, seed: int = SEED) -> Rows:
    """Runs what is missing, prints the counts, and returns all results."""
    folder = folder / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    alone: set[int] = set()
    while missing := [n for n in range(count) if n not in results(folder)]:
        groups, began = groups_of(missing[:CHUNK], alone), time.monotonic()
        blamed = _child(folder, seed, groups)
        with (folder / "seconds").open("a", encoding="ascii") as handle:
            handle.write(f"{time.monotonic() - began:.1f}\n")
        if blamed is not None:
            _blame(folder, *blamed, alone)
    rows = {n: row for n, row in results(folder).items() if n < count}
    print(summary(rows))
    return rows


def seconds(folder: Path, seed: int = SEED) -> float:
    """Returns how long the inputs took, over all times that the fuzzer was started."""
    path = folder / f"seed-{seed}" / "seconds"
    return sum(float(line) for line in path.read_text(encoding="ascii").split()) if path.is_file() else 0.0


def results(folder: Path) -> Rows:
    """Returns what is known of each input; a line that was cut by a kill does not count."""
    path = folder / "results.jsonl"
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[int(row["n"])] = row
    return found


def faults(rows: Rows) -> list[str]:
    """Returns a line for each fault."""
    return [f"{n} {r['kind']} ({r['what']}): {fault}" for n, r in sorted(rows.items()) for fault in r["faults"]]


def summary(rows: Rows) -> str:
    """Returns the counts by kind, and what went wrong."""
    lines = [f"{'kind':<28}{' inputs  refused  exit 2  read  equal  no other reader  faults'}"]
    for kind, n in counts(rows).items():
        lines.append(
            f"{kind:<28}{n['inputs']:>7}{n['refused']:>9}{n['exit 2']:>8}{n['read']:>6}{n['equal']:>7}"
            f"{n['no other reader']:>17}{n['faults']:>8}"
        )
    found = Counter(fault.split(": ", 1)[0] for row in rows.values() for fault in dict.fromkeys(row["faults"]))
    lines.append(", ".join(f"{name}: {found[name]}" for name in FAULTS))
    return "\n".join([*lines, *faults(rows)[:200]])


def counts(rows: Rows) -> dict[str, dict[str, int]]:
    """Returns how inputs ended by kind, and in all; `equal` to other readers in everything that was read of them."""
    by_kind = defaultdict(list)
    for row in rows.values():
        by_kind[row["kind"]].append(row)
        by_kind["all"].append(row)
    found = {}
    for kind in [kind for kind in (*KINDS, "bombs", "all") if kind in by_kind]:
        own = by_kind[kind]
        read = [row for row in own if row["ending"] == "read"]
        exits = sum(row["ending"].startswith("exit 2") for row in own)
        told = Counter(verdict(row) for row in read)
        found[kind] = {
            "inputs": len(own), "refused": len(own) - len(read) - exits, "exit 2": exits, "read": len(read),
            "equal": told["equal"], "no other reader": told["no other reader"],
            "faults": sum(bool(row["faults"]) for row in own),
        }  # fmt: skip
    return found


def verdict(row: dict[str, Any]) -> str:
    """Returns what other readers say of all that was read of an input: the worst of `equal` and its opposites."""
    told = [text.partition(":")[0] for text in row["compared"].values()] or ["no other reader"]
    return min(told, key=("different", "no other reader", "equal").index)


def _child(folder: Path, seed: int, groups: list[list[int]]) -> tuple[list[int], str] | None:
    """Runs a child; returns whom to blame, and for what, if it did not come to its end."""
    todo = folder / "todo.json"
    todo.write_text(json.dumps({"seed": seed, "groups": groups}), encoding="utf-8")
    current = folder / "current.json"
    current.write_text("[]", encoding="utf-8")
    command = [sys.executable, "-m", "proofs.fuzz_child", str(folder), str(todo)]
    with (folder / "child.log").open("ab") as log:
        child = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        while child.poll() is None:
            time.sleep(0.2)
            if time.time() - current.stat().st_mtime > STILL_S:
                child.kill()
                child.wait()
                return json.loads(current.read_text(encoding="utf-8")), f"{HANG}: no alarm reaches it"
    if child.returncode == 0:
        return None
    group = json.loads(current.read_text(encoding="utf-8"))
    if child.returncode > 0 and not group:
        raise SystemExit(f"the child does not start: see {folder / 'child.log'}")
    return group, f"{CRASH}: the process ended with {child.returncode}"


def _blame(folder: Path, group: list[int], fault: str, alone: set[int]) -> None:
    """Sends the members of a group again one by one, or notes the fault of a single one."""
    if len(group) > 1:
        alone.update(group)
        return
    line = {"n": group[0], "kind": kind_of(group[0]), "what": "", "ending": "", "compared": {}, "faults": [fault]}
    with (folder / "results.jsonl").open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else "build/proofs/fuzz").resolve()
    asked = [int(argument) for argument in sys.argv[2:]]
    ended = main(place, *asked)
    lacking = [name for name, n in named(ended).items() if n == 0]
    print(f"kinds that must be there and are not: {', '.join(lacking) or 'none'}")
    if not asked:
        store(ended, SEED, counts(ended), seconds(place))
    raise SystemExit(1 if faults(ended) else 0)
