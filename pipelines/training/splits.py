"""Who is kept aside, and how training patients are dealt into folds."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import InputError
from featurestore.training_sets import INTERNAL, TRAINING
from pipelines.models.base import Labels

SIDES = (TRAINING, INTERNAL)
"""Where models are made, and where they are looked at only once they are made."""


class TooFewPatientsError(InputError):
    """Cross-validation needs more patients of a class than there are."""

    default_remedy = "lower tuning.folds, lower split.internal_fraction, or add patients"


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """One fold of one repeat: which rows are learned from and which are held out."""

    repeat: int
    number: int
    fit: NDArray[np.intp]
    held_out: NDArray[np.intp]


def side(center: str, case_id: str, seed: int, internal_fraction: float) -> str:
    """Returns the patient's side of the split, from a seeded hash of his name alone.

    Nobody moves a patient by joining or leaving. The fraction holds on average, so a small cohort may be off it.
    """
    state = hashlib.sha256(f"{seed}\0{center}\0{case_id}".encode()).digest()
    return INTERNAL if int.from_bytes(state[:8], "big") < internal_fraction * 2**64 else TRAINING


def repeated_folds(y: Labels, center: NDArray[np.str_], folds: int, repeats: int, seed: int) -> tuple[Fold, ...]:
    """Deals patients into folds, several times over.

    Patients are shuffled within each label and center and then dealt one after another, labels outermost: each fold
    has the same number of each label but for one, and of each center within a label but for one. A center with fewer
    patients than folds needs no rule of its own.

    Args:
        y: Labels, shape (n,).
        center: The patients' centers, shape (n,).
        folds: How many folds.
        repeats: How many times.
        seed: Decides the shuffles.

    Raises:
        TooFewPatientsError: A label has fewer patients than there are folds.
    """
    counts = {label: int((y == label).sum()) for label in (0, 1)}
    if min(counts.values()) < folds:
        raise TooFewPatientsError(
            f"{counts[1]} positive and {counts[0]} negative training patients for {folds} folds", where="tuning.folds"
        )
    rng = np.random.default_rng(seed)
    return tuple(fold for repeat in range(repeats) for fold in _split(repeat, _dealt(y, center, folds, rng), folds))


def _dealt(y: Labels, center: NDArray[np.str_], folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    shuffled = rng.permutation(len(y))
    dealt = shuffled[np.lexsort((center[shuffled], y[shuffled]))]
    number = np.empty(len(y), np.intp)
    number[dealt] = (np.arange(len(y)) + rng.integers(folds)) % folds
    return number


def _split(repeat: int, number: NDArray[np.intp], folds: int) -> Iterator[Fold]:
    for k in range(folds):
        yield Fold(repeat=repeat, number=k, fit=np.flatnonzero(number != k), held_out=np.flatnonzero(number == k))
