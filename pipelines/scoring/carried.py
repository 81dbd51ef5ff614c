"""Scores one hospital with a package that came as a file: no study, no ledger, the base install alone.

The same code reads, measures and predicts as in a study, so the numbers are the same. What it derives stays in a work
folder, so that a second run measures only what is new.
"""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from featurestore.errors import InputError
from featurestore.files import exclusive, write_text
from featurestore.sheets import csv_frame
from pipelines.ingest.center_data import read_center
from pipelines.ingest.places import IngestPlaces
from pipelines.ingest.pseudonyms import write_private
from pipelines.params import CaseRules
from pipelines.params.data import Center
from pipelines.params.operation import ScoringSection
from pipelines.runner import Progress, Runner, Silent
from pipelines.scoring.center_summary import CenterSummary, summarized_center, write_summary
from pipelines.scoring.drifting import watch
from pipelines.scoring.following import followed
from pipelines.scoring.house import HouseRules
from pipelines.scoring.in_force import CHAMPION, InForce, check_scorable
from pipelines.scoring.labels import known_labels
from pipelines.scoring.performance import read_performance
from pipelines.scoring.places import Deployment
from pipelines.scoring.results import CenterResult
from pipelines.scoring.score import score_center
from pipelines.scoring.scorer import Scorer
from pipelines.scoring.table import table as seen_scores
from pipelines.workspace import Workspace
from registry.export import import_package
from registry.package import ModelPackage
from registry.signing import verify_signature
from registry.states import ModelVersion

HOSPITAL = "this-hospital"
"""How tables in the work folder call the one hospital; no center that a model was fitted on can be meant."""
UNVERIFIED = "unverified"
PATIENT = "patient_id"
COLUMNS = ("case_id", "probability", "threshold", "positive", "package", "doubt", "prediction_set")


class TrustMissingError(InputError):
    """Nobody said why the package may be believed."""

    default_remedy = (
        "give --digest or --verify-key as its makers sent them by another way than the file; --unverified scores all "
        "the same and says so in every row"
    )


class ImagesMissingError(InputError):
    """There is no folder of images."""

    default_remedy = "give the folder that holds the hospital's files, laid out as a center's in a study"


class HospitalUnreadError(InputError):
    """The hospital as a whole could not be read."""

    default_remedy = "mend what the message names and repeat; what was measured is kept"


@dataclass(frozen=True, kw_only=True)
class Trusted:
    """A package, and why it is believed.

    Args:
        package: The package.
        trust: `digest`, `key <id>` or `unverified`.
    """

    package: ModelPackage
    trust: str


@dataclass(frozen=True)
class CarriedDeployment(Deployment):
    """A work folder of its own, and images where the hospital has them."""

    images: Path = Path()
    house: HouseRules = field(default_factory=HouseRules)

    def ingest_into(self, center: str, store: Path) -> IngestPlaces:
        """The folders that intake and ingest work in."""
        places = super().ingest_into(center, store)
        return IngestPlaces(**{**vars(places), "raw": {center: self.images}})

    def section(self, center: str) -> Center:
        """Returns the hospital's settings: its key, its patterns and its column names."""
        return self.house.section(super().section(center))


@dataclass(frozen=True)
class CarriedScorer(Scorer):
    """Scores under the package's rules in the house's names."""

    house: HouseRules = field(default_factory=HouseRules)

    def rules(self) -> CaseRules:
        """Returns what decides how the hospital's files become cases."""
        return self.house.rules(super().rules())


@dataclass(frozen=True, kw_only=True)
class CarriedScores:
    """What came out.

    Args:
        result: What happened to the hospital's cases.
        package: The package's digest.
        trust: Why it was believed.
        n_rows: Rows of the table.
    """

    result: CenterResult
    package: str
    trust: str
    n_rows: int


def trusted(file: Path, digest: str | None, key: Path | None, *, unverified: bool) -> Trusted:
    """Reads a package from a file and checks it by what the makers said of it.

    Args:
        file: As `radmill export` wrote it.
        digest: The digest it must have.
        key: The public key it must be signed with.
        unverified: Whether it is taken as it is.

    Raises:
        TrustMissingError: None of the three is given, or more than one.
        DamagedPackageError: It is no package, or not the one of that digest.
        SignatureError: It is not signed by the key.
    """
    if (digest is not None) + (key is not None) + unverified != 1:
        raise TrustMissingError("say exactly one of --digest, --verify-key and --unverified", where=file.name)
    carried = import_package(file, digest)
    if key is None:
        return Trusted(package=carried.package, trust=UNVERIFIED if unverified else "digest")
    found = verify_signature(carried.package.digest, carried.signature, key)
    return Trusted(package=carried.package, trust=f"key {found}")


