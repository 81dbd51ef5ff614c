"""The page over all incoming hospitals and versions, as plain values."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipelines.reporting.hospital_files import Reader, Told, summaries_known
from pipelines.reporting.hospital_sections import STATE_TONES, state_of
from pipelines.reporting.hospital_words import ALARMS, code_words, many
from pipelines.reporting.pages import NOTHING, interval, number
from pipelines.scoring.doubt import doubt_codes
from pipelines.scoring.drift_history import read_looks
from pipelines.scoring.drift_looks import FEWEST
from pipelines.scoring.performance import read_performance
from pipelines.scoring.scores import current_scores
from registry.lifecycle import Registry

Content = dict[str, Any]


def index_content(reader: Reader, centers: Sequence[str], study: str) -> Content:
    """Returns everything that the template `hospitals.html` names."""
    versions = [row for center in centers for row in _versions(reader, center)]
    versions.sort(key=lambda row: (row["number"], row["center"]))
    for row, before in zip(versions, [None, *versions], strict=False):
        row["is_first"] = before is None or before["number"] != row["number"]
    champion = {row["center"]: row for row in versions if row["digest"] == reader.force.champion.package.digest}
    hospitals = [_hospital(reader, center, champion.get(center)) for center in centers]
    told = [_told(reader, name, one) for name, one in summaries_known(reader.deployment).items()]
    titles = {"hospitals": "Hospitals", "versions": "Versions", **({"told": "By summary"} if told else {})}
    return {
        "title": f"{study}: incoming hospitals",
        "study": study,
        "summary": _summary(hospitals, told),
        "champion": reader.force.champion,
        "hospitals": hospitals,
        "versions": versions,
        "told": told,
        "sections": [{"id": name, "title": title} for name, title in titles.items()],
    }


def _hospital(reader: Reader, center: str, own: Mapping[str, Any] | None) -> Content:
    told: Told = reader.told(center)
    state = state_of(told)
    is_here = (reader.deployment.workspace.incoming / center).is_dir()
    return {
        "center": center,
        "page": f"{center}.html",
        "note": "" if is_here else "no longer in incoming",
        "state": state,
        "tone": STATE_TONES[state],
        "scored": own["scored"] if own else 0,
        "positive": own["positive"] if own else 0,
        "doubt": own["doubt"] if own else 0,
        "waiting": told.waiting,
        "refused": sum(told.refused.values()),
        "drift": own["drift"] if own else NOTHING,
        "auc": own["auc"] if own else NOTHING,
        "alarms": _rings(told),
    }


def _rings(told: Told) -> str:
    words = ["cannot be read"] if told.problem else []
    words += [ALARMS.get(code, (code_words(code), ""))[0] for code, _ in told.alarms]
    return "; ".join(words) or NOTHING


def _versions(reader: Reader, center: str) -> list[Content]:
    """Returns a row for each version that has scored cases of a hospital."""
    in_force = {own.package.digest: own for own in (reader.force.champion, *reader.force.shadow)}
    found = []
    for digest, rows in current_scores(reader.history(center)).groupby("package", sort=True):
        own, last = in_force.get(str(digest)), rows.iloc[-1]
        if own is not None:
            n_doubt = sum(map(bool, doubt_codes(rows, own.package, reader.scoring.doubt.alpha)))
        else:
            n_doubt = int((rows["doubts"] != "").sum())
        found.append(
            {
                "digest": str(digest),
                "number": int(last["version"]),
                "version": f"{int(last['version'])} ({last['model']})",
                "role": own.role if own else "not in force",
                "center": center,
                "scored": len(rows),
                "positive": int(rows["positive"].sum()),
                "mean": float(rows["probability"].mean()),
                "doubt": n_doubt,
                "drift": _drift(reader, center, str(digest), len(rows)),
                "auc": _area(read_performance(reader.deployment.performance, center, str(digest))),
            }
        )
    return found


def _drift(reader: Reader, center: str, digest: str, n: int) -> str:
    looks = read_looks(reader.deployment.drift, center, digest)
    if looks.empty:
        return f"too few to tell ({n} of {FEWEST})" if n < FEWEST else "not looked at"
    rang = looks[looks["rings"].astype(bool)]
    return f"seen at {int(rang['n'].min())} cases" if len(rang) else f"none seen at {int(looks['n'].max())} cases"


def _area(known: Mapping[str, Any] | None) -> str:
    metrics = (known or {}).get("metrics")
    if metrics and metrics.get("auc") is not None:
        return f"{number(metrics['auc'], 2)} ({interval(metrics, 'auc')}), n = {known['n'] if known else 0}"
    expected = (known or {}).get("expected") or {}
    if expected.get("auc") is not None:
        return f"expected {number(expected['auc'], 2)} ({interval(expected, 'auc')})"
    return NOTHING


def _told(reader: Reader, center: str, one: Mapping[str, Any]) -> Content:
    versions = Registry(reader.deployment.workspace.root).state().versions
    version = versions.get(one["package"])
    figures, looks = one["performance"], pd.DataFrame(one["drift"])
    drift = "no look yet"
    if len(looks):
        drift = f"{'seen' if looks['rings'].any() else 'none seen'} at {looks['n'].max()} cases"
    return {
        "center": center,
        "version": f"{version.number} ({version.model})" if version else one["package"][:12],
        "scored": _count(one["scored"]),
        "positive": _count(one["positive"]),
        "refused": ", ".join(f"{code_words(code)} {_count(n)}" for code, n in one["refused"].items()) or NOTHING,
        "drift": drift,
        "labelled": _count(one["labelled"]),
        "auc": f"{number(figures['auc'], 2)} ({interval(figures, 'auc')})" if figures.get("auc") else NOTHING,
    }


def _count(n: int | None) -> str:
    return "not told" if n is None else f"{n:,}"


def _summary(hospitals: Sequence[Content], told: Sequence[Content]) -> str:
    if not hospitals and not told:
        return "No hospital has sent anything yet."
    look = sum(row["state"] == "look here" for row in hospitals)
    scored = sum(row["scored"] for row in hospitals)
    asks = f"{look} ask to be looked at" if look > 1 else "one asks to be looked at" if look else "none rings"
    beside = f"; {many(len(told), 'more hospital')} known by a summary" if told else ""
    return f"{many(len(hospitals), 'hospital')}, {many(scored, 'case')} scored; {asks}{beside}."
