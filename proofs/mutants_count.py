"""What the mutants came to: by module, with and without those that can change nothing, and the page's table."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proofs.mutants_child import SURVIVED

EQUIVALENT = Path(__file__).with_name("mutants_equivalent.json")
LEAST_PERCENT = 85.0
Row = Mapping[str, Any]


def equivalents() -> list[dict[str, str]]:
    """Returns the mutants that a person has read and found to change nothing: file, text, before, after, reason."""
    found: list[dict[str, str]] = json.loads(EQUIVALENT.read_text(encoding="utf-8"))
    return found


def reason_of(row: Row, listed: list[dict[str, str]]) -> str:
    """Returns why a mutant can change nothing, or nothing."""
    for entry in listed:
        if all(entry[name] == row[name] for name in ("file", "text", "before", "after")):
            return entry["reason"]
    return ""


def counted(rows: list[Row], seed: int) -> dict[str, Any]:
    """Returns the result as JSON types."""
    listed = equivalents()
    modules: dict[str, Counter[str]] = {}
    for row in rows:
        module = modules.setdefault(f"{row['target']}: {Path(row['file']).stem}", Counter())
        module["mutants"] += 1
        module[_place(row, listed)] += 1
    left = [_told(row, listed) for row in rows if row["end"] == SURVIVED]
    return {
        "seed": seed,
        "all": _plain(sum(modules.values(), Counter())),
        "modules": {name: _plain(found) for name, found in modules.items()},
        "kinds": dict(sorted(Counter(row["kind"] for row in rows).items())),
        "ends": dict(sorted(Counter(row["end"] for row in rows).items())),
        "cpu_s": {
            "mean": round(sum(row["cpu_s"] for row in rows) / len(rows), 2),
            "largest": max(row["cpu_s"] for row in rows),
        },
        "survivors": sorted(left, key=lambda row: (row["file"], row["line"], row["before"], row["after"])),
    }


def _place(row: Row, listed: list[dict[str, str]]) -> str:
    if row["end"] != SURVIVED:
        return "noticed"
    return "equivalent" if reason_of(row, listed) else "survived"


def _told(row: Row, listed: list[dict[str, str]]) -> dict[str, Any]:
    kept = {name: row[name] for name in ("file", "line", "text", "kind", "before", "after", "end")}
    return {**kept, "equivalent": reason_of(row, listed)}


def _plain(found: Counter[str]) -> dict[str, int]:
    return {name: found[name] for name in ("mutants", "noticed", "equivalent", "survived")}


def percent(found: Mapping[str, int], *, without_equivalent: bool = False) -> float:
    """Returns the share of mutants that was noticed."""
    counting = found["mutants"] - (found["equivalent"] if without_equivalent else 0)
    return round(100 * found["noticed"] / counting, 1) if counting else 100.0


def survivors(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the survivors for which there is no reason yet."""
    return [row for row in result["survivors"] if not row["equivalent"]]
