"""What harmonization may keep the effect of: columns that are known for everybody and do not tell the outcome."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import InputError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class LabelCovariateError(InputError):
    """The outcome is kept as a covariate, which writes it into the features."""

    default_remedy = "take it out of the covariates; harmonization must not know the outcome"


class UnknownCovariateError(InputError):
    """A covariate is no column of the training set."""

    default_remedy = "name a column of the model's service in full, such as clinical.age; `joins` brings it there"


class CovariateMissingError(InputError):
    """A covariate is not known for everybody, and a guess would be written into all his features."""

    default_remedy = "fill the column in, leave these patients out, or take it out of harmonization.covariates"


def covariate_columns(names: Sequence[str], covariates: Sequence[str]) -> Indices:
    """Returns where the covariates stand among the columns, shape (q,).

    Raises:
        UnknownCovariateError: One is no column.
    """
    unknown = [name for name in covariates if name not in set(names)]
    if unknown:
        raise UnknownCovariateError(f"there is no column {', '.join(unknown)}", where="harmonization.covariates")
    return np.array([list(names).index(name) for name in covariates], dtype=np.int64)


def lacking_covariates(X: Floats, columns: Indices) -> NDArray[np.bool_]:
    """Returns which rows lack a covariate, shape (n,)."""
    return np.asarray(~np.isfinite(X[:, columns]).all(axis=1), np.bool_)


def refuse_lacking(X: Floats, columns: Indices, names: Sequence[str]) -> None:
    """Checks that every row has every covariate.

    Args:
        X: Features as measured, shape (n, p).
        columns: Where the covariates stand, shape (q,).
        names: What they are called.

    Raises:
        CovariateMissingError: A row lacks one.
    """
    for name, column in zip(names, columns.tolist(), strict=True):
        n = int((~np.isfinite(X[:, column])).sum())
        if n:
            raise CovariateMissingError(f"{n} of {len(X)} patients have no {name}", where="harmonization.covariates")


def refuse_label(covariates: Sequence[str], outcome: Sequence[str]) -> None:
    """Checks that no covariate is called as the outcome, whatever its view or the value it stands for.

    Raises:
        LabelCovariateError: One is.
    """
    bare = {name.split(".", 1)[-1].split("=", 1)[0]: name for name in covariates}
    found = sorted({*covariates, *bare} & set(outcome))
    if found:
        raise LabelCovariateError(f"{bare.get(found[0], found[0])} is the outcome", where="harmonization.covariates")


def refuse_telling(covariates: Floats, names: Sequence[str], y: NDArray[np.int8]) -> None:
    """Checks that no covariate has the outcome's values under another name.

    Args:
        covariates: Shape (n, q).
        names: Of the columns.
        y: Labels, shape (n,).

    Raises:
        LabelCovariateError: All values of one class lie on one side of all of the other.
    """
    for name, column in zip(names, covariates.T, strict=True):
        negative, positive = column[y == 0], column[y == 1]
        if len(negative) and len(positive) and _are_apart(negative, positive):
            raise LabelCovariateError(f"{name} has the outcome's values", where="harmonization.covariates")


def _are_apart(a: Floats, b: Floats) -> bool:
    return bool(a.max() < b.min() or b.max() < a.min())
