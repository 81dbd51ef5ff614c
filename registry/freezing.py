"""The event that fixes the cases from which a hospital's shift is estimated."""

from collections.abc import Sequence
from pathlib import Path

from featurestore.files import exclusive
from registry.keeping import commit, require_repository
from registry.ledger import Event, Ledger
from registry.states import FREEZE


def frozen_digest(events: Sequence[Event], center: str) -> str | None:
    """Returns the digest of a hospital's list of cases as the ledger has it; none before it was fixed."""
    told = [event.details["cases"] for event in events if event.verb == FREEZE and event.details["center"] == center]
    return str(told[0]) if told else None


def freeze(study: Path, ledger: Ledger, center: str, cases: str, n: int, why: str) -> None:
    """Writes the event and commits it; the list itself lies in its place before.

    Args:
        study: The study's root.
        ledger: Its ledger.
        center: The hospital.
        cases: The digest of the list.
        n: How many cases are on it.
        why: The reason.
    """
    require_repository(study)
    with exclusive(study / ".radmill" / "registry.lock", f"radmill center freeze {center}"):
        ledger.append(FREEZE, "", why=why, details={"center": center, "cases": cases, "n": n})
        commit(study, [ledger.path], f"Freeze the cases of center {center}")
