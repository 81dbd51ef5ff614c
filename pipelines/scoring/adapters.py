"""Adapters: the shift of a new hospital, estimated once and used unchanged; data only, named by its digest."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from featurestore.errors import DamagedTableError
from featurestore.files import write_json
from featurestore.harmonization import Adapter
from registry.harmonizing import Harmonizer
from registry.parts import Part


def kept_adapter(folder: Path, package: Part, X: NDArray[np.float64], center: str, cases: pd.DataFrame) -> Adapter:
    """Returns the hospital's adapter for a package: the kept one, or one estimated now from the cases at hand.

    Args:
        folder: Where the hospital's adapters lie.
        package: A package that harmonizes.
        X: The features of all its cases, shape (n, p).
        center: The hospital.
        cases: Their `case_id`, in the order of X.

    Raises:
        TooFewCasesError: There is none yet, and there are too few cases to estimate one.
        DamagedTableError: A kept one is not what its name says.
    """
    fit = str(package.manifest["harmonization"]["fit"])
    for path in sorted(folder.glob("*.json")):
        adapter = read_adapter(path)
        if adapter.fit == fit:
            return adapter
    adapter = Harmonizer(package).adapter(X, center, cases["case_id"].tolist())
    write_json(folder / f"{adapter.digest}.json", adapter.plain())
    return adapter


def neutral_adapter(package: Part, center: str) -> Adapter:
    """Returns the adapter that moves nothing: features stay as they were measured."""
    fit = Harmonizer(package).combat
    gamma, delta = np.zeros_like(fit.mean), np.ones_like(fit.mean)
    return Adapter(center=center, fit=fit.digest, cases="", n=0, gamma=gamma, delta=delta)


def read_adapter(path: Path) -> Adapter:
    """Reads an adapter and checks it against its name.

    Raises:
        DamagedTableError: It is not what its name says.
    """
    try:
        adapter = Adapter.from_plain(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedTableError(f"unreadable: {error}", where=f"adapters/{path.name}") from error
    if adapter.digest != path.stem:
        raise DamagedTableError("it is not what its name says", where=f"adapters/{path.name[:12]}")
    return adapter


def cases_needed(package: Part) -> int:
    """Returns how many cases of a new hospital the package and its members ask for; 0 when none harmonizes."""
    own = [int(package.manifest["harmonization"]["rules"]["minimum_cases"])] if package.is_harmonized else []
    return max([*own, *(cases_needed(member) for member in package.members)], default=0)
