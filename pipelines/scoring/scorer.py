"""One version and one hospital: reads the cases under the package's own rules and settings, and scores those due."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.fingerprints import digest
from featurestore.harmonization import Adapter
from featurestore.tables import read_frame
from pipelines.execution.center_work import ExtractPlaces
from pipelines.execution.extract import extract_cases
from pipelines.ingest.ingest import ingest_centers
from pipelines.ingest.intake import intake_centers
from pipelines.ingest.places import IngestPlaces
from pipelines.ingest.pseudonyms import load_key
from pipelines.ingest.summary import IngestSummary
from pipelines.models.predicting import CaseInputs, StoredCases, predict_cases
from pipelines.params import CaseRules
from pipelines.params.operation import ScoringSection
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.runner import Progress, Runner
from pipelines.scoring.adapters import cases_needed, kept_adapter, neutral_adapter
from pipelines.scoring.doubting import doubted
from pipelines.scoring.foreign import TableMissingError, foreign_views, remarks_root, table_roots, take_table
from pipelines.scoring.freezing import FrozenList, chosen_list, frozen_list
from pipelines.scoring.in_force import CHAMPION, InForce, case_rules, service_of
from pipelines.scoring.inbox import Inbox, Needs, still_arriving
from pipelines.scoring.patient_rows import of_part, patient_rows
from pipelines.scoring.places import Deployment
from pipelines.scoring.results import Counts
from pipelines.scoring.scores import ScoreBook, append_scores, current_scores, due_patients
from pipelines.training.acquisitions import image_facts
from registry.ledger import Event
from registry.package import ModelPackage
from registry.parts import Part
from registry.stacking import RENORMALIZE

THRESHOLD = "youden"
WAITING = "not_harmonized"
"""Cases that have their features and wait until enough of their hospital's are here, or lack a covariate."""

UNHARMONIZED = "unharmonized:"
"""Stands before the inputs of a score that was given before the hospital's list of cases was fixed."""

AT_A_TIME = 500
"""So many cases are predicted and written down together: what a run that dies has to do again."""


@dataclass
class RunMemory:
    """What was done in a run already, for all its versions.

    Args:
        read: What ingest said, by the store it wrote to.
        extracted: The folders of features that are up to date.
        books: The history of scores.
    """

    read: dict[Path, IngestSummary] = field(default_factory=dict)
    extracted: set[Path] = field(default_factory=set)
    books: dict[Path, ScoreBook] = field(default_factory=dict)

    def book(self, root: Path) -> ScoreBook:
        """Returns the history in a folder."""
        return self.books.setdefault(root, ScoreBook(root))


