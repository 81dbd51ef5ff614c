"""Conformal prediction sets: the classes that a score does not speak against, at a stated rate of error by class.

Class-conditional split conformal: of the cases of each class, at most a share `alpha` gets a set without the class, on
average over who was held out, as long as new cases come from where the held-out ones came. At another hospital they may
not, and the promise is void until the hospital's own labelled cases take the place of development's.

Source: Vovk 2012, Conditional validity of inductive conformal predictors, ACML, PMLR 25:475.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from featurestore.errors import DamagedTableError
from featurestore.files import write_json
from featurestore.fingerprints import digest
from pipelines.models.base import Floats

LEAST = 19
"""Of fewer cases of a class no set at 95 % can leave it out."""

NEGATIVE, POSITIVE, BOTH, NEITHER = "negative", "positive", "both", "none"
FOLDER = "conformal"
RECALIBRATED = "conformal"
"""Why cases are left out of a hospital's figures."""

Reference = Mapping[int, Floats]
"""Nonconformity of held-out cases, rising, by class: p of a negative one, 1 - p of a positive one."""


@dataclass(frozen=True, kw_only=True)
class ConformalAdapter:
    """A hospital's own labelled cases in place of the development's, under one package; kept by its digest.

    Args:
        center: The hospital.
        package: The package's digest.
        negative: Nonconformity of its negative cases, rising.
        positive: Nonconformity of its positive cases, rising.
        cases: Pseudonyms of all of them, sorted.
    """

    center: str
    package: str
    negative: tuple[float, ...]
    positive: tuple[float, ...]
    cases: tuple[str, ...]

    @property
    def reference(self) -> Reference:
        """The values as prediction sets need them."""
        return {0: np.asarray(self.negative), 1: np.asarray(self.positive)}

    @property
    def digest(self) -> str:
        """The adapter's name."""
        return digest(self.plain())

    def plain(self) -> dict[str, Any]:
        """Returns the adapter as JSON types."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def from_plain(cls, told: Mapping[str, Any]) -> Self:
        """Returns the adapter that was written so."""
        values = {name: tuple(float(one) for one in told[name]) for name in ("negative", "positive")}
        cases = tuple(str(case) for case in told["cases"])
        return cls(center=str(told["center"]), package=str(told["package"]), cases=cases, **values)


def least_cases(alpha: float) -> int:
    """Returns how many cases of a class are needed at an error rate; below, sets are void."""
    return max(LEAST, ceil(1 / alpha - 1e-9) - 1)


def p_values(strange: Floats, known: Floats) -> Floats:
    """Returns conformal p-values, shape (n,): the share of known values at least as large, the new one counted in.

    Args:
        strange: How strange new cases are, shape (n,); NaN gives NaN.
        known: How strange held-out cases are, rising, shape (m,).
    """
    at_least = len(known) - np.searchsorted(known, strange, side="left")
    return np.where(np.isnan(strange), np.nan, (1.0 + at_least) / (len(known) + 1.0))


def class_p_values(p: Floats, reference: Reference) -> tuple[Floats, Floats]:
    """Returns the p-value of the negative and of the positive class for probabilities, shape (n,) each."""
    return p_values(p, reference[0]), p_values(1 - p, reference[1])


def is_void(reference: Reference, alpha: float) -> bool:
    """Returns whether a class has too few held-out cases for sets at an error rate."""
    return min(len(reference[label]) for label in (0, 1)) < least_cases(alpha)


def prediction_sets(p: Floats, reference: Reference, alpha: float) -> list[str]:
    """Returns each probability's set: `negative`, `positive`, `both` or `none`; an empty text where sets are void."""
    if is_void(reference, alpha):
        return [""] * len(p)
    negative, positive = class_p_values(p, reference)
    names = {(True, True): BOTH, (True, False): NEGATIVE, (False, True): POSITIVE, (False, False): NEITHER}
    told = zip((negative > alpha).tolist(), (positive > alpha).tolist(), np.isnan(p).tolist(), strict=True)
    return ["" if is_unknown else names[(is_negative, is_positive)] for is_negative, is_positive, is_unknown in told]


