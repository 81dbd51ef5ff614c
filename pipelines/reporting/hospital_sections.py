"""The sections of a hospital's page as plain values: one function a section."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipelines.evaluation.estimates import wilson
from pipelines.reporting.drawings import inline
from pipelines.reporting.flow import causes, flow_rows
from pipelines.reporting.forest_figures import ForestRow, forest_figure
from pipelines.reporting.hospital_figures import (
    DEVELOPMENT,
    HERE,
    area_drawings,
    drift_drawings,
    performance_drawings,
    runs_drawings,
    score_drawings,
)
from pipelines.reporting.hospital_files import HospitalFiles, Told
from pipelines.reporting.hospital_runs import MOST
from pipelines.reporting.hospital_words import ALARMS, FAMILY_WORDS, REMEDIES, SERIOUS, SET_WORDS, code_words, many
from pipelines.reporting.model_figures import Drawing
from pipelines.scoring.conformal import held_classes
from pipelines.scoring.doubt import WORDS, standing
from pipelines.scoring.inbox import INCOMPLETE
from pipelines.scoring.performance import CONFIDENCE
from pipelines.scoring.scorer import UNHARMONIZED
from pipelines.scoring.shadow import shadow_comparison
from registry.reference import reference_of

Content = dict[str, Any]

ROWS = 50
"""So many scores stand on the page; all are in the table beside it."""

MOVED = 30
FINE, LOOK, WAIT, PARTLY = "fine", "look here", "nothing scored yet", "fine, some refused"
STATE_TONES = {FINE: "good", LOOK: "bad", WAIT: "muted", PARTLY: "warn"}


def state_of(told: Told) -> str:
    """Returns a hospital's state in a few words: `look here` where something rings or nothing could be read."""
    if told.problem or told.alarms or (told.refused and not told.scored):
        return LOOK
    if told.refused:
        return PARTLY
    return FINE if told.scored else WAIT


def headline(files: HospitalFiles) -> Content:
    """Returns the state, the numbers of it, and what a person should do."""
    told, state = files.told, state_of(files.told)
    notices = [_notice(code, message) for code, message in told.alarms]
    if told.problem:
        title = "The hospital's files could not be read"
        notices.insert(0, {"level": "serious", "title": title, "text": f"{told.problem}. The scores before stay."})
    notices.sort(key=lambda one: one["level"] != "serious")
    n_refused, n_doubt = sum(told.refused.values()), sum(map(bool, files.codes))
    n = len(files.scores)
    positive = int(files.scores["positive"].sum())
    stats = [
        _stat("Scored", n, f"{positive:,} positive", HERE),
        _stat("In doubt", n_doubt, f"of {many(n, 'score')}", "warn"),
        _stat("Waiting", told.waiting, "not complete yet", "warn"),
        _stat("Refused", n_refused, "see cohort flow", "bad"),
    ]
    told_so = {"notices": notices, "stats": stats, "sentence": _sentence(files)}
    return {"state": state, "tone": STATE_TONES[state], **told_so}


def flow_content(files: HospitalFiles) -> Content:
    """Returns the way from what was sent to scores, and what is wrong with the cases that have none."""
    rows = flow_rows(files.qc)
    by_step: dict[str, list[Any]] = {}
    for row in rows:
        by_step.setdefault(row.step, []).append(row)
    sent, used = (by_step[step][0].total if step in by_step else None for step in ("sent", "used"))
    n = len(files.scores)
    p_positive = int(files.scores["positive"].sum())
    return {
        "sent": sent,
        "used": used,
        "excluded": by_step.get("excluded", []),
        "stopped": [*by_step.get("refused", []), *by_step.get("failed", [])],
        "waiting": files.told.waiting,
        "unscored": max(used.patients - n, 0) if used else 0,
        "n": n,
        "refused": [{"words": code_words(code), "n": count} for code, count in sorted(files.told.refused.items())],
        "ends": [
            {"words": "Positive", "n": p_positive, "tone": "positive"},
            {"words": "Negative", "n": n - p_positive, "tone": "negative"},
            {"words": "In doubt, of both", "n": sum(map(bool, files.codes)), "tone": "warn"},
        ],
        "causes": causes(files.qc),
        "lacks": _lacking(files),
    }


