"""Writes the tables of `docs/reference/testing.md` from the Makefile and the results of the mutants.

`python -m proofs.mutants_page`
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proofs.mutants_count import percent, survivors
from proofs.mutants_targets import LEFT_OUT, TARGETS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "testing.md"
RESULT = ROOT / "benchmarks" / "results" / "mutants.json"

Result = Mapping[str, Any]


def main() -> None:
    """Writes the tables."""
    text = PAGE.read_text(encoding="utf-8")
    for name, lines in (("proofs", proof_lines()), ("mutants", mutant_lines())):
        text = replaced(text, name, lines)
    PAGE.write_text(text, encoding="utf-8")


def replaced(text: str, name: str, lines: list[str]) -> str:
    """Returns the page with what stands between a pair of marks replaced."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = text.split(begin)
    return "\n".join([before + begin, "", *lines, "", end + rest.split(end)[1]])


def proof_lines() -> list[str]:
    """Returns the table of proofs: the Makefile's targets with their own words."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.findall(r"^(prove-[a-z-]+):.*?## (.*)$", makefile, re.MULTILINE)
    return ["| target | what it does |", "|---|---|", *(f"| `make {name}` | {words} |" for name, words in found)]


def mutant_lines() -> list[str]:
    """Returns the figures, the table by module, and the survivors."""
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    found = result["all"]
    return [
        f"Of {found['mutants']} mutants (seed {result['seed']}), {found['noticed']} were noticed: "
        f"**{percent(found)} %**. {found['equivalent']} can change nothing; without them it is "
        f"**{percent(found, without_equivalent=True)} %**. A mutant took {result['cpu_s']['mean']} s of one core on "
        "average.",
        "",
        "| module | mutants | noticed | can change nothing | survived | of all | of those that count |",
        "|---|---|---|---|---|---|---|",
        *(_row(name, result["modules"][name]) for name in _in_order(result)),
        _row("**all**", found),
        "",
        "Left out of the engine, because they hold no formulas or have no body without a compiler:",
        "",
        *(f"- `{names}`: {reason}." for names, reason in LEFT_OUT.items()),
        "",
        *_survivor_lines(result),
        "### Those that can change nothing",
        "",
        "| line | slip | why |",
        "|---|---|---|",
        *(_told(row) for row in result["survivors"] if row["equivalent"]),
    ]


def _in_order(result: Result) -> list[str]:
    places = [f"{target.name}: {Path(file).stem}" for target in TARGETS for file in target.files]
    return [name for name in places if name in result["modules"]]


def _row(name: str, found: Mapping[str, int]) -> str:
    cells = [found[key] for key in ("mutants", "noticed", "equivalent", "survived")]
    shares = [f"{percent(found)} %", f"{percent(found, without_equivalent=True)} %"]
    return "| " + " | ".join(map(str, [name, *cells, *shares])) + " |"


def _survivor_lines(result: Result) -> list[str]:
    left = survivors(result)
    if not left:
        return []
    rows = [f"| `{Path(row['file']).name}:{row['line']}` | {_slip(row)} |" for row in left]
    return ["### Survivors", "", "| line | slip |", "|---|---|", *rows, ""]


def _told(row: Mapping[str, Any]) -> str:
    return f"| `{Path(row['file']).name}:{row['line']}` | {_slip(row)} | {row['equivalent']} |"


def _slip(row: Mapping[str, Any]) -> str:
    parts = (" ".join(str(row[name]).split()).replace("|", "\\|") for name in ("text", "before", "after"))
    text, before, after = parts
    return f"`{text}`: `{before}` → `{after}`"


if __name__ == "__main__":
    main()
