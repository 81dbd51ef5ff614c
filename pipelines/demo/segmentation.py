"""DICOM-SEG objects: the regions that a segmentation program made on a CT series, binary or fractional."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from scipy.ndimage import gaussian_filter

from pipelines.demo.ct_series import Study, decimals, file_meta
from pipelines.images.grid import Grid

Region = NDArray[np.bool_]

OTHER_GRID_ZOOM = 1.1
"""How much wider the voxels of a segmentation made on another reconstruction are."""


def segmentation(
    study: Study,
    series: Sequence[Dataset],
    grid: Grid,
    regions: Sequence[tuple[str, Region]],
    number: int,
    *,
    is_on_other_grid: bool = False,
) -> Dataset:
    """Returns the segmentation of a CT series.

    Args:
        study: The examination; its center decides between binary and fractional.
        series: All slices of the series, in the order of the volume's slices.
        grid: Where the voxels lie.
        regions: Segment labels with their voxels, (z, y, x).
        number: SeriesNumber of the segmentation.
        is_on_other_grid: Whether to plant a segmentation with wider voxels than the image.
    """
    from highdicom.seg import Segmentation

    is_fractional = study.style.export == "fractional_seg"
    stack = np.stack([region for _, region in regions], axis=-1)
    seg: Dataset = Segmentation(
        source_images=list(series),
        pixel_array=_occupancy(stack) if is_fractional else stack.astype(np.uint8),
        segmentation_type="FRACTIONAL" if is_fractional else "BINARY",
        segment_descriptions=[_description(study, n, name) for n, (name, _) in enumerate(regions, start=1)],
        series_instance_uid=study.uid("series", number),
        series_number=number,
        sop_instance_uid=study.uid("segmentation", number),
        instance_number=1,
        manufacturer="Fictitious Segmentations",
        manufacturer_model_name="Outliner",
        software_versions="1.0",
        device_serial_number="0001",
        content_description="Outlined regions",
        content_creator_name="Fictitious^Reader",
        series_description="Segmentation",
    )
    seg["PixelData"].VR = "OB"
    _fix_moment_and_ids(study, seg, number)
    if is_on_other_grid:
        _zoom(seg, grid)
    return seg


def _description(study: Study, number: int, name: str) -> Any:
    from highdicom.seg import SegmentDescription

    is_tumor = name in study.style.tumor_names
    return SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=(
            codes.SCT.MorphologicallyAbnormalStructure if is_tumor else codes.SCT.AnatomicalStructure
        ),
        segmented_property_type=codes.SCT.Neoplasm if is_tumor else codes.SCT.Bladder,
        algorithm_type="MANUAL",
    )


def _occupancy(stack: Region) -> NDArray[np.float64]:
    """Returns how much of each voxel is inside: soft borders that cross one half where the region ends."""
    soft = gaussian_filter(stack.astype(np.float64), [0.0, 0.7, 0.7, 0.0])
    occupancy: NDArray[np.float64] = np.where(stack, 0.55 + 0.45 * soft, 0.45 * soft)
    return np.where(occupancy < 0.02, 0.0, occupancy)


def _fix_moment_and_ids(study: Study, seg: Dataset, number: int) -> None:
    """Replaces what highdicom takes from the clock and from chance."""
    date = study.patient.study_date
    seg.ContentDate = seg.InstanceCreationDate = seg.SeriesDate = date
    seg.ContentTime = seg.InstanceCreationTime = seg.SeriesTime = "160000"
    for item in seg.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = f"{date}160000"
    organization = study.uid("dimensions", number)
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    syntax = seg.file_meta.TransferSyntaxUID
    seg.file_meta = file_meta(seg.SOPClassUID, seg.SOPInstanceUID)
    seg.file_meta.TransferSyntaxUID = syntax


def _zoom(seg: Dataset, grid: Grid) -> None:
    wider = [OTHER_GRID_ZOOM * grid.spacing_mm[1], OTHER_GRID_ZOOM * grid.spacing_mm[0]]
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = decimals(wider)
