"""Search over hyperparameters, the same whether it ran in one go or was killed and taken up again.

Trials are asked for in fixed batches, by a sampler seeded with the study's seed and the batch's number, and told in
order. A search that is taken up again replays the same questions and finds the answers it already has in the journal.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featurestore.files import write_json
from pipelines.models.base import Values
from pipelines.models.spaces import Parameter, defaults
from pipelines.runner import Progress, Silent

MAXIMUM_STARTUP = 10
"""So many trials at most are drawn at random before the sampler learns from what it has seen."""

TIE_DIGITS = 12
"""Scores that agree so far are equal; the lower trial number wins."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One set of hyperparameters and its score on each fold."""

    number: int
    values: Values
    folds: tuple[float, ...]

    @property
    def value(self) -> float:
        """The mean over folds, which the search maximizes."""
        return float(np.mean(self.folds))


class Journal:
    """Remembers finished trials of one search in a scratch file.

    Args:
        path: The file; it may be deleted at any time.
        context: A hash of all that decides the search. A file of another search is not used.
    """

    def __init__(self, path: Path, context: str) -> None:
        self.path, self.context = path, context

    def read(self) -> dict[int, Trial]:
        """Returns the trials that are known, by number."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(content, dict) or content.get("context") != self.context:
            return {}
        trials = [Trial(**{**item, "folds": tuple(item["folds"])}) for item in content["trials"]]
        return {trial.number: trial for trial in trials}

    def write(self, trials: Sequence[Trial]) -> None:
        """Writes all trials so far, whole or not at all."""
        write_json(self.path, {"context": self.context, "trials": [asdict(trial) for trial in trials]})

    def remove(self) -> None:
        """Forgets the search; its result is elsewhere by now."""
        self.path.unlink(missing_ok=True)


def search(
    parameters: tuple[Parameter, ...],
    score: Callable[[Values], Sequence[float]],
    *,
    trials: int,
    batch: int,
    seed: int,
    journal: Journal | None = None,
    progress: Progress | None = None,
) -> list[Trial]:
    """Returns all trials in order.

    Args:
        parameters: What is searched; trial 0 has their defaults.
        score: Returns the score of each fold; larger is better.
        trials: How many trials.
        batch: How many are asked for at a time; it decides the result.
        seed: Decides the sampler.
        journal: Where finished trials are remembered.
        progress: What is told.
    """
    known = journal.read() if journal else {}
    telling = progress or Silent()
    study, done = _study(), list[Trial]()
    study.enqueue_trial(defaults(parameters))
    for number, first in enumerate(range(0, trials, batch)):
        study.sampler = _sampler(seed, number, startup=max(batch, min(MAXIMUM_STARTUP, trials // 3)))
        asked = [_ask(study, parameters) for _ in range(min(batch, trials - first))]
        for question in asked:
            done.append(_answer(question, known, score))
            telling.advance(note=f"{done[-1].value:.3f}")
        for question, trial in zip(asked, done[first:], strict=True):
            study.tell(question, trial.value)
        if journal:
            journal.write(done)
    return done


def best(trials: Sequence[Trial], folds: Sequence[int] | None = None) -> Trial:
    """Returns the trial with the largest mean, the lower number of equals.

    Args:
        trials: The trials.
        folds: Which folds count; all when left out.
    """

    def rank(trial: Trial) -> tuple[float, int]:
        scores = trial.folds if folds is None else [trial.folds[i] for i in folds]
        return round(float(np.mean(scores)), TIE_DIGITS), -trial.number

    return max(trials, key=rank)


def derived_seed(*parts: object) -> int:
    """Returns a seed that follows from all parts, from 0 to 2³² - 1."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:4], "big")


def _answer(question: Any, known: dict[int, Trial], score: Callable[[Values], Sequence[float]]) -> Trial:
    values: Values = dict(question.params)
    before = known.get(question.number)
    if before is not None and before.values == values:
        return before
    return Trial(number=question.number, values=values, folds=tuple(float(found) for found in score(values)))


def _study() -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize")


def _sampler(seed: int, batch: int, startup: int) -> Any:
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import TPESampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(
            seed=derived_seed(seed, batch),
            multivariate=True,
            constant_liar=False,
            n_startup_trials=startup,
        )


def _ask(study: Any, parameters: tuple[Parameter, ...]) -> Any:
    return study.ask({parameter.name: _distribution(parameter) for parameter in parameters})


def _distribution(parameter: Parameter) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match parameter.kind:
        case "choice":
            return CategoricalDistribution(parameter.choices)
        case "integer":
            return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
        case _:
            return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
