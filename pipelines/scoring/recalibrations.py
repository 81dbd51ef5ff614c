"""Which labelled cases of a hospital went into a package or an adapter, so that later figures leave them out.

Ledger and manifest have the list's digest, because pseudonyms of a hospital's patients do not belong into git; the list
lies beside the hospital's tables and is checked against it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from featurestore.errors import DamagedTableError
from featurestore.files import write_json
from featurestore.fingerprints import combined_digest
from pipelines.scoring.places import Deployment
from registry.package import ModelPackage
from registry.recalibrating import recalibrations_of

RECALIBRATION = "recalibration"
FOLDER = "recalibrations"


def write_cases(deployment: Deployment, center: str, cases: Sequence[str]) -> str:
    """Keeps a list of cases and returns its digest, whatever their order."""
    name = combined_digest(cases)
    write_json(_path(deployment, center, name), {"cases": sorted(cases)})
    return name


def cases_of(deployment: Deployment, center: str, package: ModelPackage) -> dict[str, frozenset[str]]:
    """Returns, by reason, the hospital's cases whose labels made the package what it is.

    Raises:
        DamagedTableError: A list that the package names is gone, or is not what its name says.
    """
    own = [str(one["cases"]) for one in recalibrations_of(package.manifest) if one["center"] == center]
    cases = frozenset(case for name in own for case in _read(_path(deployment, center, name), name))
    return {RECALIBRATION: cases} if cases else {}


def _path(deployment: Deployment, center: str, name: str) -> Path:
    return deployment.center(center) / FOLDER / f"{name[:16]}.json"


def _read(path: Path, name: str) -> list[str]:
    try:
        cases = [str(case) for case in json.loads(path.read_bytes())["cases"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedTableError("the list of cases is gone or unreadable", where=path.name, remedy=_REMEDY) from error
    if combined_digest(cases) != name:
        raise DamagedTableError("is not the list that the package names", where=path.name, remedy=_REMEDY)
    return cases


_REMEDY = "take the file back from a backup of deployment/; without it figures of this hospital would flatter the model"
