"""The clinical model's odds ratios, alone and beside each other."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.reporting.study_files import StudyFiles

Content = dict[str, Any]


def clinical_content(files: StudyFiles) -> Content:
    """Returns the odds ratios of each clinical model, univariable and multivariable in one row a predictor."""
    rows = files.tables["odds_ratios"].fillna("").to_dict("records")
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    if not models:
        return {}
    return {"models": [{"name": name, "rows": _merged([r for r in rows if r["model"] == name])} for name in models]}


def _merged(rows: Sequence[Mapping[Any, Any]]) -> list[Content]:
    merged: dict[tuple[str, str], Content] = {}
    for row in rows:
        key = (str(row["predictor"]), str(row["level"]))
        blank = {"predictor": predictor_words(row), "univariable": {}, "multivariable": {}, "is_independent": False}
        known = merged.setdefault(key, blank)
        if row["analysis"] in known:
            known[row["analysis"]] = {**row, "odds_low": row["low"], "odds_high": row["high"]}
        known["is_independent"] = known["is_independent"] or str(row["independent"]) == "True"
    return list(merged.values())


def predictor_words(row: Mapping[Any, Any]) -> str:
    """Returns a predictor's name, for a category with its value and what it is compared with."""
    name = str(row["predictor"]).replace("_", " ")
    if not str(row["level"] or ""):
        return name
    return f"{name}: {row['level']} against {row['reference']}" if row["reference"] else f"{name}: {row['level']}"
