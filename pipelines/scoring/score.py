"""Scores the cases of new hospitals: the same ingest and extraction as the study's, under the package's own settings.

A second run writes nothing; a hospital that cannot be read does not hold up the others; a run that died is taken up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.errors import InputError, RadmillError
from featurestore.files import write_text
from featurestore.harmonization import Adapter
from featurestore.tables import read_frame
from featurestore.views import FeatureService
from pipelines.execution.extract import ExtractPlaces, extract_cases
from pipelines.ingest.ingest import ingest_centers
from pipelines.ingest.intake import intake_centers
from pipelines.models.predicting import CaseInputs, StoredCases, predict_cases
from pipelines.params import CaseRules, load_operation
from pipelines.params.operation import ScoringSection
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.record import FEATURE_SET
from pipelines.runner import Progress, Runner, Silent
from pipelines.scoring.adapters import cases_needed, kept_adapter, neutral_adapter
from pipelines.scoring.freezing import FrozenList, chosen_list
from pipelines.scoring.patient_rows import SERVED, of_part, patient_rows
from pipelines.scoring.places import Deployment, check_center_name
from pipelines.scoring.scores import SCORES, append_scores, current_scores, due_patients, read_scores
from pipelines.workspace import Workspace
from registry.ledger import Event
from registry.lifecycle import Registry
from registry.package import ModelPackage
from registry.parts import Part
from registry.states import ModelVersion

THRESHOLD = "youden"
WAITING = "not_harmonized"
"""Cases that have their features and wait until enough of their hospital's are here, or lack a covariate."""

UNHARMONIZED = "unharmonized:"
"""Stands before the inputs of a score that was given before the hospital's list of cases was fixed."""

REFUSED = ("refused", "failed")


class ForeignFeaturesError(InputError):
    """The model needs columns that are not computed from images."""

    default_remedy = "promote a model on radiomics alone; this one was made to be judged, from tables made elsewhere"


class NoChampionError(InputError):
    """There is no model to score with."""

    default_remedy = "`radmill register` a candidate and `radmill promote` it"


class OtherFeatureSetError(InputError):
    """The package was made with other feature values than the installed version computes."""

    default_remedy = "install the radmill that its manifest names under `release`, or train and promote anew"


@dataclass(frozen=True, kw_only=True)
class CenterResult:
    """What a scoring run did for one hospital.

    Args:
        center: The hospital.
        n_scored: Cases scored in this run.
        n_before: Cases that had their score already.
        n_positive: Cases whose current score is at or above the threshold.
        refused: Cases that could not be scored, by reason code.
        problem: Why the hospital as a whole could not be read; empty when it could.
    """

    center: str
    n_scored: int = 0
    n_before: int = 0
    n_positive: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    problem: str = ""

    def plain(self) -> dict[str, object]:
        """Returns the result as a table row."""
        reasons = ", ".join(f"{code} {n}" for code, n in sorted(self.refused.items()))
        return {
            "center": self.center,
            "scored now": self.n_scored,
            "scored before": self.n_before,
            "positive": self.n_positive,
            "not scored": reasons or "none",
            "problem": self.problem or "none",
        }


@dataclass(frozen=True, kw_only=True)
class ScoreSummary:
    """A scoring run: the version that scored, and what happened to each hospital."""

    model: str
    version: int
    centers: tuple[CenterResult, ...]

    @property
    def is_clean(self) -> bool:
        """Whether every case that was sent has a score."""
        return not any(center.refused or center.problem for center in self.centers)