def held_classes(told: pd.DataFrame, labels: pd.DataFrame, used: Collection[str]) -> dict[int, tuple[int, int]]:
    """Returns by class how many labelled cases have it in their set, and how many have a set: the promise, kept or not.

    Args:
        told: `case_id` and `prediction_set`.
        labels: `case_id` and `label` of those whose label is known.
        used: Cases that the sets rest on, which cannot judge them.
    """
    rows = told.merge(labels, on="case_id").dropna(subset=["label"])
    rows = rows[(rows["prediction_set"] != "") & ~rows["case_id"].isin(list(used))]
    own = {label: rows.loc[rows["label"] == label, "prediction_set"] for label in (0, 1)}
    names = {0: (NEGATIVE, BOTH), 1: (POSITIVE, BOTH)}
    return {label: (int(sets.isin(names[label]).sum()), len(sets)) for label, sets in own.items()}


def recalibrated(folder: Path, package: str) -> ConformalAdapter | None:
    """Returns a hospital's own adapter for a package, if it has one.

    Args:
        folder: The hospital's folder, `deployment/centers/<center>`.
        package: The package's digest.

    Raises:
        DamagedTableError: It is not what its name says.
    """
    for path in sorted((folder / FOLDER).glob(f"{package[:16]}-*.json")):
        return _read(path)
    return None


def cases_used(folder: Path, package: str) -> dict[str, frozenset[str]]:
    """Returns, by reason, the hospital's cases that calibrate its sets: its later figures leave them out."""
    adapter = recalibrated(folder, package)
    return {} if adapter is None else {RECALIBRATED: frozenset(adapter.cases)}


def kept_recalibration(
    folder: Path, center: str, package: str, scores: pd.DataFrame, labels: pd.DataFrame, *, at: int, alpha: float
) -> ConformalAdapter | None:
    """Returns the hospital's adapter: the kept one, or one made now if enough of its cases are labelled.

    It takes as many of each class as sets at `alpha` need, the first by pseudonym, which is an order that nothing else
    follows; the others stay for the hospital's figures. Made once, it is used unchanged.

    Args:
        folder: The hospital's folder.
        center: The hospital.
        package: The package's digest.
        scores: `case_id` and `probability` of the current scores under the package.
        labels: `case_id` and `label` of those whose label is known.
        at: From so many labelled cases of each class on; 0 means never.
        alpha: The error rate.

    Raises:
        DamagedTableError: The kept one is not what its name says.
    """
    known = recalibrated(folder, package)
    if known is not None or not at:
        return known
    rows = scores.merge(labels, on="case_id").dropna(subset=["label"]).sort_values("case_id")
    needed = least_cases(alpha)
    if min(int((rows["label"] == label).sum()) for label in (0, 1)) < max(at, needed):
        return None
    first = {label: rows[rows["label"] == label].head(needed) for label in (0, 1)}
    made = ConformalAdapter(
        center=center,
        package=package,
        negative=tuple(sorted(first[0]["probability"].tolist())),
        positive=tuple(sorted((1 - first[1]["probability"]).tolist())),
        cases=tuple(sorted(pd.concat(first.values())["case_id"])),
    )
    write_json(folder / FOLDER / f"{package[:16]}-{made.digest}.json", made.plain())
    return made


def _read(path: Path) -> ConformalAdapter:
    try:
        found = ConformalAdapter.from_plain(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedTableError("the adapter is unreadable", where=path.name[:24], remedy=_REMEDY) from error
    if not path.stem.endswith(f"-{found.digest}"):
        raise DamagedTableError("is not what its name says", where=path.name[:24], remedy=_REMEDY)
    return found


_REMEDY = "take the file back from a backup of deployment/; without it the hospital's prediction sets would change"
