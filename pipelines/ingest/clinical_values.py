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
_MONTHS = r"jan|feb|mar|mär|mrz|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez"
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
_NO_DATE = "no date is kept, but an age or a number of days may be told"
_DAY_AS_NUMBER = re.compile(rf"{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\.0+)?")
_DATE = re.compile(
    rf"^{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{{6}})?$"  # as DICOM writes them
    rf"|(?<!\d){_YEAR}\s*[-./]\s*{_MONTH}\s*[-./]\s*{_DAY}(?!\d)"
    rf"|(?<!\d){_DAY}\s*[-./]\s*{_DAY}\s*[-./]\s*(?:{_YEAR}|\d\d)(?!\d)"
    rf"|(?<!\d){_DAY}(?:st|nd|rd|th)?[-.\s]*(?:{_MONTHS})[a-z]*[-.,\s]+(?:{_YEAR}|\d\d)(?!\d)"
    rf"|\b(?:{_MONTHS})[a-z]*\.?\s+{_DAY}(?:st|nd|rd|th)?[,\s]+{_YEAR}(?!\d)",
    re.IGNORECASE,
)
"""A day in a patient's life, however written; a few of them identify anybody."""


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
            return (None, f"holds a date; {_NO_DATE}") if _DATE.search(text) else (text, "")


def _number(text: str, column: ClinicalColumn) -> tuple[Value, str]:
    plain = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
    try:
        value = float(plain)
    except ValueError:
        return None, "is no number"
    low, high = column.minimum, column.maximum
    if high is None and _DAY_AS_NUMBER.fullmatch(text):
        return None, f"reads as a date; {_NO_DATE}; of a number declare the maximum"
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