@dataclass(frozen=True)
class Scorer:
    """A version in force and where its work lies."""

    deployment: Deployment
    version: ModelVersion
    package: ModelPackage
    runner: Runner
    progress: Progress
    scoring: ScoringSection
    withdrawn: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()

    def center(self, center: str) -> CenterResult:
        """Scores one hospital's due cases."""
        try:
            check_center_name(center)
            self._read(center)
            patients = self._marked(self._patients(center))
            due = due_patients(patients, read_scores(self.deployment.scores, center), self.package.digest)
            n_scored = self._append(due)
        except RadmillError as error:
            return CenterResult(center=center, problem=str(error).replace("\n", " "))
        return self._result(center, n_scored, len(patients), len(due) - n_scored)

    def rules(self) -> CaseRules:
        """Returns what decides how the hospital's files become cases."""
        return case_rules(self.package.manifest, self.withdrawn)

    def _read(self, center: str) -> None:
        places, sections = self.deployment.ingest(center), {center: self.deployment.section(center)}
        rules = self.rules()
        intake_centers(places, sections, self.progress, self.scoring.quiet_s)
        ingest_centers(
            places, rules, sections, self.runner, self.progress, quiet_s=self.scoring.quiet_s, labelled=False
        )
        extraction = self.package.manifest["extraction"]
        settings = {phase: ExtractionSettings.from_mapping(s) for phase, s in extraction["by_phase"].items()}
        extract_cases(
            ExtractPlaces(
                cases=places.cases,
                views=places.views,
                features=self._features(center),
                parts=self.deployment.workspace.state / "parts" / "incoming" / center,
            ),
            settings,
            str(extraction["engine"]),
            str(self.package.manifest["feature_set"]),
            self.runner,
            self.progress,
        )

    def _features(self, center: str) -> Path:
        return self.deployment.features(center, str(self.package.manifest["extraction"]["fingerprint"]))

    def _patients(self, center: str) -> pd.DataFrame:
        """Returns one row a patient who has all that the model needs: key, inputs, features."""
        views = self.deployment.ingest(center).views
        return patient_rows(self.package, self._features(center), views, self.rules().ingest.clinical)

    def _append(self, due: pd.DataFrame) -> int:
        if due.empty:
            return 0
        p = predict_cases(self.package, self._inputs(due)).p
        told = ~np.isnan(p)
        append_scores(
            self.deployment.scores,
            due[told],
            p[told],
            package=self.package.digest,
            model=self.version.model,
            version=self.version.number,
            threshold=self.package.thresholds[THRESHOLD],
        )
        return int(told.sum())

    def _inputs(self, due: pd.DataFrame) -> CaseInputs:
        """Returns the due patients of one hospital, with their features and stored images."""
        center = str(due["center"].iloc[0])
        places = self.deployment.ingest(center)
        return CaseInputs(
            center=due["center"].to_numpy(np.str_),
            case_id=due["case_id"].to_numpy(np.str_),
            features=lambda part: of_part(due, self.package, part),
            adapters=lambda part, _wide: self._adapters(part, center),
            cases=StoredCases(folder=places.cases, rows=read_frame(places.views / "cases")),
        )

    def _adapters(self, part: Part, center: str) -> tuple[dict[str, Adapter], list[str]]:
        """Returns the hospital's shift, estimated once from its fixed list of cases; or the hospital, if it waits."""
        folder, rows = self.deployment.center(center), self._patients(center)
        chosen = self._list(center, rows)
        if chosen is None:
            is_withheld = self.scoring.before_freeze == "withhold"
            return ({}, [center]) if is_withheld else ({center: neutral_adapter(part, center)}, [])
        own = rows[rows["case_id"].isin(chosen.cases)]
        X = own[list(part.features)].to_numpy(dtype=np.float64)
        return {center: kept_adapter(folder / "adapters", part, X, center, own)}, []

    def _list(self, center: str, rows: pd.DataFrame) -> FrozenList | None:
        least, asked = cases_needed(self.package), self.scoring.freeze_after
        needed = least if asked is None else asked and max(asked, least)
        return chosen_list(self.deployment.center(center), center, self.events, rows["case_id"].tolist(), needed)

    def _marked(self, patients: pd.DataFrame) -> pd.DataFrame:
        """Marks the inputs of scores that a model which harmonizes gives before it can, so that they are given anew."""
        if patients.empty or not cases_needed(self.package):
            return patients
        if self._list(str(patients["center"].iloc[0]), patients) is not None:
            return patients
        return patients.assign(inputs=UNHARMONIZED + patients["inputs"].astype(str))

    def _result(self, center: str, n_scored: int, n_patients: int, n_waiting: int = 0) -> CenterResult:
        history = read_scores(self.deployment.scores, center)
        is_own = history["package"] == self.package.digest
        own = current_scores(history[is_own & ~history["case_id"].isin(self.withdrawn)])
        _write_csv(self.deployment, center, own)
        return CenterResult(
            center=center,
            n_scored=n_scored,
            n_before=n_patients - n_scored - n_waiting,
            n_positive=int(own["positive"].sum()),
            refused={**self._refused(center), **({WAITING: n_waiting} if n_waiting else {})},
        )

    def _refused(self, center: str) -> dict[str, int]:
        tables = (self.deployment.ingest(center).views / "qc", self._features(center) / "qc")
        frames = [frame for root in tables if len(frame := read_frame(root))]
        rows = pd.concat(frames) if frames else pd.DataFrame(columns=["status", "code"])
        counts = rows.loc[rows["status"].isin(REFUSED), "code"].value_counts()
        return {str(code): int(n) for code, n in counts.items()}


