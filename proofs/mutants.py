"""Mutation testing of the core: small slips are put into its code one by one, and the short tests must notice.

`python -m proofs.mutants FOLDER [COUNT] [SEED]` draws mutants by a seed and goes on where it was stopped. The engine's
formulas run without numba's compiler. Mutants that cannot change any value are listed by hand, with the reason, in
`proofs/mutants_equivalent.json`; they are counted both ways and never left out in silence.

No tool did it: mutmut passes over decorated functions, which all compiled formulas are; cosmic-ray starts a whole test
run anew for each mutant, draws no sample by a seed, and removes no statement.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from proofs import mutants_child
from proofs.mutants_count import LEAST_PERCENT, counted, equivalents, percent, reason_of, survivors
from proofs.mutants_made import Mutant
from proofs.mutants_targets import TARGETS, Target, drawn, tests_digest

ROOT = Path(__file__).resolve().parent.parent
COUNT, SEED = 400, 20261124
RESULT = ROOT / "benchmarks" / "results" / "mutants.json"

Rows = dict[str, dict[str, Any]]


def main(folder: Path, count: int = COUNT, seed: int = SEED) -> int:
    """Runs what is missing, prints table and survivors, and writes the result where everything was drawn."""
    tree = committed(folder / "tree")
    path = folder / f"seed-{seed}.jsonl"
    chosen = drawn(tree, count, seed)
    mutants_child.load_libraries()
    known, tests = read(path), {target.name: tests_digest(tree, target) for target in TARGETS}
    unchanged: set[str] = set()
    for target, mutant in chosen:
        if _is_known(tree, known.get(mutant.key), mutant, tests[target.name]):
            continue
        if target.name not in unchanged:
            _check_unchanged(tree, target)
            unchanged.add(target.name)
        known[mutant.key] = _run(tree, target, mutant, tests[target.name])
        with path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(known[mutant.key]) + "\n")
        print(_line(known[mutant.key]), flush=True)
    result = counted([known[mutant.key] for _, mutant in chosen], seed)
    if count == COUNT:
        RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result["modules"], indent=1))
    for row in survivors(result):
        print(_line(row))
    share, counting = percent(result["all"]), percent(result["all"], without_equivalent=True)
    print(f"{share} % of all noticed, {counting} % without those that can change nothing")
    return int(share < LEAST_PERCENT)


def committed(tree: Path) -> Path:
    """Returns a copy of the last commit, in which nobody works meanwhile."""
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x"], cwd=tree, check=True, input=archive)
    os.environ.setdefault("RADMILL_TEST_DATA", str(ROOT.parent / "shared" / "data"))
    return tree.resolve()


def read(path: Path) -> Rows:
    """Returns the rows of earlier runs by mutant, the last of each; a line that was cut by a kill does not count."""
    found: Rows = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row["key"]] = row
    return found


def _is_known(tree: Path, row: dict[str, Any] | None, mutant: Mutant, tests: str) -> bool:
    if row is None or row["source"] != _source_digest(tree, mutant):
        return False
    return row["end"] != mutants_child.SURVIVED or row["tests"] == tests or bool(reason_of(row, equivalents()))


def _source_digest(tree: Path, mutant: Mutant) -> str:
    return hashlib.sha256((tree / mutant.file).read_bytes()).hexdigest()


def _check_unchanged(tree: Path, target: Target) -> None:
    file = target.files[0]
    end, first, _ = mutants_child.run(tree, file, (tree / file).read_bytes(), target.tests)
    if end != mutants_child.SURVIVED:
        raise SystemExit(f"{target.name}: the tests fail without any change: {end} {first}")


def _run(tree: Path, target: Target, mutant: Mutant, tests: str) -> dict[str, Any]:
    source = (tree / mutant.file).read_bytes()
    end, first, cpu_s = mutants_child.run(tree, mutant.file, mutant.applied(source), target.tests)
    return {
        "key": mutant.key,
        "target": target.name,
        "file": mutant.file,
        "line": mutant.line,
        "text": mutant.text,
        "kind": mutant.kind,
        "before": mutant.before,
        "after": mutant.after,
        "end": end,
        "first": first,
        "cpu_s": cpu_s,
        "source": _source_digest(tree, mutant),
        "tests": tests,
    }


def _line(row: dict[str, Any]) -> str:
    change = " ".join(f"{row['before']}  ->  {row['after']}".split())
    return f"{row['end']:9} {row.get('cpu_s', 0):5.1f} s  {row['file']}:{row['line']}  {row['kind']}: {change}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
