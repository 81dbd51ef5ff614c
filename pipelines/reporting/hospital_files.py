"""All that the pages of an incoming hospital are made of, read from the files that scoring left; nothing is computed.

A page is a function of these files: no clock, no machine. What only repeats itself from run to run counts once.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.tables import read_frame
from pipelines.params.operation import ScoringSection
from pipelines.reporting.hospital_runs import Step, last_words, steps_of
from pipelines.scoring.conformal import ConformalAdapter, cases_used, recalibrated
from pipelines.scoring.doubt import doubt_codes, shown
from pipelines.scoring.drift_report import DriftReport, drift_report
from pipelines.scoring.foreign import remarks_root, table_roots
from pipelines.scoring.in_force import Force, InForce, case_rules
from pipelines.scoring.labels import known_labels
from pipelines.scoring.performance import read_performance
from pipelines.scoring.places import Deployment
from pipelines.scoring.recalibrations import cases_of
from pipelines.scoring.runs import RunRecord
from pipelines.scoring.scores import current_scores, read_scores
from pipelines.training.acquisitions import image_facts

WAITING = ["case_id", "phase", "code", "since"]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the last run that went through said of a hospital.

    Args:
        scored: Cases with a score.
        positive: Of them at or above the threshold.
        waiting: Cases that are not complete or not still yet.
        refused: Cases without a score, by reason code.
        problem: Why the hospital as a whole could not be read.
        alarms: Code and message of what a person should look at.
    """

    scored: int = 0
    positive: int = 0
    waiting: int = 0
    refused: Mapping[str, int]
    problem: str = ""
    alarms: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class HospitalFiles:
    """What is known of one hospital under the versions in force.

    Args:
        center: The hospital.
        force: The versions; the champion is acted upon.
        scoring: The settings that say what is shown.
        told: What the last run said.
        is_here: Whether its folder still lies in `incoming`.
        history: All scores ever given to its cases, without patients who withdrew.
        scores: The champion's current scores.
        seen: The same as the policy lets them be seen.
        codes: Of each of them, the codes of doubt.
        adapter: The hospital's own calibration of prediction sets, if it has one.
        qc: What ingest and extraction have to say.
        lacks: What incomplete cases lack.
        cases: The stored images.
        acquisition: How they were acquired.
        folder: Where the stored images lie.
        labels: `case_id` and `label` of those whose label is known.
        left_out: Cases that figures leave out.
        drift: What is known of drift.
        performance: What is known of performance; none before the first run.
        steps: What runs changed, oldest first.
    """

    center: str
    force: Force
    scoring: ScoringSection
    told: Told
    is_here: bool
    history: pd.DataFrame
    scores: pd.DataFrame
    seen: pd.DataFrame
    codes: Sequence[Sequence[str]]
    adapter: ConformalAdapter | None
    qc: pd.DataFrame
    lacks: pd.DataFrame
    cases: pd.DataFrame
    acquisition: pd.DataFrame
    folder: Path
    labels: pd.DataFrame
    left_out: Collection[str]
    drift: DriftReport
    performance: dict[str, Any] | None
    steps: Sequence[Step]

    @property
    def champion(self) -> InForce:
        """The version that is acted upon."""
        return self.force.champion


