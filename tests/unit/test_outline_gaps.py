"""A region that misses slices inside is told, one on every second slice is refused, two lesions are neither."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from featurestore.errors import CaseError
from pipelines.ingest.dicom_header import read_header
from pipelines.ingest.dicom_series import read_series
from pipelines.ingest.file_index import SourceFile
from pipelines.ingest.outline_gaps import OutlineCombError, check_gaps
from pipelines.ingest.outlines import Outline, read_outlines
from pipelines.ingest.sources import MaskSource
from pipelines.params.data import IngestSection
from proofs.fuzz_base import ct_slices, dicom_bytes, opened, segmentation, structure_set


def told(slices: Sequence[int], shifted: Sequence[int] = ()) -> list[str]:
    """Returns the warnings for a region on some slices, on some of which it lies elsewhere."""
    mask = np.zeros((12, 9, 9), np.uint8)
    for index in slices:
        mask[index, 1:4, 1:4] = 1
    for index in shifted:
        mask[index, 5:8, 5:8] = 1
    warnings: list[CaseError] = []
    check_gaps(sitk.GetImageFromArray(mask), "GTV", warnings)
    assert all(warning.code == "outline_gap" and warning.remedy for warning in warnings)
    return [warning.what for warning in warnings]


def test_missing_slices_inside_a_region_are_named_by_number() -> None:
    assert told([2, 3, 5, 6]) == ["region 'GTV' has no voxel on slice 5, inside it"]
    assert told([1, 2, 5, 6, 8]) == ["region 'GTV' has no voxel on slices 4 to 5, 8, inside it"]


@pytest.mark.parametrize(("slices", "shifted"), [([2, 3, 4], []), ([2, 3], [6, 7]), ([7], []), ([], [])])
def test_whole_regions_and_two_lesions_that_lie_apart_are_left_alone(slices: list[int], shifted: list[int]) -> None:
    assert told(slices, shifted) == []


def test_every_second_or_third_slice_is_an_outline_of_another_series() -> None:
    for slices in ([2, 4, 6], [1, 4, 7, 10]):
        with pytest.raises(OutlineCombError, match="none between"):
            told(slices)


@pytest.mark.parametrize("kind", ["seg", "rtstruct"])
def test_a_frame_or_contour_left_out_inside_is_warned_of_on_the_real_road(tmp_path: Path, kind: str) -> None:
    series = ct_slices("P", np.random.default_rng(5))
    for number, one in enumerate(series):
        (tmp_path / f"IM{number}").write_bytes(dicom_bytes(one))
    headers = [read_header(path) for path in sorted(tmp_path.glob("IM*"))]
    image, _ = read_series([header for header in headers if header is not None])
    if kind == "seg":
        mask = opened(dicom_bytes(segmentation(series)))
        groups = list(mask.PerFrameFunctionalGroupsSequence)
        n_bytes = len(mask.PixelData) // len(groups)
        mask.PerFrameFunctionalGroupsSequence = [groups[0], *groups[2:]]
        mask.PixelData = mask.PixelData[:n_bytes] + mask.PixelData[2 * n_bytes :]
        mask.NumberOfFrames = len(groups) - 1
    else:
        mask = structure_set("P", series, np.random.default_rng(5))
        del mask.ROIContourSequence[0].ContourSequence[1]
    path = tmp_path / "mask"
    path.write_bytes(dicom_bytes(mask))
    file = SourceFile(relative="mask", path=path, n_bytes=0, sha256="x")
    (outline,) = _outlines(MaskSource(kind="seg" if kind == "seg" else "rtstruct", file=file), image)
    assert outline.problem is None
    assert [warning.code for warning in outline.warnings] == ["outline_gap"]
    assert outline.warnings[0].what in [f"region 'GTV' has no voxel on slice {n}, inside it" for n in (4, 5)]


def _outlines(mask: MaskSource, image: sitk.Image) -> list[Outline]:
    return read_outlines([mask], image, "tumor", IngestSection())
