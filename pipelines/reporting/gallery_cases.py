"""What the gallery shows: every case that was sent, with its picture where there is one and its quality control."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.tables import read_frame
from pipelines.images.files import DamagedImageError
from pipelines.reporting.gallery_pictures import Picture, case_picture
from pipelines.workspace import Role, Workspace

WORST_FIRST = ("failed", "refused", "warned", "excluded", "ok")
"""The order in which statuses ask to be looked at."""

SHOT = ["center", "case_id", "phase", "roi"]


@dataclass(frozen=True, kw_only=True)
class Note:
    """How quality control ended, or what it remarked on one item."""

    status: str
    code: str = ""
    message: str = ""
    remedy: str = ""
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One phase and region of a patient.

    Args:
        phase: The phase.
        roi: The region; empty where none was found.
        notes: What quality control says, worst first.
        picture: The picture; none where nothing was stored.
        is_lost: Whether an image should be stored and cannot be read.
    """

    phase: str
    roi: str
    notes: tuple[Note, ...]
    picture: Picture | None = None
    is_lost: bool = False

    @property
    def status(self) -> str:
        """The worst of its notes."""
        return worst(note.status for note in self.notes)


@dataclass(frozen=True, kw_only=True)
class Patient:
    """One patient of the gallery."""

    center: str
    case_id: str
    role: str
    shots: tuple[Shot, ...]
    notes: tuple[Note, ...] = field(default=())

    @property
    def status(self) -> str:
        """The worst that was said of the patient or one of his cases."""
        return worst([*(note.status for note in self.notes), *(shot.status for shot in self.shots)])


def worst(statuses: Any) -> str:
    """Returns the status that asks most to be looked at."""
    found = set(statuses)
    return next((status for status in WORST_FIRST if status in found), "ok")


def patients_of(workspace: Workspace, role: Role, phases: Sequence[str]) -> Iterator[Patient]:
    """Yields the patients of a role, by center and case_id, each with his phases in the order given.

    Args:
        workspace: The study.
        role: Development or external.
        phases: The declared phases.
    """
    qc, cases = read_frame(workspace.view(role, "qc")), read_frame(workspace.view(role, "cases"))
    if qc.empty:
        return
    scanned_in_hu = ct_phases(read_frame(workspace.view(role, "acquisition")))
    stored = dict(list(cases.groupby(SHOT))) if len(cases) else {}
    known = qc[qc["case_id"] != ""]
    order = {phase: number for number, phase in enumerate(phases)}
    for (center, case_id), own in known.groupby(["center", "case_id"], sort=True):
        of_phase = own[own["phase"] != ""]
        keys = sorted(
            set(zip(of_phase["phase"], of_phase["roi"], strict=True)), key=lambda key: (order.get(key[0], 99), key)
        )
        shots = []
        for phase, roi in keys:
            rows = of_phase[(of_phase["phase"] == phase) & (of_phase["roi"] == roi)]
            part = stored.get((center, case_id, phase, roi))
            shots.append(_shot(workspace.cases(role), phase, roi, rows, part, is_ct=phase in scanned_in_hu))
        yield Patient(
            center=str(center),
            case_id=str(case_id),
            role=role,
            shots=tuple(shots),
            notes=_notes(own[own["phase"] == ""]),
        )


def ct_phases(acquisition: pd.DataFrame) -> set[str]:
    """Returns the phases that some center's scanner made with a tube voltage: their voxels are HU in every center."""
    if acquisition.empty:
        return set()
    return set(acquisition.loc[acquisition["kvp"].notna(), "phase"])


def _shot(folder: Path, phase: str, roi: str, rows: pd.DataFrame, stored: pd.DataFrame | None, *, is_ct: bool) -> Shot:
    picture, is_lost = None, False
    if stored is not None and len(stored):
        first = stored.sort_values(["is_primary", "observer"], ascending=[False, True])
        try:
            picture = case_picture(folder, first.to_dict("records"), is_ct=is_ct)
        except DamagedImageError:
            is_lost = True
    return Shot(phase=phase, roi=roi, notes=_notes(rows), picture=picture, is_lost=is_lost)


def _notes(rows: pd.DataFrame) -> tuple[Note, ...]:
    """Returns what was said, worst first; that all is well is said once."""
    found = {
        Note(
            status=str(row["status"]),
            code=str(row["code"] or ""),
            message=str(row["message"] or ""),
            remedy=str(row["remedy"] or ""),
            about=str(row["observer"] or ""),
        )
        for row in rows.to_dict("records")
    }
    spoken = [note for note in found if note.status != "ok" or note.message]
    return tuple(sorted(spoken, key=lambda note: (WORST_FIRST.index(note.status), note.code, note.message, note.about)))
