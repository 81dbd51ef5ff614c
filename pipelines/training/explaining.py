"""What is told of a fitted model besides how well it does: its learning curve and what it listens to."""

from pathlib import Path

from featurestore.files import write_json
from featurestore.training_sets import TrainingSet
from pipelines.models.base import Floats
from pipelines.models.steps import RowFacts
from pipelines.params.modelling import Model, TuningSection
from pipelines.training.dealing import folds_of
from pipelines.training.importance import importance
from pipelines.training.learning import learning_curve
from pipelines.training.results import Tuned
from pipelines.training.search import derived_seed


def write_explanations(
    folder: Path, part: TrainingSet, settings: Model, tuning: TuningSection, tuned: Tuned, repeats: Floats | None
) -> None:
    """Writes `learning.json` and `importance.json` beside a candidate's other records.

    Args:
        folder: The candidate's folder.
        part: The training patients.
        settings: The model's section of `params.yaml`.
        tuning: How it was searched; its first folds are used again.
        tuned: What the search found.
        repeats: The patients' features by other outlines, shape (n, k, p).
    """
    facts, model = RowFacts(center=part.center, repeats=repeats), tuned.model
    folds = [fold for fold in folds_of(part, tuning) if fold.repeat == 0]
    seed = derived_seed(tuning.seed, "explaining")
    curve = learning_curve(
        settings.estimator, model.values, model.rule, part.X, part.y, folds, model.seed, model.steps, facts
    )
    write_json(folder / "learning.json", {"measure": "auc", "points": curve})
    write_json(folder / "importance.json", importance(model, part.X, part.y, part.names, facts, folds, seed))