@dataclass(frozen=True)
class Reader:
    """Reads hospitals of a study.

    Args:
        deployment: The folders.
        force: The versions in force.
        scoring: The settings.
        withdrawn: Pseudonyms of patients who withdrew.
        records: Recent runs, oldest first.
    """

    deployment: Deployment
    force: Force
    scoring: ScoringSection
    withdrawn: tuple[str, ...]
    records: Sequence[RunRecord]

    def told(self, center: str) -> Told:
        """Returns what the last run that went through said of the hospital."""
        own, alarms = last_words(self.records, center)
        if own is None:
            return Told(refused={})
        return Told(
            scored=own["scored"] + own["before"],
            positive=own["positive"],
            waiting=own["waiting"],
            refused=own["refused"],
            problem=own["problem"],
            alarms=tuple((alarm["code"], alarm["message"]) for alarm in alarms),
        )

    def hospital(self, center: str, runs: Path) -> HospitalFiles:
        """Reads all of one hospital."""
        own, package = self.deployment, self.force.champion.package
        rules = case_rules(package.manifest, self.withdrawn)
        places, store = own.ingest(center, rules), own.store(center, rules)
        history = self.history(center)
        scores = current_scores(history[history["package"] == package.digest])
        adapter = recalibrated(own.center(center), package.digest)
        cases, acquired = read_frame(places.views / "cases"), read_frame(places.views / "acquisition")
        features = own.features(center, rules, str(package.manifest["extraction"]["fingerprint"]))
        used = {**cases_of(own, center, package), **cases_used(own.center(center), package.digest)}
        doubt, remarks = self.scoring.doubt, map(remarks_root, table_roots(package, features).values())
        return HospitalFiles(
            center=center,
            force=self.force,
            scoring=self.scoring,
            told=self.told(center),
            is_here=(own.workspace.incoming / center).is_dir(),
            history=history,
            scores=scores,
            seen=shown(scores, package, doubt, adapter),
            codes=doubt_codes(scores, package, doubt.alpha) if len(scores) else [],
            adapter=adapter,
            qc=_joined([places.views / "qc", features / "qc", *remarks]),
            lacks=_lacks(store),
            cases=cases,
            acquisition=acquired,
            folder=places.cases,
            labels=known_labels(places.outcomes, center),
            left_out={case for cases in used.values() for case in cases},
            drift=drift_report(own, center, package, scores, image_facts(cases, acquired)),
            performance=read_performance(own.performance, center, package.digest),
            steps=steps_of(runs, center),
        )

    def history(self, center: str) -> pd.DataFrame:
        """Returns all scores ever given to the hospital's cases, without those of patients who withdrew."""
        history = read_scores(self.deployment.scores, center)
        return history[~history["case_id"].isin(self.withdrawn)].reset_index(drop=True)


def centers_known(deployment: Deployment) -> list[str]:
    """Returns the hospitals that have sent something, or have scores from a time when they had."""
    scored = [path.name.removeprefix("center=") for path in deployment.scores.glob("center=*") if any(path.iterdir())]
    return sorted({*deployment.hospitals(), *scored})


def summaries_known(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Returns what hospitals told that keep their patients, by name; each file was checked when it was taken in."""
    return {path.stem: json.loads(path.read_bytes()) for path in sorted(deployment.summaries.glob("*.json"))}


def _joined(roots: Sequence[Path]) -> pd.DataFrame:
    frames = [frame for frame in map(read_frame, roots) if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _lacks(store: Path) -> pd.DataFrame:
    frames = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in sorted(store.glob("waiting-*.csv"))]
    if not frames:
        return pd.DataFrame(columns=WAITING)
    return pd.concat(frames).drop_duplicates(WAITING[:3]).sort_values(WAITING[:3], ignore_index=True)


def files_of(deployment: Deployment, center: str) -> Iterator[tuple[str, Path | None]]:
    """Yields name and file of all that a hospital's page may depend on; parts of histories are told by their name.

    Features are not among them: what a page says of them stands in scores and drift.
    """
    root = deployment.workspace.deployment
    for folder in (deployment.scores, *(deployment.drift / name for name in ("cases", "looks", "moved", "shifts"))):
        for path in sorted((folder / f"center={center}").glob("*.parquet")):
            yield path.relative_to(root).as_posix(), None
    home = deployment.center(center)
    own = [path for path in home.rglob("*") if path.is_file() and not _UNSEEN.search(path.relative_to(home).as_posix())]
    for path in sorted([*own, *(deployment.performance / center).glob("*.json")]):
        yield path.relative_to(root).as_posix(), path


_UNSEEN = re.compile(r"^(intake/|pages/)|/cases/[^/]*\.nii\.gz$|/features/[^/]+/(?!qc/|[^/]*-qc/)")
"""Raw file lists, volumes and features: large, and what a page shows of them stands in tables beside them too."""