@dataclass(frozen=True)
class Scorer:
    """A version in force and where its work lies.

    Args:
        deployment: The folders.
        force: The version, its package and its role.
        runner: Runs the cases.
        progress: Is told how it goes.
        scoring: How cases are taken and scored.
        withdrawn: Pseudonyms of patients who withdrew.
        events: The ledger.
        fixes_list: Whether it may fix the list of cases that a hospital's shift is estimated from.
        memory: What the versions of a run need not do twice.
    """

    deployment: Deployment
    force: InForce
    runner: Runner
    progress: Progress
    scoring: ScoringSection
    withdrawn: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    fixes_list: bool = True
    memory: RunMemory = field(default_factory=RunMemory, compare=False)

    @property
    def package(self) -> ModelPackage:
        """The version's package."""
        return self.force.package

    def rules(self) -> CaseRules:
        """Returns what decides how the hospital's files become cases."""
        return case_rules(self.package.manifest, self.withdrawn)

    def take_in(self, center: str) -> None:
        """Lists and hashes what the hospital has sent; done once for all versions."""
        places, section = self.deployment.ingest(center, self.rules()), self.deployment.section(center)
        intake_centers(places, {center: section}, self.progress, self.scoring.quiet_s)

    def score(self, center: str) -> Counts:
        """Scores one hospital's due cases of those that were taken in."""
        inbox = self._inbox(center, self._read(center))
        known = self.patients(center)
        patients = self._marked(known[~known["case_id"].isin(inbox.held)])
        due = due_patients(patients, self.memory.book(self.deployment.scores).of(center), self.package.digest)
        n_scored = sum(self._append(rows) for rows in _batches(due))
        counts = self._counts(center, n_scored, len(patients), len(due) - n_scored)
        refused = {**inbox.refusals(patients["case_id"]), **counts.refused}
        return replace(counts, refused=refused, waiting=inbox.waiting)

    def patients(self, center: str) -> pd.DataFrame:
        """Returns one row a patient who has all that the model needs: key, inputs, features."""
        rules = self.rules()
        views = self.deployment.ingest(center, rules).views
        features = self.features(center)
        foreign = table_roots(self.package, features)
        return patient_rows(self.package, features, views, rules.ingest.clinical, foreign)

    @property
    def sees_images(self) -> bool:
        """Whether anything that the package needs is made of images."""
        return self.package.is_deep or any(part.view == "radiomics" for part in service_of(self.package).parts)

    def features(self, center: str) -> Path:
        """Returns where the hospital's features under the package's rules and settings lie."""
        settings = str(self.package.manifest["extraction"]["fingerprint"])
        return self.deployment.features(center, self.rules(), settings)

    def history(self, center: str) -> pd.DataFrame:
        """Returns all scores ever given to the hospital's cases, without those of patients who withdrew."""
        history = self.memory.book(self.deployment.scores).of(center)
        return history[~history["case_id"].isin(self.withdrawn)]

    def own_scores(self, center: str) -> pd.DataFrame:
        """Returns the hospital's current scores under the package."""
        history = self.history(center)
        return current_scores(history[history["package"] == self.package.digest])

    def _inbox(self, center: str, read: IngestSummary) -> Inbox:
        """Returns which cases are not complete yet, by what the package needs of them."""
        rules, parts = self.rules(), service_of(self.package).parts
        foreign = table_roots(self.package, self.features(center))
        seen = [part for part in parts if part.view not in {*foreign, "clinical"}]
        needs = Needs(
            phases=tuple(dict.fromkeys(phase for part in seen for phase in part.phases)),
            clinical=any(part.view == "clinical" for part in parts),
        )
        views = self.deployment.ingest(center, rules).views
        remarks = [read_frame(remarks_root(root)) for root in foreign.values()]
        if self.sees_images:
            remarks += [read_frame(root) for root in (views / "qc", self.features(center) / "qc")]
        asked = digest([*needs.phases, needs.clinical, *sorted(foreign)])  # versions that need the same share it
        memory = self.deployment.store(center, rules) / f"waiting-{asked[:8]}.csv"
        return Inbox.of(
            remarks,
            read_frame(views / "cases"),
            needs,
            memory,
            still_arriving(read, center),
            self.scoring.incomplete_after_h,
        )

    def _take_tables(self, center: str) -> None:
        """Checks and stores the tables made elsewhere that the package needs."""
        rules, section, folder = self.rules(), self.deployment.section(center), self.features(center)
        places, roots = self.deployment.ingest(center, rules), table_roots(self.package, folder)
        is_spared = self.package.is_fusion and self.package.absent_member == RENORMALIZE
        for view in foreign_views(self.package):
            key = load_key(places.keys, center, section.key_id)
            try:
                take_table(places.raw[center], roots[view.name], view, center, key, rules, self.scoring.quiet_s)
            except TableMissingError:
                if not is_spared:  # a fusion may do without a member
                    raise

    def _read(self, center: str) -> IngestSummary:
        self._take_tables(center)
        rules, is_clinical = self.rules(), any(part.view == "clinical" for part in service_of(self.package).parts)
        if not self.sees_images and not is_clinical:
            return IngestSummary()
        places, store = self.deployment.ingest(center, rules), self.deployment.store(center, rules)
        if store not in self.memory.read:
            sections, quiet_s = {center: self.deployment.section(center)}, self.scoring.quiet_s
            self.memory.read[store] = ingest_centers(
                places, rules, sections, self.runner, self.progress, quiet_s=quiet_s, labelled=False
            )
        if self.sees_images and self.features(center) not in self.memory.extracted:
            self._extract(center, places)
            self.memory.extracted.add(self.features(center))
        return self.memory.read[store]

    def _extract(self, center: str, places: IngestPlaces) -> None:
        extraction = self.package.manifest["extraction"]
        settings = {phase: ExtractionSettings.from_mapping(s) for phase, s in extraction["by_phase"].items()}
        extract_cases(
            ExtractPlaces(
                cases=places.cases,
                views=places.views,
                features=self.features(center),
                parts=self.deployment.workspace.state / "parts" / "incoming" / center,
            ),
            settings,
            str(extraction["engine"]),
            str(self.package.manifest["feature_set"]),
            self.runner,
            self.progress,
        )

    def _append(self, due: pd.DataFrame) -> int:
        inputs = self.inputs(due)
        p = predict_cases(self.package, inputs).p
        told = ~np.isnan(p)
        if not told.any():
            return 0
        doubts = doubted(self.package, inputs, self._facts(str(due["center"].iloc[0])))
        own = {name: doubts[name].to_numpy() for name in ("distance", "doubts")}
        return append_scores(
            self.deployment.scores,
            due.assign(role=self.force.role, **own)[told],
            p[told],
            package=self.package.digest,
            model=self.force.version.model,
            version=self.force.version.number,
            threshold=self.package.thresholds[THRESHOLD],
        )

    def _facts(self, center: str) -> pd.DataFrame:
        """Returns how the hospital's images were acquired."""
        views = self.deployment.ingest(center, self.rules()).views
        return image_facts(read_frame(views / "cases"), read_frame(views / "acquisition"))

    def inputs(self, due: pd.DataFrame) -> CaseInputs:
        """Returns the due patients of one hospital, with their features and stored images."""
        center = str(due["center"].iloc[0])
        places = self.deployment.ingest(center, self.rules())
        return CaseInputs(
            center=due["center"].to_numpy(np.str_),
            case_id=due["case_id"].to_numpy(np.str_),
            features=lambda part: of_part(due, self.package, part),
            adapters=lambda part, _wide: self._adapters(part, center),
            cases=StoredCases(folder=places.cases, rows=read_frame(places.views / "cases")),
        )

    def _adapters(self, part: Part, center: str) -> tuple[dict[str, Adapter], list[str]]:
        """Returns the hospital's shift, estimated once from its fixed list of cases; or the hospital, if it waits."""
        folder, rows = self.deployment.center(center), self.patients(center)
        chosen = self._list(center, rows)
        if chosen is None:
            is_withheld = self.scoring.before_freeze == "withhold"
            return ({}, [center]) if is_withheld else ({center: neutral_adapter(part, center)}, [])
        own = rows[rows["case_id"].isin(chosen.cases)]
        X = own[list(part.features)].to_numpy(dtype=np.float64)
        return {center: kept_adapter(folder / "adapters", part, X, center, own)}, []

    def _list(self, center: str, rows: pd.DataFrame) -> FrozenList | None:
        folder = self.deployment.center(center)
        if not self.fixes_list:
            return frozen_list(folder, center, self.events)
        least, asked = cases_needed(self.package), self.scoring.freeze_after
        needed = least if asked is None else asked and max(asked, least)
        return chosen_list(folder, center, self.events, rows["case_id"].tolist(), needed)

    def _marked(self, patients: pd.DataFrame) -> pd.DataFrame:
        """Marks the inputs of scores that a model which harmonizes gives before it can, so that they are given anew."""
        if patients.empty or not cases_needed(self.package):
            return patients
        if self._list(str(patients["center"].iloc[0]), patients) is not None:
            return patients
        return patients.assign(inputs=UNHARMONIZED + patients["inputs"].astype(str))

    def _counts(self, center: str, n_scored: int, n_patients: int, n_waiting: int) -> Counts:
        return Counts(
            n_scored=n_scored,
            n_before=n_patients - n_scored - n_waiting,
            n_positive=int(self.own_scores(center)["positive"].sum()),
            refused={WAITING: n_waiting} if n_waiting else {},
        )


def list_keeper(champion: InForce, own: InForce) -> bool:
    """Returns whether a version may fix a hospital's list: the champion, or another while the champion needs none."""
    return own.role == CHAMPION or not cases_needed(champion.package)


def _batches(due: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for first in range(0, len(due), AT_A_TIME):
        yield due.iloc[first : first + AT_A_TIME]
