"""The shifts of external centers, for models that harmonize: from all their cases, without a label."""

import numpy as np
import pandas as pd

from featurestore.harmonization import Adapter, TooFewCasesError
from registry.harmonizing import Harmonizer
from registry.parts import Part


def center_adapters(package: Part, wide: pd.DataFrame) -> tuple[dict[str, Adapter], list[str]]:
    """Estimates the shift of every center that was not in the package's fit.

    Args:
        package: Any package; one that does not harmonize needs no shifts.
        wide: `center`, `case_id` and the package's features of all cases, labelled or not. There is no label here.

    Returns:
        The adapters by center, and the centers with too few cases.
    """
    if not package.is_harmonized:
        return {}, []
    harmonizer, adapters, alien = Harmonizer(package), dict[str, Adapter](), list[str]()
    for center, rows in wide.groupby("center", sort=True):
        if center in package.manifest["harmonization"]["centers"]:
            continue
        X = rows[list(package.features)].to_numpy(np.float64)
        told = ~harmonizer.lacking(X)  # who lacks a covariate has no part in the shift, and gets no score
        try:
            adapters[str(center)] = harmonizer.adapter(X[told], str(center), rows["case_id"][told].tolist())
        except TooFewCasesError:
            alien.append(str(center))
    return adapters, alien
