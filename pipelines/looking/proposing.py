"""From what was seen to what is proposed, with the tables that show it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.looking.columns import label_candidates, seen_columns
from pipelines.looking.found import SeenCenter, SeenColumn, shown_tally, tally
from pipelines.looking.phases import SeenPhase, seen_phases
from pipelines.looking.telling import is_telling

Row = dict[str, object]

TUMOR = r"(?i)tumou?r|gtv|lesion|mass"
"""What readers call the tumor, in most of the cohorts that are published."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What a look at all centers proposes.

    Args:
        centers: What was seen of each.
        phases: The phases.
        columns: The columns of the clinical tables.
        labels: Those that may be the outcome.
        roi_pattern: The expression on names of regions.
        roi_label: The value of the region in masks, or `auto`.
        observers: Who outlined, where file names tell.
    """

    centers: tuple[SeenCenter, ...]
    phases: tuple[SeenPhase, ...]
    columns: tuple[SeenColumn, ...]
    labels: tuple[SeenColumn, ...]
    roi_pattern: str
    roi_label: int | str
    observers: tuple[str, ...]

    @property
    def n_tables(self) -> int:
        """How many centers sent a clinical table that can be read."""
        return sum(center.table is not None for center in self.centers)

    def column(self, name: str) -> SeenColumn | None:
        """Returns a column by its name in any case."""
        return next((column for column in self.columns if column.name.casefold() == name.casefold()), None)

    def center_rows(self) -> list[Row]:
        """Returns the centers as table rows, without names of patients."""
        return [_center_row(center) for center in self.centers]

    def phase_rows(self) -> list[Row]:
        """Returns the phases as table rows."""
        return [_phase_row(phase) for phase in self.phases]

    def column_rows(self, names: Sequence[str]) -> list[Row]:
        """Returns columns as table rows."""
        wanted = [column for name in names if (column := self.column(name)) is not None]
        return [
            {"column": c.name, "kind": c.kind, "values (patients)": _values(c), "without": c.n_missing} for c in wanted
        ]

    def region_rows(self) -> list[Row]:
        """Returns names of regions, or values in masks, as table rows."""
        names = tally(pair for center in self.centers for pair in _named(center))
        values = sum((center.labels for center in self.centers), Counter[int]())
        rows: list[Row] = [
            {"region": name, "patients": n} for name, n in names.most_common() if not is_telling(name, n)
        ]
        hidden = sum(is_telling(name, n) for name, n in names.items())
        rows += (
            [{"region": f"{hidden} names withheld, each of one or two patients", "patients": None}] if hidden else []
        )
        rows += [
            {"region": f"mask value {value} in the masks opened", "patients": n} for value, n in sorted(values.items())
        ]
        return rows

    def remarks(self) -> list[str]:
        """Returns what a person should know before going on."""
        told = [f"{center.name}: {problem}" for center in self.centers for problem in center.problems]
        for center in self.centers:
            if center.table is None and not any("clinical.csv" in problem for problem in center.problems):
                told.append(f"{center.name}: there is no clinical.csv in its folder, where the label must be")
            if center.table is not None and center.images and not center.n_matched():
                told.append(f"{center.name}: no patient of clinical.csv has images here: compare the identifiers")
            if not center.images:
                told.append(f"{center.name}: no image was found; NIfTI must lie in a folder a patient")
        told += [
            f"{phase.name}: {phase.n_several} patients have several images that match; make the pattern narrower"
            for phase in self.phases
            if phase.n_several > phase.n_one / 10
        ]
        return told


def propose(centers: Sequence[SeenCenter]) -> Proposal:
    """Returns what the centers together propose."""
    columns = seen_columns(centers)
    n_tables = sum(center.table is not None for center in centers)
    values = set().union(*(center.labels for center in centers))
    observers = {name for center in centers for name in center.observers if _is_shared(name, centers)}
    return Proposal(
        centers=tuple(centers),
        phases=tuple(seen_phases(centers)),
        columns=tuple(columns),
        labels=tuple(label_candidates(columns, n_tables)),
        roi_pattern=_roi_pattern(centers),
        roi_label=1 if len(values) > 1 and 1 in values else "auto",
        observers=tuple(sorted(observers)),
    )


def _is_shared(name: str, centers: Sequence[SeenCenter]) -> bool:
    return not is_telling(name, sum(center.observers[name] for center in centers))


def _named(center: SeenCenter) -> set[tuple[str, str]]:
    return {(f"{center.name} {patient}", name) for patient, name in center.regions}


def _roi_pattern(centers: Sequence[SeenCenter]) -> str:
    names = tally(pair for center in centers for pair in _named(center))
    if not names:
        return TUMOR
    whose = {pair[0] for center in centers for pair in _named(center)}
    found = {pair[0] for center in centers for pair in _named(center) if re.search(TUMOR, pair[1])}
    if len(found) > len(whose) / 2:
        return TUMOR
    name, n = names.most_common(1)[0]
    return f"(?i)^{re.escape(name)}" if not is_telling(name, n) else ".*"


def _center_row(center: SeenCenter) -> Row:
    n = len(center.patients)
    forms = sorted({"DICOM" if image.form == "dicom" else "NIfTI/NRRD" for image in center.images})
    table = "none" if center.table is None else f"{len(center.table.rows)} rows"
    if center.table is not None and center.table.patient_column:
        table += f", patients in {center.table.patient_column}"
    return {
        "center": center.name,
        "files": center.n_files,
        "format": " and ".join(forms) or "–",
        "patients looked at": f"first {n}" if center.is_partial else n,
        "with outlines": len({image.patient for image in center.images if image.is_outlined}),
        "clinical.csv": table,
        "patients in both": center.n_matched(),
    }


def _phase_row(phase: SeenPhase) -> Row:
    low, high = phase.delays or (None, None)
    return {
        "phase": phase.name,
        "pattern": phase.pattern,
        "seen as": shown_tally(phase.texts) or "–",
        "delay": f"{low:.0f}–{high:.0f} s" if low is not None else "–",
        "patients with one": phase.n_one,
        "several": phase.n_several,
        "none": phase.n_none,
    }


def _values(column: SeenColumn) -> str:
    if column.is_private:
        return "withheld"
    if column.kind == "number":
        numbers = sorted(float(value.replace(",", ".")) for value in column.values)
        return f"{numbers[0]:g} to {numbers[-1]:g}"
    return shown_tally(column.values)
