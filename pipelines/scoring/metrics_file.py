"""The last run in numbers, as Prometheus reads them: a file for node_exporter's textfile collector."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from featurestore.visible import visible
from pipelines.scoring.runs import RunRecord

Sample = tuple[Mapping[str, object], float]

METRICS = {
    "last_run_timestamp_seconds": "When the last run ended.",
    "last_success_timestamp_seconds": "When a run last scored all that could be scored.",
    "last_run_duration_seconds": "How long the last run took.",
    "last_run_exit_code": "0 done, 1 some cases refused, 2 wrong input, 3 a fault.",
    "version_info": "The versions that score; the value is always 1.",
    "cases": "Cases of the last run by what became of them: scored now, scored before, waiting, refused.",
    "refused_cases": "Cases that could not be scored, by reason.",
    "positive_cases": "Cases whose current score is at or above the threshold.",
    "center_problem": "1 when the hospital as a whole could not be read.",
    "center_duration_seconds": "How long the hospital took in the last run.",
    "alarms": "What a person should look at, by kind.",
}


def exposition(study: str, runs: Sequence[RunRecord]) -> str:
    """Returns the metrics of the last of some runs in the text format of Prometheus.

    Source: Prometheus, Exposition formats, text-based format 0.0.4.
    """
    last = runs[-1]
    samples = {name: list(_samples(name, last, runs)) for name in METRICS}
    lines: list[str] = []
    for name, found in samples.items():
        if found:
            lines += [f"# HELP radmill_score_{name} {METRICS[name]}", f"# TYPE radmill_score_{name} gauge"]
            lines += [f"radmill_score_{name}{_labels({'study': study, **own})} {value:.15g}" for own, value in found]
    return "\n".join(lines) + "\n"


def write_metrics(path: Path, text: str) -> None:
    """Writes the file whole or not at all, under a name in between that the collector does not read.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _samples(name: str, last: RunRecord, runs: Sequence[RunRecord]) -> Iterator[Sample]:
    match name:
        case "last_run_timestamp_seconds":
            yield {}, _seconds(last.end or last.start)
        case "last_success_timestamp_seconds":
            yield from (({}, _seconds(run.end)) for run in [r for r in runs if r.is_success][-1:])
        case "last_run_duration_seconds":
            yield {}, last.duration_s
        case "last_run_exit_code":
            yield {}, last.exit_code
        case "version_info":
            yield from ((version, 1) for version in last.versions)
        case "alarms":
            kinds = [(alarm["center"], alarm["code"]) for alarm in last.alarms]
            yield from (({"center": c, "code": code}, kinds.count((c, code))) for c, code in sorted(set(kinds)))
        case _:
            yield from _of_centers(name, last)


def _of_centers(name: str, last: RunRecord) -> Iterator[Sample]:
    for found in last.centers:
        center = {"center": found["center"]}
        match name:
            case "cases":
                states = {"scored": found["scored"], "scored_before": found["before"], "waiting": found["waiting"]}
                states["refused"] = sum(found["refused"].values())
                yield from (({**center, "state": state}, n) for state, n in states.items())
            case "refused_cases":
                yield from (({**center, "code": code}, n) for code, n in found["refused"].items())
            case "positive_cases":
                yield center, found["positive"]
            case "center_problem":
                yield center, float(bool(found["problem"]))
            case "center_duration_seconds":
                yield center, found["duration_s"]


def _labels(labels: Mapping[str, object]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(str(value))}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return visible(text).replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
