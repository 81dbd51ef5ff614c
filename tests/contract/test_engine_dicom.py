"""A folder of DICOM slices gives what SimpleITK's series reader gives, from the slices around the region only."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pipelines.radiomics import FastEngine
from pipelines.radiomics.fast import dicom_folder
from pipelines.radiomics.fast.problems import UnreadableError
from pipelines.radiomics.fast.reading import open_picture

pytestmark = pytest.mark.data


@pytest.fixture(params=["CT", "PET"])
def series(request: pytest.FixtureRequest, test_data: Path) -> Path:
    return test_data / "sts_original" / "STS_002" / str(request.param) / "dicom" / "image"


def whole(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def test_grid_and_voxels_are_those_of_the_whole_series(series: Path) -> None:
    expected, picture = whole(series), open_picture(series, "image")
    voxels = sitk.GetArrayFromImage(expected)
    assert picture.size == expected.GetSize()
    assert picture.header.GetSpacing() == expected.GetSpacing()
    assert picture.header.GetOrigin() == expected.GetOrigin()
    assert picture.header.GetDirection() == expected.GetDirection()
    np.testing.assert_array_equal(picture.voxels(), voxels)
    np.testing.assert_array_equal(picture.load((3, 2, 1), (9, 20, 25)), voxels[3:9, 2:20, 1:25])
    np.testing.assert_array_equal(list(picture.walk()), voxels)


def test_features_are_those_of_the_image_and_other_slices_stay_unread(
    series: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = whole(series)
    inside = np.zeros(image.GetSize()[::-1], dtype=np.uint8)
    inside[20:24, 8:16, 9:18] = 1
    mask = sitk.GetImageFromArray(inside)
    mask.CopyInformation(image)
    n_read = []
    read = dicom_folder._read
    monkeypatch.setattr(dicom_folder, "_read", lambda names, *of: n_read.append(len(names)) or read(names, *of))
    engine = FastEngine({"imageType": {"Original": {}, "LoG": {"sigma": [1.0]}}})
    assert engine.execute(series, mask) == engine.execute(image, mask)
    assert sum(n_read) < len(inside)


def test_a_missing_slice_is_refused(series: Path, tmp_path: Path) -> None:
    for at, path in enumerate(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(series))):
        if at != 7:
            shutil.copy(path, tmp_path / f"{at}.dcm")
    with pytest.raises(UnreadableError, match="missing"):
        open_picture(tmp_path, "image")


def test_a_folder_without_a_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="0 DICOM series"):
        open_picture(tmp_path, "image")
