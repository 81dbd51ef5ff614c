"""RTSTRUCT objects: the contours that readers drew on a CT series."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import RTStructureSetStorage

from pipelines.demo.ct_series import Study, decimals, file_meta, patient_and_study
from pipelines.demo.outlines import outlines
from pipelines.images.grid import Grid

Region = NDArray[np.bool_]

BLADDER = "Bladder"
"""What readers call the other region they outline."""

_CONTOUR_DATA = Tag(0x3006, 0x0050)
_COLORS = ([0, 0, 255], [255, 0, 0], [255, 128, 0], [0, 255, 0])


def structure_set(
    study: Study, series: Sequence[Dataset], grid: Grid, regions: Sequence[tuple[str, Region]], number: int
) -> Dataset:
    """Returns the structure set drawn on a CT series.

    Args:
        study: The examination.
        series: All slices of the series, in the order of the volume's slices.
        grid: Where the voxels lie.
        regions: ROI names with their voxels, (z, y, x); an empty one becomes an ROI without contours.
        number: SeriesNumber of the structure set.
    """
    rt = patient_and_study(study)
    rt.SOPClassUID = RTStructureSetStorage
    rt.SOPInstanceUID = study.uid("structures", number)
    rt.Modality = "RTSTRUCT"
    rt.SeriesInstanceUID = study.uid("series", number)
    rt.SeriesNumber = number
    rt.SeriesDescription = "Contours"
    rt.OperatorsName = ""
    rt.InstanceNumber = 1
    rt.StructureSetLabel = "CONTOURS"
    rt.StructureSetDate = study.patient.study_date
    rt.StructureSetTime = "160000"
    rt.ApprovalStatus = "UNAPPROVED"
    rt.ReferencedFrameOfReferenceSequence = Items([_frame_of_reference(study, series)])
    rt.StructureSetROISequence = Items(_roi(study, n, name) for n, (name, _) in enumerate(regions, start=1))
    rt.ROIContourSequence = Items(_contours(n, region, series, grid) for n, (_, region) in enumerate(regions, start=1))
    rt.RTROIObservationsSequence = Items(_observation(n, name) for n, (name, _) in enumerate(regions, start=1))
    rt.file_meta = file_meta(rt.SOPClassUID, rt.SOPInstanceUID, is_implicit=study.style.scanner.implicit)
    return rt


def _frame_of_reference(study: Study, series: Sequence[Dataset]) -> Dataset:
    images = Dataset()
    images.SeriesInstanceUID = series[0].SeriesInstanceUID
    images.ContourImageSequence = Items(_image(one) for one in series)
    examination = Dataset()
    examination.ReferencedSOPClassUID = (
        "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, which RTSTRUCT still names
    )
    examination.ReferencedSOPInstanceUID = series[0].StudyInstanceUID
    examination.RTReferencedSeriesSequence = Items([images])
    frame = Dataset()
    frame.FrameOfReferenceUID = study.uid("frame of reference")
    frame.RTReferencedStudySequence = Items([examination])
    return frame


def _image(one: Dataset) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID = one.SOPClassUID
    image.ReferencedSOPInstanceUID = one.SOPInstanceUID
    return image


def _roi(study: Study, number: int, name: str) -> Dataset:
    roi = Dataset()
    roi.ROINumber = number
    roi.ReferencedFrameOfReferenceUID = study.uid("frame of reference")
    roi.ROIName = name
    roi.ROIGenerationAlgorithm = "MANUAL"
    return roi


def _contours(number: int, region: Region, series: Sequence[Dataset], grid: Grid) -> Dataset:
    contours = Dataset()
    contours.ROIDisplayColor = _COLORS[number % len(_COLORS)]
    items = [
        _contour(outline, z, series[z], grid)
        for z in np.flatnonzero(region.any(axis=(1, 2))).tolist()
        for outline in outlines(region[z])
    ]
    if items:
        contours.ContourSequence = Items(items)
    contours.ReferencedROINumber = number
    return contours


def _contour(outline: NDArray[np.float64], z: int, image: Dataset, grid: Grid) -> Dataset:
    matrix = grid.matrix()
    in_plane = outline * np.asarray(grid.spacing_mm[:2])
    points = grid.position_mm((0, 0, z)) + in_plane @ matrix[:, :2].T
    contour = Dataset()
    contour.ContourImageSequence = Items([_image(image)])
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = len(points)
    contour[_CONTOUR_DATA] = _raw_decimals(points)
    return contour


def _raw_decimals(points: NDArray[np.float64]) -> RawDataElement:
    """Returns contour points ready to write: a decimal string object for each number would cost seconds in all."""
    text = "\\".join(decimals(points))
    value = (text + " " * (len(text) % 2)).encode("ascii")
    return RawDataElement(_CONTOUR_DATA, "DS", len(value), value, 0, False, True)


def _observation(number: int, name: str) -> Dataset:
    observation = Dataset()
    observation.ObservationNumber = number
    observation.ReferencedROINumber = number
    observation.RTROIInterpretedType = "ORGAN" if name == BLADDER else "GTV"
    observation.ROIInterpreter = ""
    return observation
