"""What is no whole, single, upright series is refused by name."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import (
    generate_uid,
)

from featurestore.errors import CaseError
from pipelines.ingest.dicom_series import read_series
from pipelines.ingest.problems import (
    DuplicateSlicesError,
    GantryTiltError,
    MixedSeriesError,
    NotVolumeError,
    SlicesMissingError,
    TruncatedFileError,
    UnevenSlicesError,
    UnreadableError,
)
from tests.unit.dicom_writing import (
    headers_of,
    largest_difference,
    set_pixels,
    written,
)


def test_missing_slices_are_named_with_their_positions(tmp_path: Path) -> None:
    headers = written(tmp_path, [i for i in range(20) if i not in (11, 12, 13)])
    with pytest.raises(SlicesMissingError) as caught:
        read_series(headers)
    assert caught.value.what == "slices 12–14 missing between z = −300 and −290 mm"


def test_one_missing_slice_and_a_second_gap_are_both_named(tmp_path: Path) -> None:
    headers = written(tmp_path, [0, 1, 3, 4, 5, 8, 9])
    with pytest.raises(
        SlicesMissingError, match=r"slice 3 missing between z = −322.5 and −317.5 mm; slices 7–8 missing"
    ):
        read_series(headers)


def test_every_second_slice_missing_is_seen_by_the_told_spacing(tmp_path: Path) -> None:
    def tell(_: int, dataset: FileDataset) -> None:
        dataset.SpacingBetweenSlices = "2.5"

    headers = written(tmp_path, [0, 2, 4, 6], tell)
    with pytest.raises(SlicesMissingError, match=r"slices lie 5 mm apart and their tags tell 2.5 mm"):
        read_series(headers)


def test_uneven_distances_are_refused_and_within_tolerance_read(tmp_path: Path) -> None:
    def shift(index: int, dataset: FileDataset) -> None:
        dataset.ImagePositionPatient = [-10, 20, -325 + 2.5 * index + (0.4 if index == 2 else 0)]

    headers = written(tmp_path, list(range(5)), shift)
    with pytest.raises(UnevenSlicesError, match=r"range from 2.1 to 2.9 mm"):
        read_series(headers)
    image, _ = read_series(headers, gap_tolerance=0.45)
    assert image.GetSpacing()[2] == pytest.approx(2.5)


def test_second_series_mixed_in_is_refused(tmp_path: Path) -> None:
    def other(index: int, dataset: FileDataset) -> None:
        if index > 5:
            dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["other"])

    with pytest.raises(MixedSeriesError, match="2 series are mixed: 6 slices, 2 slices"):
        read_series(written(tmp_path, list(range(8)), other))


@pytest.mark.parametrize(
    ("tag", "value", "message"),
    [
        ("ImageOrientationPatient", [0, 1, 0, 0, 0, -1], "orientations are mixed: 5 slices"),
        ("PixelSpacing", [0.7, 0.9], "pixel spacings are mixed: 5 slices"),
    ],
)
def test_mixed_planes_and_spacings_are_refused(tmp_path: Path, tag: str, value: list[float], message: str) -> None:
    def other(index: int, dataset: FileDataset) -> None:
        if index == 0:
            setattr(dataset, tag, value)

    with pytest.raises(MixedSeriesError, match=message):
        read_series(written(tmp_path, list(range(6)), other))


def test_mixed_sizes_are_refused(tmp_path: Path) -> None:
    def other(index: int, dataset: FileDataset) -> None:
        if index == 3:
            set_pixels(dataset, np.zeros((4, 5), dtype=np.uint16))

    with pytest.raises(MixedSeriesError, match="2 sizes are mixed: 4 slices of 5×6 pixels, 1 slices of 5×4 pixels"):
        read_series(written(tmp_path, list(range(5)), other))


def test_two_acquisitions_under_one_series_are_mixed(tmp_path: Path) -> None:
    def second(index: int, dataset: FileDataset) -> None:
        dataset.AcquisitionNumber = 1 + index // 5
        dataset.ImagePositionPatient = [-10, 20, -325 + 2.5 * (index % 5)]

    with pytest.raises(MixedSeriesError, match="5 of 5 positions hold 2 different slices, acquisitions 1, 2"):
        read_series(written(tmp_path, list(range(10)), second))


def test_different_slices_at_one_position_are_duplicates(tmp_path: Path) -> None:
    def repeat(index: int, dataset: FileDataset) -> None:
        dataset.ImagePositionPatient = [-10, 20, -325 + 2.5 * min(index, 4)]

    with pytest.raises(DuplicateSlicesError, match="2 different slices lie at z = −315 mm"):
        read_series(written(tmp_path, list(range(6)), repeat))


def test_the_same_slice_sent_twice_is_taken_once_and_noted(tmp_path: Path) -> None:
    headers = written(tmp_path, list(range(4)))
    once, _ = read_series(headers)
    twice, acquisition = read_series([*headers, headers[1]])
    assert largest_difference(once, twice) == 0
    assert acquisition.notes == ("1 slices were sent more than once with the same pixels; one of each was taken",)


def test_localizer_is_left_out_and_noted(tmp_path: Path) -> None:
    def scout(index: int, dataset: FileDataset) -> None:
        if index == 4:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    image, acquisition = read_series(written(tmp_path, list(range(5)), scout))
    assert image.GetSize()[2] == 4
    assert len(acquisition.notes) == 1


def test_sheared_stack_is_a_named_tilt(tmp_path: Path) -> None:
    angle = np.radians(15)

    def tilt(_: int, dataset: FileDataset) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, f"{np.cos(angle):.10f}", f"{-np.sin(angle):.10f}"]
        dataset.GantryDetectorTilt = "15"

    with pytest.raises(GantryTiltError, match=r"a tilt of 15\.0°"):
        read_series(written(tmp_path, list(range(6)), tilt))


def test_tilt_told_by_the_tag_alone_is_refused(tmp_path: Path) -> None:
    def tilt(_: int, dataset: FileDataset) -> None:
        dataset.GantryDetectorTilt = "-12.5"

    with pytest.raises(GantryTiltError, match=r"gantry tilt of −12\.5°"):
        read_series(written(tmp_path, list(range(6)), tilt))


def test_file_cut_off_in_its_pixels_is_named_by_position(tmp_path: Path) -> None:
    written(tmp_path, list(range(5)))
    path = next(tmp_path.glob("*-2.dcm"))
    path.write_bytes(path.read_bytes()[:-20])
    headers = headers_of(tmp_path)
    assert [header.is_truncated for header in headers].count(True) == 1
    with pytest.raises(TruncatedFileError, match="1 of 5 files end before their pixels do, the first at z = −320 mm"):
        read_series(headers)


def test_file_cut_off_anywhere_is_never_read_as_a_slice(tmp_path: Path) -> None:
    written(tmp_path, list(range(3)))
    path = next(tmp_path.glob("*-1.dcm"))
    whole = path.read_bytes()
    for length in range(140, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(CaseError):
            read_series(headers_of(tmp_path))


def test_single_slice_is_no_volume(tmp_path: Path) -> None:
    with pytest.raises(NotVolumeError, match="has 1 slice"):
        read_series(written(tmp_path, [0]))
    with pytest.raises(NotVolumeError, match="no file"):
        read_series([])


def test_slice_without_position_is_unreadable(tmp_path: Path) -> None:
    def forget(_: int, dataset: FileDataset) -> None:
        del dataset.ImagePositionPatient

    with pytest.raises(UnreadableError, match="ImagePositionPatient"):
        read_series(written(tmp_path, [0, 1], forget))