def score_carried(
    believed: Trusted,
    images: Path,
    out: Path,
    work: Path,
    runner: Runner,
    progress: Progress | None = None,
    *,
    house: HouseRules | None = None,
    with_ids: bool = False,
    summary: Path | None = None,
) -> CarriedScores:
    """Scores the cases in `images` and writes the table `out`.

    Args:
        believed: The package.
        images: The hospital's files, laid out as a center's in a study.
        out: The table to write: case_id, probability, threshold, positive, package, doubt, prediction_set, trust.
        work: Where the hospital's key, cases, features and the history of its scores lie.
        runner: Runs the cases.
        progress: Is told how it goes.
        house: The hospital's names and patterns.
        with_ids: Whether the table also has the hospital's own patient_id, which identifies people.
        summary: A file to write of what may leave the hospital: counts and figures, no row of a patient.

    Raises:
        ImagesMissingError: There is no such folder.
        ForeignFeaturesError: The package needs columns that nobody makes of a new hospital's files.
        OtherFeatureSetError: The installed version computes other values than the package was made with.
        HouseRulesError: The house's rules are about something that the package has not.
        HospitalUnreadError: Its files could not be read at all.
    """
    if not images.is_dir():
        raise ImagesMissingError("there is no such folder", where=images.name)
    package, rules = believed.package, house or HouseRules()
    check_scorable(package, "the package")
    deployment = CarriedDeployment(Workspace(work.resolve()), images.resolve(), rules)
    told = progress or Silent()
    force = InForce(version=_version(package), package=package, role=CHAMPION)
    scorer = CarriedScorer(deployment, force, runner, told, ScoringSection(incomplete_after_h=0), house=rules)
    scorer.rules()  # complains before anything is written
    with exclusive(deployment.workspace.state / "deployment.lock", "radmill score"):
        result = score_center(scorer, HOSPITAL)
        if result.problem:
            raise HospitalUnreadError(result.problem.partition("remedy:")[0].strip(), where=images.name)
        seen = seen_scores(scorer, HOSPITAL)
        table = seen[[name for name in COLUMNS if name in seen]]
        if with_ids:
            table = _with_ids(table, scorer, deployment)
        _write(out, table.assign(trust=believed.trust), private=with_ids)
        (watched,) = watch(scorer, (), [result])
        result = followed(scorer, watched, {})
        if summary is not None:
            write_summary(summary, _summary(scorer, result))
    return CarriedScores(result=result, package=package.digest, trust=believed.trust, n_rows=len(table))


def _summary(scorer: CarriedScorer, result: CenterResult) -> CenterSummary:
    deployment, package = scorer.deployment, scorer.package
    return summarized_center(
        deployment,
        HOSPITAL,
        package,
        scorer.own_scores(HOSPITAL),
        known_labels(deployment.ingest(HOSPITAL, scorer.rules()).outcomes, HOSPITAL),
        result.refused,
        read_performance(deployment.performance, HOSPITAL, package.digest),
    )


def _version(package: ModelPackage) -> ModelVersion:
    """Returns what stands for a version where no ledger tells its number."""
    manifest = package.manifest
    return ModelVersion(
        number=0,
        digest=package.digest,
        model=str(manifest["model"]["name"]),
        training_set=str(manifest["training_set"]),
        state="carried",
        evidence="",
    )


def _with_ids(table: pd.DataFrame, scorer: CarriedScorer, deployment: CarriedDeployment) -> pd.DataFrame:
    section = deployment.section(HOSPITAL)
    data = read_center(deployment.ingest(HOSPITAL, scorer.rules()), HOSPITAL, section, scorer.rules(), labelled=False)
    own = {data.pseudonym(name): name for name in data.patients()} if data is not None else {}
    return table.assign(**{PATIENT: table["case_id"].map(own)})


def _write(out: Path, table: pd.DataFrame, *, private: bool) -> None:
    """Writes the table if it changed; one that names patients for its owner's eyes alone."""
    text = csv_frame(table)
    if out.exists() and out.read_text(encoding="utf-8") == text:
        return
    if private:
        write_private(out, text.encode())
    else:
        write_text(out, text)
