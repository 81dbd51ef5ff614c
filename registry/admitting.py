"""The event by which a hospital whose cases were scored becomes an external center of the study."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from featurestore.files import exclusive
from registry.keeping import commit, require_repository
from registry.ledger import Event, Ledger
from registry.states import ADMIT


def is_admitted(events: Sequence[Event], center: str) -> bool:
    """Returns whether the ledger has the event."""
    return any(event.verb == ADMIT and event.details["center"] == center for event in events)


def admit(study: Path, ledger: Ledger, details: Mapping[str, object], why: str) -> None:
    """Writes the event, once, and commits it.

    Args:
        study: The study's root.
        ledger: Its ledger.
        details: `center`, `n`, `labelled`, and `read` if its labels were seen before.
        why: The reason.
    """
    require_repository(study)
    center = str(details["center"])
    with exclusive(study / ".radmill" / "registry.lock", f"radmill center admit {center}"):
        if not is_admitted(ledger.events(), center):
            ledger.append(ADMIT, "", why=why, details=dict(details))
        commit(study, [ledger.path], f"Admit center {center}")
