"""What a search and a fusion found, before it is written as a candidate."""

from dataclasses import dataclass

from featurestore.training_sets import TrainingSet
from pipelines.models.spaces import Parameter
from pipelines.models.tabular import TabularModel
from pipelines.params.fusion import Fusion
from pipelines.training.crossval import OutOfFold
from pipelines.training.direct import Fitted
from pipelines.training.members import Member, Shared
from pipelines.training.nested import Nested
from pipelines.training.recalibration import Recalibration
from pipelines.training.search import Trial

LATE, EARLY, TUNED = "late", "early", "tuned"


@dataclass(frozen=True, kw_only=True, eq=False)
class Tuned:
    """What a search found, and the model fitted with it.

    Args:
        parameters: What was searched.
        trials: Everything that was tried, in order.
        best: The trial the model is fitted with.
        honest: Out-of-fold probabilities whose hyperparameters and recalibration never saw the fold.
        flattering: Out-of-fold probabilities of the best trial, recalibrated: on the scale of the fitted model, but
            their area is the largest of many and so too high.
        recalibration: What the best trial's held-out probabilities taught.
        model: The best trial's model, fitted on all training patients, recalibrated.
    """

    parameters: tuple[Parameter, ...]
    trials: list[Trial]
    best: Trial
    honest: Nested
    flattering: OutOfFold
    recalibration: Recalibration
    model: TabularModel

    @property
    def nested(self) -> OutOfFold:
        """The honest probabilities."""
        return self.honest.out_of_fold

    @property
    def chosen(self) -> list[Trial]:
        """The trial of each fold of `nested`."""
        return self.honest.chosen


@dataclass(frozen=True, kw_only=True)
class TuneSummary:
    """What came out.

    Args:
        model: The model's name.
        patients: How many patients trained it.
        events: How many of them are positive.
        trial: The number of the best trial.
        components: How many principal components it keeps.
        auc: The nested cross-validated area with its interval.
        auc_best_trial: The best trial's own cross-validated area, which flatters.
        recalibration: Its slope, or why probabilities are left as they are.
        package: The first characters of the package's digest.
    """

    model: str
    patients: int
    events: int
    trial: int
    components: int
    auc: str
    auc_best_trial: float
    recalibration: str
    package: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Fused:
    """A fusion, before it is written.

    Args:
        settings: Its section of `params.yaml`.
        members: Its members.
        known: What they all know.
        late: The weights.
        early: The model on all columns, and the training set it was made from.
        reason: Why there is no early fusion, where one was to be compared.
        chosen: `late` or `early`.
        nested: Honest probabilities, the choice included.
        flattering: On the scale of the fusion that is kept.
    """

    settings: Fusion
    members: list[Member]
    known: Shared
    late: Fitted
    early: tuple[Tuned, TrainingSet] | None
    reason: str
    chosen: str
    nested: OutOfFold
    flattering: OutOfFold