def service_of(package: ModelPackage) -> FeatureService:
    """Returns the columns that a package was made for."""
    return FeatureService.from_plain(package.manifest["service"])


def case_rules(manifest: Mapping[str, object], withdrawn: Sequence[str]) -> CaseRules:
    """Returns the package's own rules, but for who withdrew: that is the study's to say, and may be later."""
    rules = CaseRules.model_validate(manifest["rules"])
    return rules.model_copy(update={"cohort": rules.cohort.model_copy(update={"withdrawn": list(withdrawn)})})


def check_scorable(package: ModelPackage, where: str) -> None:
    """Checks that all that a package needs is computed here, and as it was when the package was made.

    Raises:
        ForeignFeaturesError: It needs columns of tables made elsewhere.
        OtherFeatureSetError: The installed version computes other values.
    """
    foreign = sorted({p.view for p in service_of(package).parts if p.view not in SERVED})
    if foreign:
        raise ForeignFeaturesError(f"needs view {', '.join(foreign)}", where=where)
    check_feature_set(package.manifest)


def check_feature_set(manifest: Mapping[str, object]) -> None:
    """Checks that features are computed as those that the model was made from.

    Raises:
        OtherFeatureSetError: They are not.
    """
    if manifest["feature_set"] != FEATURE_SET:
        raise OtherFeatureSetError(
            f"made with feature set {manifest['feature_set']}, installed is {FEATURE_SET}", where="the package"
        )


def score(
    workspace: Workspace, scoring: ScoringSection, runner: Runner, progress: Progress | None = None
) -> ScoreSummary:
    """Scores every due case of every hospital in `incoming` with the champion.

    Raises:
        NoChampionError: No version was promoted.
        ForeignFeaturesError: The champion needs columns of tables made elsewhere.
        PackageAbsentError: The champion's package is not on this machine.
        OtherFeatureSetError: The installed version computes other values than the champion was made with.
    """
    registry = Registry(workspace.root)
    champion = registry.champion()
    if champion is None:
        raise NoChampionError("no version is in force", where="models/ledger.jsonl")
    deployment, package = Deployment(workspace), registry.package(champion)
    check_scorable(package, f"model {champion.model}")
    events = tuple(registry.events())
    withdrawn = tuple(load_operation(workspace.params).cohort.withdrawn)
    scorer = Scorer(deployment, champion, package, runner, progress or Silent(), scoring, withdrawn, events)
    results = tuple(scorer.center(center) for center in deployment.hospitals())
    return ScoreSummary(model=champion.model, version=champion.number, centers=results)


def _write_csv(deployment: Deployment, center: str, scores: pd.DataFrame) -> None:
    """Writes the hospital's current scores as a table for people, if it changed."""
    path = deployment.center(center) / "scores.csv"
    flags = scores["inputs"].str.startswith(UNHARMONIZED).map({True: UNHARMONIZED.rstrip(":"), False: ""})
    shown = scores[[name for name in SCORES.names() if name != "inputs"]]
    text = (shown.assign(flag=flags) if flags.any() else shown).to_csv(index=False)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
