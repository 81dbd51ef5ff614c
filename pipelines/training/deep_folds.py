"""The networks of a cross-validation: what each said of the patients it did not see, remembered once it is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from pipelines.models.base import Floats, Labels
from pipelines.models.checkpoints import Checkpoint, Snapshot
from pipelines.models.resnet import Network, NetworkSpec, Patches
from pipelines.models.resnet_training import Lesson, Trained, TrainingRules, train
from pipelines.runner import Progress
from pipelines.training.crossval import PROBABILITY_FLOOR, OutOfFold
from pipelines.training.recalibration import Recalibration, fit_recalibration
from pipelines.training.search import derived_seed
from pipelines.training.splits import Fold, repeated_folds


@dataclass(frozen=True, kw_only=True, eq=False)
class FoldOutcome:
    """What a fold's network said of the patients held out, and how it learned.

    Args:
        fold: The fold.
        log_odds: Of the held-out patients, shape (n,).
        best: The epoch whose network it is.
        history: One row an epoch.
    """

    fold: Fold
    log_odds: Floats
    best: int
    history: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class School:
    """Trains networks on parts of the same patients, and remembers those that are done.

    Args:
        y: Labels of the training patients, shape (n,).
        center: Their centers.
        patches: Their patches, shape (n, c, …).
        spec: The network.
        rules: How it learns.
        inner_fraction: The share of a fold's learning patients that decide when to stop.
        seed: Decides all that is random.
        scratch: Where finished folds and checkpoints are kept.
        context: A hash of all that decides them.
        start: Tensors to start from.
    """

    y: Labels
    center: NDArray[np.str_]
    patches: Patches
    spec: NetworkSpec
    rules: TrainingRules
    inner_fraction: float
    seed: int
    scratch: Path
    context: str
    start: Mapping[str, NDArray[np.float32]] | None = None

    def known(self, fold: Fold) -> FoldOutcome | None:
        """Returns the outcome of a fold that was finished before."""
        found = self._kept(f"fold-{fold.repeat}-{fold.number}").read()
        if found is None:
            return None
        log_odds = found.tensors["log_odds"]
        return FoldOutcome(fold=fold, log_odds=log_odds, best=found.note["best"], history=tuple(found.note["history"]))

    def fold(self, fold: Fold, progress: Progress) -> FoldOutcome:
        """Returns what the network of a fold says of the patients it did not see."""
        before = self.known(fold)
        if before is not None:
            return before
        name = f"fold-{fold.repeat}-{fold.number}"
        seed = derived_seed(self.seed, "network", fold.repeat, fold.number)
        trained = self._train(name, self._lesson(fold.fit, seed), seed, None, progress)
        network = Network(spec=self.spec, shape=self.patches.shape[1:], state=trained.state)
        log_odds = network.log_odds(self.patches[fold.held_out])
        self._keep(name, {"log_odds": log_odds}, trained)
        return FoldOutcome(fold=fold, log_odds=log_odds, best=trained.best, history=trained.history)

    def final(self, n_epochs: int, progress: Progress) -> Trained:
        """Returns the network of all patients."""
        name = f"final-{n_epochs}"
        found = self._kept(name).read()
        if found is not None:
            for _ in range(self.rules.epochs):
                progress.advance()
            return Trained(state=found.tensors, best=found.note["best"], history=tuple(found.note["history"]))
        seed = derived_seed(self.seed, "network", "final")
        trained = self._train(name, Lesson(patches=self.patches, y=self.y), seed, n_epochs, progress)
        self._keep(name, trained.state, trained)
        return trained

    def _train(self, name: str, lesson: Lesson, seed: int, n_epochs: int | None, progress: Progress) -> Trained:
        checkpoint = Checkpoint(self.scratch / f"{name}.under-way.safetensors", self.context)
        return train(
            self.spec,
            self.rules,
            lesson,
            seed,
            n_epochs=n_epochs,
            start=self.start,
            checkpoint=checkpoint,
            progress=progress,
        )

    def _lesson(self, fit: NDArray[np.intp], seed: int) -> Lesson:
        inner = inner_split(self.y[fit], self.center[fit], self.inner_fraction, derived_seed(seed, "inner"))
        if inner is None:
            return Lesson(patches=self.patches[fit], y=self.y[fit])
        own, judges = fit[inner.fit], fit[inner.held_out]
        return Lesson(
            patches=self.patches[own],
            y=self.y[own],
            validation_patches=self.patches[judges],
            validation_y=self.y[judges],
        )

    def _kept(self, name: str) -> Checkpoint:
        return Checkpoint(self.scratch / f"{name}.safetensors", self.context)

    def _keep(self, name: str, tensors: Mapping[str, NDArray[Any]], trained: Trained) -> None:
        self._kept(name).write(Snapshot(tensors=tensors, note={"best": trained.best, "history": list(trained.history)}))
        Checkpoint(self.scratch / f"{name}.under-way.safetensors", self.context).remove()


def inner_split(y: Labels, center: NDArray[np.str_], fraction: float, seed: int) -> Fold | None:
    """Deals off patients who decide when to stop; nobody where a label has fewer patients than parts."""
    n_parts = max(2, round(1 / fraction))
    if min(int((y == label).sum()) for label in (0, 1)) < n_parts:
        return None
    return repeated_folds(y, center, n_parts, 1, seed)[0]


def out_of_fold(y: Labels, outcomes: tuple[FoldOutcome, ...], is_balanced: bool) -> OutOfFold:
    """Gathers held-out probabilities; see `CrossValidation.out_of_fold` for the shift.

    A network that learned with balanced classes knows no share of positives, so it is given that of all patients.
    """
    shape = (len(y), 1 + max(outcome.fold.repeat for outcome in outcomes))
    p, number = np.full(shape, np.nan), np.full(shape, -1, np.int64)
    overall = float(logit(y.mean()))
    for outcome in outcomes:
        fold = outcome.fold
        shift = overall if is_balanced else overall - float(logit(y[fold.fit].mean()))
        found = np.clip(expit(outcome.log_odds + shift), PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
        p[fold.held_out, fold.repeat], number[fold.held_out, fold.repeat] = found, fold.number
    return OutOfFold(y=y, p=p, fold=number)


def recalibrated_by_others(raw: OutOfFold, folds: Sequence[Fold]) -> tuple[OutOfFold, tuple[Recalibration, ...]]:
    """Recalibrates each fold with two numbers learned from the other folds.

    The order of patients within a fold stays, and with it the area. The networks of the other folds have seen the
    fold's patients, so the two numbers are not quite as honest as those of nested cross-validation, which would cost
    a network for each pair of folds.
    """
    p, steps = raw.p.copy(), []
    for fold in folds:
        others = np.setdiff1d(np.arange(len(raw.y)), fold.held_out)
        step = fit_recalibration(raw.y[others], raw.p[others, fold.repeat])
        p[fold.held_out, fold.repeat] = step.apply(raw.p[fold.held_out, fold.repeat])
        steps.append(step)
    return OutOfFold(y=raw.y, p=p, fold=raw.fold), tuple(steps)