def score_content(files: HospitalFiles) -> Content:
    """Returns figures of scores and the table's first rows, the highest first; withheld ones last."""
    told = files.seen.assign(codes=pd.Series([list(own) for own in files.codes], index=files.seen.index, dtype=object))
    told["order"] = pd.to_numeric(told["probability"]).fillna(-1.0)
    first = told.sort_values(["order", "case_id"], ascending=[False, True]).head(ROWS)
    return {
        "n": len(told),
        "shown": len(first),
        "rows": [_row(row) for row in first.to_dict("records")],
        "has_doubt": files.scoring.doubt.policy != "score",
        "withholds": files.scoring.doubt.policy == "withhold",
        "drawings": inline([*score_drawings(files), *_prevalence(files)]),
        "prevalence": files.drift.prevalence.to_dict("records"),
    }


def drift_content(files: HospitalFiles) -> Content:
    """Returns what the looks found, what moved most, and how images were acquired."""
    drift = files.drift
    looks = [row | {"words": FAMILY_WORDS.get(str(row["family"]), row["family"])} for row in _records(drift.looks)]
    moved = drift.moved[drift.moved["moved"].astype(bool)] if len(drift.moved) else drift.moved
    acquired = drift.acquisition
    return {
        "state": drift.state,
        "message": drift.message,
        "n": drift.n,
        "next": drift.next_look,
        "looks": looks,
        "moved": [row | {"words": FAMILY_WORDS.get(str(row["family"]), "")} for row in _records(moved.head(MOVED))],
        "n_moved": len(moved),
        "shift": dict(drift.shift),
        "groups": _groups(drift.groups),
        "drawings": inline(drift_drawings(files)),
        "acquisition": [row for row in _records(acquired) if row["development"] != "not told" or row["n"]],
    }


def doubt_content(files: HospitalFiles) -> Content:
    """Returns how often each code was given, what it means and what to do, and how the prediction sets fall."""
    counted = Counter(code for own in files.codes for code in own)
    sets: Mapping[str, int] = {}
    if "prediction_set" in files.seen:
        sets = {SET_WORDS.get(str(k), str(k)): int(n) for k, n in files.seen["prediction_set"].value_counts().items()}
    rows = [
        {"code": code, "n": n, "words": WORDS.get(code, code_words(code)), "remedy": REMEDIES.get(code, "")}
        for code, n in sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    ]
    doubt = files.scoring.doubt
    return {
        "rows": rows,
        "n": len(files.scores),
        "sets": sorted(sets.items(), key=lambda one: (-one[1], one[0])),
        "coverage": _coverage(files),
        "standing": standing(files.champion.package, doubt.alpha, files.adapter),
        "policy": doubt.policy,
        "remembers": reference_of(files.champion.package) is not None,
        "alpha": f"{doubt.alpha:g}",
        "promise": f"{100 * (1 - doubt.alpha):g}",
    }


def _coverage(files: HospitalFiles) -> list[Content]:
    """Returns by class how often the sets of labelled cases held it, beside what they promise; nothing without sets."""
    if "prediction_set" not in files.seen:
        return []
    alpha, used = files.scoring.doubt.alpha, files.adapter.cases if files.adapter else ()
    rows = []
    for label, (kept, n) in held_classes(files.seen, files.labels, used).items():
        if n:
            share = wilson(kept, n, CONFIDENCE)
            is_short = share.high is not None and share.high < 1 - alpha
            rows.append({"words": ("negative", "positive")[label], "kept": kept, "n": n, "is_short": is_short}
                        | {"share": share.value, "low": share.low, "high": share.high})  # fmt: skip
    return rows


def performance_content(files: HospitalFiles) -> Content:
    """Returns what is known of performance: with labels as measured, without as estimated, each said to be so."""
    known = files.performance or {}
    metrics, expected = known.get("metrics") or {}, known.get("expected") or {}
    return {
        "known": bool(metrics),
        "n": known.get("n", 0),
        "events": known.get("events", 0),
        "too_few": known.get("too_few", ""),
        "left_out": [{"words": code_words(why), "n": n} for why, n in (known.get("left_out") or {}).items()],
        "metrics": metrics,
        "internal": known.get("internal") or {},
        "difference": known.get("difference"),
        "expected": expected,
        "rows": _measures(metrics, known.get("internal") or {}),
        "points": [{"name": code_words(name), **one} for name, one in (metrics.get("at") or {}).items()],
        "drawings": inline(performance_drawings(files)),
        "over_time": inline(area_drawings(known)),
    }


def shadow_content(files: HospitalFiles) -> list[Content]:
    """Returns how the versions in the champion's shadow compare with it here."""
    labels = files.labels.assign(center=files.center).set_index(["center", "case_id"])["label"]
    found = []
    for own in files.force.shadow:
        beside = shadow_comparison(files.history, files.champion.package.digest, own.package.digest, labels)
        who = f"version {own.version.number} ({own.version.model})"
        cells = {"both": beside.both, "champion_only": beside.champion_only, "challenger_only": beside.challenger_only}
        found.append({"role": own.role, "who": who, "cells": cells, "n": beside.n, "row": beside.plain()})
    return found


