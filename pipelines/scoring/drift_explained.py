"""How much of a shift of scores the features that moved explain; one method for every kind of model on features.

The moved features of the hospital's cases are put back: each case gets, instead of its value, that of development at
the same rank. The model is asked again. What then is gone of the shift of mean scores was theirs; what stays came with
features that did not move by themselves, or with how they hang together. The same is done for the moved features of
one family, or one image type, alone; such parts need not add up, since features of different families rise together.

For a logistic regression the shift of log odds that goes this way is exactly the sum of coefficient times shift of
each feature, as long as no value is clipped.

A network sees no features, and a model that harmonizes sees others than were measured: nothing is told of these.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.models.predicting import CaseInputs, predict_cases
from pipelines.radiomics.catalog import FAMILIES
from pipelines.scoring.drift_statistics import Scale
from pipelines.scoring.drift_variables import is_harmonized
from pipelines.scoring.patient_rows import of_part
from registry.parts import Part

Floats = NDArray[np.float64]

MOST_CASES = 300
"""More cases say little more of a mean, and cost a prediction each for every group of features."""

ALL, FAMILY, IMAGE = "all", "family", "image"
OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Explained:
    """The mean score with some features put back.

    Args:
        group: all, a family of features, or an image type.
        kind: all, family or image.
        moved: How many features were put back.
        features: How many the group has.
        mean_without: The mean score then.
    """

    group: str
    kind: str
    moved: int
    features: int
    mean_without: float


def can_explain(package: Part) -> bool:
    """Returns whether the model sees features, as they were measured, and nothing else."""
    parts = package.members if package.is_fusion else (package,)
    return bool(package.features) and not is_harmonized(package) and not any(part.is_deep for part in parts)


def explained(
    package: Part, wide: pd.DataFrame, scales: Mapping[str, Scale], moved: Collection[str]
) -> tuple[float, list[Explained]]:
    """Returns the mean score of the cases as they are, and with moved features put back, by group of features.

    Args:
        package: One that `can_explain`.
        wide: The cases: `center`, `case_id` and the package's features.
        scales: What development knows of the features.
        moved: The features that moved.
    """
    wide = wide.iloc[:MOST_CASES].reset_index(drop=True)
    back = pd.DataFrame({name: put_back(scales[name], wide[name].to_numpy(np.float64)) for name in sorted(moved)})
    found = []
    for kind, group, names in groups(package.features):
        own = [name for name in names if name in moved]
        if own:
            mixed = wide.copy()
            mixed[own] = back[own]
            mean = _mean(package, mixed)
            found.append(Explained(group=group, kind=kind, moved=len(own), features=len(names), mean_without=mean))
    return _mean(package, wide), found


def put_back(scale: Scale, values: Floats) -> Floats:
    """Returns, for each value, development's at the same rank; NaN stays, shape (n,)."""
    from scipy.stats import rankdata

    known = ~np.isnan(values)
    found = values.copy()
    if known.any():
        share = (rankdata(values[known]) - 0.5) / known.sum()
        found[known] = np.interp(share, (scale.low + np.append(0.0, scale.high[:-1])) / 2, scale.values)
    return found


def groups(features: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yields kind, name and members of every group of features: all, then by family, then by image type."""
    yield ALL, ALL, list(features)
    for kind, place in ((FAMILY, 1), (IMAGE, 0)):
        found: dict[str, list[str]] = {}
        for name in features:
            found.setdefault(family_and_image(name)[1 - place], []).append(name)
        for group in sorted(found):
            yield kind, group, found[group]


def family_and_image(name: str) -> tuple[str, str]:
    """Returns the family and the image type of a feature in words, such as gray-level co-occurrence matrix, wavelet."""
    words = name.rpartition(".")[2].split("_")
    if len(words) < 3 or words[1] not in FAMILIES:
        return OTHER, OTHER
    image = words[0]
    return FAMILIES[words[1]], "wavelet" if image.startswith("wavelet") else image


def _mean(package: Part, wide: pd.DataFrame) -> float:
    inputs = CaseInputs(
        center=wide["center"].to_numpy(np.str_),
        case_id=wide["case_id"].to_numpy(np.str_),
        features=lambda part: of_part(wide, package, part),
    )
    return float(np.nanmean(predict_cases(package, inputs).p))
