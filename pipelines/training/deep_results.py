"""What training a network gave, before it is written as a candidate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy.special import expit

from pipelines.evaluation.discrimination import auc
from pipelines.models.patches import Recipe
from pipelines.models.resnet import Network
from pipelines.models.resnet_training import TrainingRules
from pipelines.training.crossval import OutOfFold
from pipelines.training.deep_folds import FoldOutcome
from pipelines.training.recalibration import Recalibration


@dataclass(frozen=True, kw_only=True)
class DeepSummary:
    """What came out.

    Args:
        model: The model's name.
        patients: How many patients trained it.
        events: How many of them are positive.
        networks: How many networks judged it, one a fold and repeat.
        epochs: How long the network that is kept has learned.
        auc: The cross-validated area with its interval.
        recalibration: Its slope, or why probabilities are left as they are.
        package: The first characters of the package's digest.
    """

    model: str
    patients: int
    events: int
    networks: int
    epochs: int
    auc: str
    recalibration: str
    package: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Learned:
    """All that training gave.

    Args:
        recipe: What the network sees.
        rules: How it learned.
        outcomes: Of each fold.
        n_epochs: How long the final network learned.
        final: Its history.
        nested: Out-of-fold probabilities, each fold recalibrated by the others.
        flattering: The same, recalibrated as the final network.
        recalibrations: Of each fold.
        recalibration: Of the final network.
        network: The network that is kept.
    """

    recipe: Recipe
    rules: TrainingRules
    outcomes: tuple[FoldOutcome, ...]
    n_epochs: int
    final: tuple[Mapping[str, Any], ...]
    nested: OutOfFold
    flattering: OutOfFold
    recalibrations: tuple[Recalibration, ...]
    recalibration: Recalibration
    network: Network

    @property
    def fold_aucs(self) -> list[float]:
        """The area of each fold."""
        y = self.nested.y
        return [auc(y[outcome.fold.held_out], expit(outcome.log_odds)) for outcome in self.outcomes]