def history_content(files: HospitalFiles) -> Content:
    """Returns the latest runs that changed something, the newest first, and a figure of all of them."""
    return {
        "rows": list(reversed(files.steps[-MOST:])),
        "n": len(files.steps),
        "drawings": inline(runs_drawings(files.steps)),
    }


def _notice(code: str, message: str) -> Content:
    title, extra = ALARMS.get(code, (code_words(code), ""))
    text = message[:1].upper() + message[1:]
    level = "serious" if code in SERIOUS else "notable"
    return {"level": level, "title": title, "text": f"{text.rstrip('.')}. {extra}".rstrip()}


def _sentence(files: HospitalFiles) -> str:
    told = files.told
    parts = []
    if not files.is_here:
        parts.append("Its folder is no longer in incoming/; what was scored stays here.")
    if not len(files.scores):
        parts.append("No case has a score yet.")
    elif not told.alarms and not told.problem:
        parts.append("Nothing rings.")
    if told.waiting:
        parts.append(f"{many(told.waiting, 'case')} will be scored by a run after the rest has come.")
    if told.refused:
        parts.append(f"Refused: {', '.join(f'{code_words(c)} {n}' for c, n in sorted(told.refused.items()))}.")
    return " ".join(parts)


def _stat(words: str, n: int, note: str, tone: str) -> Content:
    return {"words": words, "value": f"{n:,}", "note": note, "tone": tone if n else "faint"}


def _lacking(files: HospitalFiles) -> list[Content]:
    scored = set(files.scores["case_id"])
    rows = files.lacks[~files.lacks["case_id"].isin(scored)]
    return [
        {**row, "words": INCOMPLETE.get(str(row["code"]), code_words(str(row["code"])))}
        for row in _records(rows.head(ROWS))
    ]


def _row(row: Mapping[Any, Any]) -> Content:
    p = None if pd.isna(row["probability"]) else float(row["probability"])
    is_positive = None if pd.isna(row["positive"]) else bool(row["positive"])
    doubts = [WORDS.get(code, code) for code in row["codes"]]
    if str(row["inputs"]).startswith(UNHARMONIZED):
        doubts.append("given before the hospital's shift was known: a later run replaces it")
    return {
        "case_id": row["case_id"],
        "p": p,
        "positive": is_positive,
        "doubts": doubts,
        "set": SET_WORDS.get(str(row.get("prediction_set", "")), str(row.get("prediction_set", ""))),
        "sequence": int(row["sequence"]),
    }


def _prevalence(files: HospitalFiles) -> list[Drawing]:
    words = {"development": ("Development, held out", DEVELOPMENT), "hospital": (files.center, HERE)}
    told = [row for row in files.drift.prevalence.to_dict("records") if row["n"]]
    if not told or not len(files.scores):
        return []
    rows = [
        ForestRow(
            label=f"{words[row['source']][0]} ({row['positive']}/{row['n']})",
            value=100 * row["share"], low=100 * row["low"], high=100 * row["high"], tone=words[row["source"]][1],
        )
        for row in told
    ]  # fmt: skip
    reference = float(rows[0].value or 0)
    figure = forest_figure(rows, "Share at or above the threshold (%)", reference, (0, 100))
    dashed = "; dashed: development's share" if told[0]["source"] == "development" else ""
    caption = f"How many the model calls positive, with Wilson's interval{dashed}."
    return [Drawing(name="prevalence", title="Positive scores", caption=caption, figure=figure)]


def _groups(groups: pd.DataFrame) -> list[Content]:
    own = groups[groups["kind"] != "all"] if len(groups) else groups
    own = own[own["moved"] > 0].sort_values(["kind", "moved"], ascending=[True, False]) if len(own) else own
    return _records(own.head(12))


def _records(rows: pd.DataFrame) -> list[Content]:
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]


def _measures(here: Mapping[str, Any], inside: Mapping[str, Any]) -> list[Content]:
    names = {
        "auc": ("AUC", 3),
        "brier": ("Brier score", 3),
        "calibration_slope": ("Calibration slope", 2),
        "calibration_intercept": ("Calibration intercept", 2),
        "observed_expected": ("Observed : expected", 2),
    }
    return [
        {"name": name, "words": words, "digits": digits, "here": here, "inside": inside}
        for name, (words, digits) in names.items()
    ]
