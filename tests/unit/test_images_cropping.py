"""What protects stored cases: cropping moves and changes no value, filters included, and files keep their grid."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from pipelines.images.cropping import Box, crop, crop_box, roi_box
from pipelines.images.files import DamagedImageError, read_case, read_image, write_image
from pipelines.images.grid import Grid

LOG_MARGIN_SIGMAS = 24
"""As the design says: the reach of the recursive Gaussian."""


def grid(size: tuple[int, int, int], spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Grid:
    return Grid(size=size, spacing_mm=spacing, origin_mm=(0.0, 0.0, 0.0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))


def noise(size: tuple[int, int, int], spacing: tuple[float, float, float] = (0.7, 0.8, 2.5)) -> sitk.Image:
    """Air and soft tissue with hard edges between them, the worst a filter meets."""
    generator = np.random.default_rng(1)
    blocks = generator.choice([-1000, 40, 1500], size=[-(-n // 5) for n in size[::-1]])
    voxels = np.kron(blocks, np.ones((5, 5, 5), dtype=int))[: size[2], : size[1], : size[0]]
    image = sitk.GetImageFromArray((voxels + generator.integers(-20, 20, voxels.shape)).astype(np.int16))
    image.SetSpacing(spacing)
    image.SetOrigin((-10.1, 20.2, -30.3))
    return image


def mask_of(image: sitk.Image, box: Box) -> sitk.Image:
    voxels = np.zeros(image.GetSize()[::-1], dtype=np.uint8)
    (x0, y0, z0), (x1, y1, z1) = box.lower, box.upper
    voxels[z0:z1, y0:y1, x0:x1] = 1
    mask = sitk.GetImageFromArray(voxels)
    mask.CopyInformation(image)
    return mask


def test_margin_is_the_larger_of_both_and_its_length_even() -> None:
    roi = Box(lower=(50, 50, 20), upper=(60, 61, 25))
    box = crop_box(grid((200, 200, 80), (0.5, 1.0, 2.5)), roi, margin_mm=8.0, margin_voxels=5)
    assert box == Box(lower=(34, 42, 15), upper=(76, 70, 31))
    assert all(length % 2 == 0 for length in box.size)


def test_whole_axis_is_kept_near_an_edge_and_only_there() -> None:
    roi = Box(lower=(3, 50, 40), upper=(9, 58, 78))
    box = crop_box(grid((101, 100, 80)), roi, margin_mm=10.0, margin_voxels=4)
    assert (box.lower, box.upper) == ((0, 40, 0), (101, 68, 80))


def test_physical_margin_ends_at_the_edge() -> None:
    roi = Box(lower=(10, 50, 40), upper=(20, 60, 50))
    box = crop_box(grid((101, 100, 80)), roi, margin_mm=30.0, margin_voxels=4)
    assert (box.lower[0], box.upper[0]) == (0, 50)


def test_margin_needs_no_room_when_there_is_none_to_take() -> None:
    roi = Box(lower=(0, 0, 0), upper=(7, 7, 7))
    assert crop_box(grid((7, 7, 7)), roi, margin_mm=0, margin_voxels=0) == roi


def test_box_of_a_mask() -> None:
    image = noise((30, 20, 10))
    box = Box(lower=(4, 5, 2), upper=(9, 20, 3))
    assert roi_box(mask_of(image, box)) == box
    with pytest.raises(ValueError, match="empty"):
        roi_box(mask_of(image, Box(lower=(0, 0, 0), upper=(0, 0, 0))))


def test_crop_keeps_each_voxel_at_its_place() -> None:
    image = noise((30, 20, 10))
    part = crop(image, Box(lower=(4, 5, 2), upper=(9, 20, 6)))
    assert part.GetSize() == (5, 15, 4)
    assert part.GetPixel(1, 2, 3) == image.GetPixel(5, 7, 5)
    np.testing.assert_allclose(
        part.TransformIndexToPhysicalPoint((1, 2, 3)), image.TransformIndexToPhysicalPoint((5, 7, 5)), atol=1e-12
    )


@pytest.mark.parametrize("lower", [(30, 28, 22), (2, 28, 22), (59, 1, 40)])
def test_wavelet_of_the_crop_equals_that_of_the_image(lower: tuple[int, int, int]) -> None:
    """In the middle and at edges, where the transform wraps around; sizes are odd, where the library pads."""
    filters = pytest.importorskip("radiomics.imageoperations")
    image = noise((71, 63, 51))
    x, y, z = lower
    roi = Box(lower=lower, upper=(x + 8, y + 7, z + 6))
    box = crop_box(Grid.of(image), roi, margin_mm=0.0, margin_voxels=8)
    mask = mask_of(image, roi)
    whole = {name: values for values, name, _ in filters.getWaveletImage(image, mask)}
    for part, name, _ in filters.getWaveletImage(crop(image, box), crop(mask, box)):
        np.testing.assert_array_equal(inside(part, crop(mask, box)), inside(whole[name], mask))


@pytest.mark.parametrize("lower", [(100, 90, 20), (2, 90, 20)])
def test_laplacian_of_gaussian_of_the_crop_equals_that_of_the_image(lower: tuple[int, int, int]) -> None:
    image, sigma_mm = noise((220, 200, 45)), 1.5
    x, y, z = lower
    roi = Box(lower=lower, upper=(x + 12, y + 10, z + 6))
    box = crop_box(Grid.of(image), roi, margin_mm=LOG_MARGIN_SIGMAS * sigma_mm, margin_voxels=0)
    mask = mask_of(image, roi)
    whole, part = (
        sitk.LaplacianRecursiveGaussian(picture, sigma_mm, normalizeAcrossScale=True)
        for picture in (image, crop(image, box))
    )
    np.testing.assert_array_equal(inside(part, crop(mask, box)), inside(whole, mask))
    assert box.size[0] < 220


def inside(image: sitk.Image, mask: sitk.Image) -> np.ndarray[Any, Any]:
    return sitk.GetArrayFromImage(image)[sitk.GetArrayFromImage(mask) > 0]


def test_stored_case_keeps_voxels_type_and_grid_to_the_last_bit(tmp_path: Path) -> None:
    image = noise((30, 20, 10), (1 / 3, 0.1, 2.7))
    mask = mask_of(image, Box(lower=(4, 5, 2), upper=(9, 20, 3)))
    write_image(tmp_path / "a.nii.gz", image)
    write_image(tmp_path / "m.nii.gz", mask)
    volume, region = read_case(tmp_path / "a.nii.gz", tmp_path / "m.nii.gz")
    assert volume.grid == Grid.of(image)
    assert region.grid == Grid.of(mask)
    assert volume.image.GetPixelID() == sitk.sitkInt16
    np.testing.assert_array_equal(volume.array(), sitk.GetArrayFromImage(image))
    np.testing.assert_array_equal(region.array(), sitk.GetArrayFromImage(mask))


def test_stored_case_is_plain_nifti_for_other_software(tmp_path: Path) -> None:
    image = noise((30, 20, 10), (1 / 3, 0.1, 2.7))
    write_image(tmp_path / "a.nii.gz", image)
    np.testing.assert_allclose(sitk.ReadImage(str(tmp_path / "a.nii.gz")).GetSpacing(), image.GetSpacing(), rtol=1e-6)


def test_same_image_gives_same_bytes_whatever_its_metadata_and_nothing_else_is_left(tmp_path: Path) -> None:
    image = noise((30, 20, 10))
    write_image(tmp_path / "a.nii.gz", image)
    image.SetMetaData("0010|0010", "Miller^Anna")
    write_image(tmp_path / "b.nii.gz", image)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "b.nii.gz"]
    assert b"Miller" not in gzip.decompress((tmp_path / "b.nii.gz").read_bytes())


def test_damaged_or_missing_stored_case_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    write_image(path, noise((30, 20, 10)))
    whole = path.read_bytes()
    for length in (0, 40, 400, len(whole) - 9):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedImageError):
            read_image(path)
    path.unlink()
    with pytest.raises(DamagedImageError, match="no such file"):
        read_image(path)
