"""`make prove-mutants` in short: slips are made as they should, a good test notices one, and the page is up to date."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from proofs import mutants_page
from proofs.mutants_count import LEAST_PERCENT, counted, equivalents, percent, survivors
from proofs.mutants_made import Mutant, mutants_of
from proofs.mutants_targets import TARGETS, drawn
from tests.conftest import ROOT

CODE = '''
"""A module: 1 + 1."""
LIMIT: "Literal[3]" = 3

@decorated(cache=True)
def function(a, b=2.5):
    """Adds 1."""
    if not a < b:
        raise ValueError(f"{a + b} and {LIMIT}")
    for n in range(a, LIMIT):
        b -= n
    return min(a, b), other(b, a)
'''


def made(tmp_path: Path, code: str = CODE) -> list[Mutant]:
    (tmp_path / "module.py").write_text(code, encoding="utf-8")
    return mutants_of(tmp_path, "module.py")


def test_slips_are_those_a_person_makes_and_spare_words_and_decorators(tmp_path: Path) -> None:
    """Messages, annotations, documentation and decorators decide no value."""
    slips = {(mutant.line, mutant.before, mutant.after) for mutant in made(tmp_path)}
    assert slips == {
        *{(3, "3", "(4)"), (3, "3", "(2)"), (6, "2.5", "(3.5)")},
        *{(8, "not a < b", "(a < b)"), (8, "a < b", "(a <= b)"), (8, "a < b", "(a >= b)")},
        *{(9, 'raise ValueError(f"{a + b} and {LIMIT}")', "pass"), (10, "range(a, LIMIT)", "(range(LIMIT, a))")},
        *{(11, "b -= n", "b += n"), (11, "b -= n", "pass")},
        *{(12, "return min(a, b), other(b, a)", "return ((other(b, a), min(a, b)))")},
        *{(12, "min(a, b)", "(max(a, b))"), (12, "other(b, a)", "(other(a, b))")},
    }


def test_each_slip_changes_one_place_and_leaves_code_that_can_be_read(tmp_path: Path) -> None:
    for mutant in made(tmp_path, CODE.replace("Adds", "Zählt ± dazu")):
        changed = mutant.applied((tmp_path / "module.py").read_bytes())
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(CODE))


def test_a_seed_always_draws_the_same_and_every_module_has_its_share() -> None:
    first, again, other = (drawn(ROOT, 400, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) <= 400
    assert {mutant.file for _, mutant in first} == {file for target in TARGETS for file in target.files}


def test_a_slip_in_the_folds_is_noticed_and_no_slip_is_not() -> None:
    """The process that tests a mutant sees the changed text, and nothing else makes its tests fail."""
    file, tests = "pipelines/training/splits.py", "tests/unit/test_training_splits.py"
    program = f"""
from pathlib import Path
from proofs import mutants_child
mutants_child.load_libraries()
text = Path({file!r}).read_bytes()
for changed in (text, text.replace(b"% folds", b"// folds")):
    print(*mutants_child.run(Path.cwd(), {file!r}, changed, ({tests!r},))[:2])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    unchanged, slipped = done.stdout.splitlines()
    assert unchanged.split() == ["survived"]
    assert slipped.startswith(f"noticed {tests}::")


def test_those_that_can_change_nothing_are_counted_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"target": "splits", "file": "a/splits.py", "line": 1, "text": "x = 1", "kind": "constant", "cpu_s": 1.0}
    ends = [("1", "(2)", "survived"), ("1", "(0)", "survived"), ("x", "y", "noticed"), ("x", "z", "too long")]
    rows = [{**row, "before": before, "after": after, "end": end} for before, after, end in ends]
    listed = [{"file": "a/splits.py", "text": "x = 1", "before": "1", "after": "(2)", "reason": "never read"}]
    monkeypatch.setattr("proofs.mutants_count.equivalents", lambda: listed)
    result = counted(rows, 1)
    assert result["all"] == {"mutants": 4, "noticed": 2, "equivalent": 1, "survived": 1}
    assert (percent(result["all"]), percent(result["all"], without_equivalent=True)) == (50.0, 66.7)
    assert [row["after"] for row in survivors(result)] == ["(0)"]


def test_every_listed_mutant_still_exists_and_has_a_reason() -> None:
    """A reason for code that has changed since would excuse what nobody has read."""
    known = {
        (mutant.file, mutant.text, mutant.before, mutant.after)
        for target in TARGETS
        for file in target.files
        for mutant in mutants_of(ROOT, file)
    }
    for entry in equivalents():
        assert (entry["file"], entry["text"], entry["before"], entry["after"]) in known, entry
        assert len(entry["reason"]) > 20, entry


def test_the_recorded_run_meets_the_limit_and_the_page_tells_it() -> None:
    result = json.loads(mutants_page.RESULT.read_text(encoding="utf-8"))
    assert percent(result["all"]) >= LEAST_PERCENT
    page = mutants_page.PAGE.read_text(encoding="utf-8")
    assert mutants_page.replaced(page, "mutants", mutants_page.mutant_lines()) == page
