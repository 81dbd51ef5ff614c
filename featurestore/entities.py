"""The entities that rows are about: a patient of a center, and one outlined region of one image of his."""

from dataclasses import dataclass

KEY_COLUMNS = ("center", "case_id", "phase", "roi", "observer")
PATIENT_COLUMNS = ("center", "case_id")


@dataclass(frozen=True, kw_only=True, order=True)
class CaseKey:
    """One region of interest in one image of one patient, as outlined by one observer.

    Args:
        center: The institution that sent it.
        case_id: The patient's pseudonym under the center's key.
        phase: The contrast phase or modality.
        roi: The name of the region.
        observer: Who outlined it; empty when only one mask was sent.
    """

    center: str
    case_id: str
    phase: str
    roi: str
    observer: str

    def __str__(self) -> str:
        parts = (self.center, self.case_id[:12], self.phase, self.roi, self.observer)
        return " / ".join(part for part in parts if part)

    def columns(self) -> dict[str, str]:
        """Returns the key as table columns, in the order of `KEY_COLUMNS`."""
        return {name: getattr(self, name) for name in KEY_COLUMNS}

    def stem(self) -> str:
        """Returns a file name stem that is unique within the center."""
        return "_".join(part for part in (self.case_id, self.phase, self.roi, self.observer) if part)
