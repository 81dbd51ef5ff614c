"""The list of cases that a hospital's shift is estimated from: fixed once, by an event or by the first so many cases.

The ledger has the list's digest, because pseudonyms of a hospital's patients do not belong into git; the list itself
lies beside the hospital's tables and is checked against it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from featurestore.errors import DamagedTableError, InputError
from featurestore.files import write_json
from featurestore.fingerprints import combined_digest
from registry.freezing import frozen_digest
from registry.ledger import Event

NAME = "frozen.json"


class FrozenBeforeError(InputError):
    """The hospital's list was fixed before."""

    default_remedy = "nothing: scores rest on the list as it is; a new list would change them all"


@dataclass(frozen=True)
class FrozenList:
    """The cases of one hospital's list, by pseudonym."""

    cases: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The list's name, whatever the order of cases."""
        return combined_digest(self.cases)


def frozen_list(folder: Path, center: str, events: Sequence[Event]) -> FrozenList | None:
    """Returns the hospital's list, if it was fixed.

    Raises:
        DamagedTableError: It is not the one that the ledger names, or cannot be read.
    """
    path, named = folder / NAME, frozen_digest(events, center)
    if not path.is_file():
        if named is not None:
            raise DamagedTableError("the list that the ledger names is gone", where=f"{center}/{NAME}", remedy=_REMEDY)
        return None
    try:
        found = FrozenList(tuple(json.loads(path.read_bytes())["cases"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedTableError(f"unreadable: {error}", where=f"{center}/{NAME}", remedy=_REMEDY) from error
    if named is not None and found.digest != named:
        raise DamagedTableError("is not the list that the ledger names", where=f"{center}/{NAME}", remedy=_REMEDY)
    return found


def write_list(folder: Path, cases: Sequence[str]) -> FrozenList:
    """Fixes the list."""
    made = FrozenList(tuple(sorted(cases)))
    write_json(folder / NAME, {"cases": list(made.cases), "digest": made.digest})
    return made


def chosen_list(
    folder: Path, center: str, events: Sequence[Event], case_ids: Sequence[str], needed: int
) -> FrozenList | None:
    """Returns the fixed list, or fixes it now if enough cases are here; none while there are too few.

    Args:
        folder: The hospital's folder.
        center: The hospital.
        events: The ledger.
        case_ids: The cases that are here.
        needed: From how many on the first ones become the list; 0 leaves it to the event.
    """
    known = frozen_list(folder, center, events)
    if known is not None or not needed or len(case_ids) < needed:
        return known
    return write_list(folder, sorted(case_ids)[:needed])


_REMEDY = "take the file back from a backup of deployment/; scores of this hospital rest on it"
