"""The versions that score: the champion, and in its shadow the challenger and the one that a rollback returns to.

Only the champion is acted upon. A version beside it that cannot score here is told by name and disturbs nothing.
"""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from featurestore.errors import InputError, RadmillError
from featurestore.views import FeatureService
from pipelines.params import CaseRules
from pipelines.params.tables import OWN_VIEWS
from pipelines.record import FEATURE_SET
from pipelines.scoring.patient_rows import SERVED
from registry.lifecycle import Registry
from registry.package import ModelPackage
from registry.states import ModelVersion

CHAMPION, CHALLENGER, STANDBY = "champion", "challenger", "standby"


class ForeignFeaturesError(InputError):
    """The model needs columns that nobody makes of a new hospital's files."""

    default_remedy = "promote a model on radiomics, clinical columns or imported tables"


class NoChampionError(InputError):
    """There is no model to score with."""

    default_remedy = "`radmill register` a candidate and `radmill promote` it"


class OtherFeatureSetError(InputError):
    """The package was made with other feature values than the installed version computes."""

    default_remedy = "install the radmill that its manifest names under `release`, or train and promote anew"


@dataclass(frozen=True, kw_only=True)
class InForce:
    """A version that scores.

    Args:
        version: As the ledger tells it.
        package: Its package.
        role: champion, challenger or standby.
    """

    version: ModelVersion
    package: ModelPackage
    role: str


@dataclass(frozen=True, kw_only=True)
class Force:
    """All versions that score.

    Args:
        champion: The one that is acted upon.
        shadow: Those beside it.
        notes: Why others that should be in its shadow are not.
    """

    champion: InForce
    shadow: tuple[InForce, ...] = ()
    notes: tuple[str, ...] = ()


def versions_in_force(registry: Registry) -> Force:
    """Returns the versions that score.

    Raises:
        NoChampionError: No version was promoted.
        ForeignFeaturesError: The champion needs columns that nobody makes of a new hospital's files.
        PackageAbsentError: The champion's package is not on this machine.
        OtherFeatureSetError: The installed version computes other values than the champion was made with.
    """
    champion = registry.champion()
    if champion is None:
        raise NoChampionError("no version is in force", where="models/ledger.jsonl")
    first = _loaded(registry, champion, CHAMPION)
    shadow: list[InForce] = []
    notes: list[str] = []
    for version, role in _beside(registry, champion):
        try:
            shadow.append(_loaded(registry, version, role))
        except (RadmillError, OSError) as error:
            notes.append(absence(role, version, problem_of(error)))
    return Force(champion=first, shadow=tuple(shadow), notes=tuple(notes))


def absence(role: str, version: ModelVersion, why: str) -> str:
    """Returns the note on a version that cannot score."""
    return f"{role} version {version.number} ({version.model}) does not score: {why}"


def problem_of(error: Exception) -> str:
    """Returns an error's message on one line; of one that radmill did not foresee only kind and place.

    The text of such an error could name a patient.
    """
    if isinstance(error, RadmillError):
        return str(error).replace("\n", " ")
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" at {Path(one.filename).name}:{one.lineno}" for one in frame)
    return f"{type(error).__name__}{where}, a fault of radmill or of this machine"


def _beside(registry: Registry, champion: ModelVersion) -> Iterator[tuple[ModelVersion, str]]:
    """Yields the versions in shadow; one that is both challenger and standby counts as challenger."""
    seen = {champion.digest}
    for version, role in ((registry.challenger(), CHALLENGER), (registry.previous(), STANDBY)):
        if version is not None and version.digest not in seen:
            seen.add(version.digest)
            yield version, role


def _loaded(registry: Registry, version: ModelVersion, role: str) -> InForce:
    package = registry.package(version)
    check_scorable(package, f"model {version.model}")
    return InForce(version=version, package=package, role=role)


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
        ForeignFeaturesError: It needs columns that nobody makes of a new hospital's files.
        OtherFeatureSetError: The installed version computes other values.
    """
    foreign = sorted({p.view for p in service_of(package).parts if p.view in OWN_VIEWS and p.view not in SERVED})
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
