"""The gallery: every case's outline beside its quality control, to be looked through before anything is trained."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from featurestore.files import sweep
from featurestore.tables import read_frame
from pipelines.params import Params
from pipelines.record import installed
from pipelines.reporting.gallery_cases import SHOT, WORST_FIRST, Patient, patients_of
from pipelines.reporting.gallery_pictures import AROUND_MM, CT_WINDOW_HU, PERCENTILES
from pipelines.reporting.pages import write_page
from pipelines.runner import Progress, Silent
from pipelines.workspace import ROLES, Role, Workspace

PICTURES_A_PAGE = 1500
"""About 10 MB; beyond it every center gets pages of its own."""

PATIENTS_A_PAGE = 400


@dataclass(frozen=True, kw_only=True)
class GallerySummary:
    """What was written.

    Args:
        page: The page to open, relative to the study.
        patients: Patients shown.
        pictures: Pictures shown.
        lost: Stored images that could not be read.
        to_look_at: Patients about whom quality control remarks something.
    """

    page: str
    patients: int
    pictures: int
    lost: int
    to_look_at: int


@dataclass(kw_only=True)
class _Count:
    pictures: int = 0
    lost: int = 0
    others: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    def add(self, patient: Patient) -> None:
        self.statuses[patient.status] += 1
        for shot in patient.shots:
            self.pictures += shot.picture is not None
            self.lost += shot.is_lost
            self.others += shot.picture is not None and bool(shot.picture.others)

    @property
    def patients(self) -> int:
        return self.statuses.total()

    @property
    def to_look_at(self) -> int:
        return sum(n for status, n in self.statuses.items() if status not in ("ok", "excluded"))


def gallery(workspace: Workspace, params: Params, progress: Progress | None = None) -> GallerySummary:
    """Writes `reports/gallery.html`, and pages by center under `reports/gallery/` where there are too many cases."""
    progress, total = progress or Silent(), _Count()
    n_cases = sum(_n_pictures(workspace, role) for role in ROLES)
    progress.start("gallery", n_cases)
    patients = _counted(workspace, params, progress, total)
    folder = workspace.reports / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    front = workspace.reports / "gallery.html"
    if n_cases <= PICTURES_A_PAGE:
        kept = list(patients)
        write_page(front, "gallery.html", _content(params, kept, total))
        sweep(folder, set())
    else:
        pages = _write_pages(workspace, params, patients)
        write_page(front, "gallery.html", _content(params, [], total, pages))
    progress.finish()
    return GallerySummary(
        page=str(front.relative_to(workspace.root)),
        patients=total.patients,
        pictures=total.pictures,
        lost=total.lost,
        to_look_at=total.to_look_at,
    )


def _n_pictures(workspace: Workspace, role: Role) -> int:
    """Returns how many phases and regions are stored; further observers are drawn into the same picture."""
    cases = read_frame(workspace.view(role, "cases"), columns=SHOT)
    return len(cases.drop_duplicates()) if len(cases) else 0


def _counted(workspace: Workspace, params: Params, progress: Progress, total: _Count) -> Iterator[Patient]:
    for role in ROLES:
        for patient in patients_of(workspace, role, list(params.phases)):
            total.add(patient)
            for shot in patient.shots:
                if shot.picture is not None or shot.is_lost:
                    progress.advance()
            yield patient


def _write_pages(workspace: Workspace, params: Params, patients: Iterator[Patient]) -> list[dict[str, Any]]:
    """Writes pages of one center each and returns their lines of the front page; holds one page in memory."""
    pages, written = [], set()
    for center, of_center in groupby(patients, key=lambda patient: patient.center):
        for number, part in enumerate(_parts(of_center), start=1):
            count = _Count()
            for patient in part:
                count.add(patient)
            name = f"{center}-{number}.html"
            written.add(write_page(workspace.reports / "gallery" / name, "gallery.html", _content(params, part, count)))
            counts = {status: count.statuses[status] for status in WORST_FIRST}
            title = f"{center}, part {number}"
            pages.append({"path": f"gallery/{name}", "title": title, "patients": len(part), "counts": counts})
    sweep(workspace.reports / "gallery", written)
    return pages


def _parts(patients: Iterator[Patient]) -> Iterator[list[Patient]]:
    part: list[Patient] = []
    for patient in patients:
        part.append(patient)
        if len(part) == PATIENTS_A_PAGE:
            yield part
            part = []
    if part:
        yield part


def _content(
    params: Params, patients: list[Patient], count: _Count, pages: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    groups = [
        {"center": center, "role": own[0].role, "patients": [_patient(patient) for patient in own]}
        for center, own in ((name, list(part)) for name, part in groupby(patients, key=lambda p: p.center))
    ]
    n, noted = count.patients, count.to_look_at
    shown = f"{n} patient{'' if n == 1 else 's'}, {count.pictures} picture{'' if count.pictures == 1 else 's'}"
    asked = f"quality control remarks something about {noted} of them" if noted else "quality control remarks nothing"
    sections = [{"id": "look", "title": "How to look"}]
    return {
        "title": f"{params.study.name}: gallery",
        "study": params.study.name,
        "release": installed("radmill")["radmill"],
        "summary": f"{shown}; {asked}." if n else "Nothing was sent, or nothing was read yet.",
        "sections": [*sections, *({"id": f"at-{group['center']}", "title": group["center"]} for group in groups)],
        "groups": groups,
        "pages": pages or [],
        "counts": {status: count.statuses[status] for status in WORST_FIRST},
        "statuses": WORST_FIRST,
        "phases": list(params.phases),
        "centers": [group["center"] for group in groups],
        "around": f"{AROUND_MM:g}",
        "window": _window_words(),
        "has_others": count.others > 0,
        "has_regions": len({shot.roi for patient in patients for shot in patient.shots if shot.roi}) > 1,
        "example": _example(patients, params),
    }


def _patient(patient: Patient) -> dict[str, Any]:
    statuses = {patient.status, *(shot.status for shot in patient.shots)}
    return {
        "case_id": patient.case_id,
        "status": patient.status,
        "statuses": [status for status in WORST_FIRST if status in statuses],
        "notes": patient.notes,
        "shots": patient.shots,
    }


def _window_words() -> str:
    low, high = CT_WINDOW_HU
    return (
        f"CT is shown from {low:g} to {high:g} HU, other images from the {PERCENTILES[0]:g}st to the "
        f"{PERCENTILES[1]:g}th percentile of what is shown; the right of the patient is on the left."
    ).replace("-", "−")


def _example(patients: list[Patient], params: Params) -> str:
    first = next(iter(patients), None)
    phase = next(iter(params.phases), "")
    center, case_id = (first.center, first.case_id) if first else ("center", "case_id")
    return f"{center},{case_id},{phase},outline leaves the tumor"
