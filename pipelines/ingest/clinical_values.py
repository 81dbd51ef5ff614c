"""Values of clinical tables: a cell's text as its declared type."""

import math
import re

from pipelines.params.data import ClinicalColumn

Value = float | int | str | bool | None

MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "."}
_BOOLEANS = {
    **dict.fromkeys(("1", "yes", "y", "true", "t", "ja", "oui", "si"), True),
    **dict.fromkeys(("0", "no", "n", "false", "f", "nein", "non"), False),
}


def typed(text: str, column: ClinicalColumn) -> tuple[Value, str]:
    """Returns a cell's value and an empty text, or none and what is wrong with it."""
    if text.casefold() in MISSING and text not in column.values:
        return None, ""
    match column.kind:
        case "number" | "integer":
            return _number(text, column)
        case "boolean":
            value = _BOOLEANS.get(canonical(text).casefold())
            return value, "" if value is not None else "is neither yes nor no"
        case "category":
            known = {canonical(value).casefold(): value for value in column.values}
            found = known.get(canonical(text).casefold())
            return found, "" if found is not None else f"is none of {', '.join(column.values)}"
        case _:
            return text, ""


def _number(text: str, column: ClinicalColumn) -> tuple[Value, str]:
    plain = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
    try:
        value = float(plain)
    except ValueError:
        return None, "is no number"
    low, high = column.minimum, column.maximum
    if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
        bounds = " and ".join([*([f"at least {low:g}"] if low is not None else []), *_at_most(high)])
        return None, f"is out of range ({bounds or 'finite'})"
    if column.kind == "integer":
        return (int(value), "") if value.is_integer() else (None, "is no whole number")
    return value, ""


def _at_most(high: float | None) -> list[str]:
    return [] if high is None else [f"at most {high:g}"]


def canonical(text: str) -> str:
    """Returns a cell as values are compared: a whole number without the `.0` that spreadsheets add."""
    stripped = text.strip()
    return stripped.split(".")[0] if re.fullmatch(r"-?\d+\.0+", stripped) else stripped
