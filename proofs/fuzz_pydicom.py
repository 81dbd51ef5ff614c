"""pydicom's own test files: what its makers met in the wild, as it is, mutated, or as pixels of a series."""

from pathlib import Path

import numpy as np
import pydicom.data

from proofs.fuzz_base import AXIAL, Bytes, Generator, Place, dicom_bytes, opened, structure_set
from proofs.fuzz_dicom import mutated, uid_of

_LONGEST_MUTATED = 160_000
PER_INPUT = 2
"""Files as they are that one input has; the next input has the next ones."""


def pydicoms_own(place: Place) -> str:
    """Takes one of pydicom's own test files, mutated, or made into a series of four slices."""
    path = Path(place.pick([name for name in test_files() if Path(name).stat().st_size < _LONGEST_MUTATED]))
    data = path.read_bytes()
    way = place.pick(("mutated", "series", "series"))
    if way == "mutated":
        place.write({path.name: mutated(place, data)})
    else:
        place.write(_as_series(place, data) or {path.name: data})
    return f"{path.name}, {way}"


def as_they_are(place: Place) -> str:
    """Takes the next of all of pydicom's test files."""
    files = [Path(name) for name in test_files()]
    first = place.turn * PER_INPUT
    chosen = [files[n % len(files)] for n in range(first, first + PER_INPUT)]
    place.write({path.name: path.read_bytes() for path in chosen})
    return f"files as they are: {', '.join(path.name for path in chosen)}"


def test_files() -> list[str]:
    """Returns pydicom's test files that its wheel brings, sorted."""
    root = Path(pydicom.data.__file__).parent
    known = [p for p in root.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc", ".json", ".txt", ".md")]
    return sorted(map(str, known))


def _as_series(place: Place, data: bytes) -> Bytes | None:
    """Returns four slices with the file's pixels and encoding, and a structure set on them."""
    made = []
    for number in range(4):
        one = opened(data)
        if "PixelData" not in one or "Rows" not in one:
            return None
        one.PatientID, one.SeriesDescription, one.ImageType = place.name, "CT venous", ["ORIGINAL"]
        one.SeriesInstanceUID, one.FrameOfReferenceUID = uid_of(place.name, 0), uid_of(place.name, 1)
        one.StudyInstanceUID, one.SOPInstanceUID = uid_of(place.name, 2), uid_of(place.name, 10 + number)
        one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 2.5 * number], list(AXIAL)
        one.PixelSpacing, one.InstanceNumber = [0.75, 1.25], number + 1
        for name in ("SpacingBetweenSlices", "GantryDetectorTilt"):
            if name in one:
                del one[name]
        made.append(one)
    try:
        files = {f"IM{n}": dicom_bytes(one) for n, one in enumerate(made)}
    except Exception:
        return None
    plane = structure_set(place.name, [made[0]] * 8, place.rng)
    for contour, one in zip(plane.ROIContourSequence[0].ContourSequence, made, strict=True):
        points = np.asarray(contour.ContourData, float).reshape(-1, 3)
        points[:, 2] = one.ImagePositionPatient[2]
        contour.ContourData = [f"{value:.6f}" for value in points.ravel()]
    return {**files, "RS": dicom_bytes(plane)}


KINDS: dict[str, Generator] = {"pydicom's test files": pydicoms_own, "pydicom's test files, whole": as_they_are}
