"""Filters and moments to the last bit of the libraries they stand for, on regions in corners, across edges and inside.

Small enough to run without a compiler as well (`NUMBA_DISABLE_JIT=1`), which `make prove-mutants` does.
"""

from collections.abc import Iterator
from contextlib import nullcontext

import numba
import numpy as np
import pytest
import pywt
import SimpleITK as sitk
from numpy.typing import NDArray

from pipelines.radiomics.fast import shape as shapes
from pipelines.radiomics.fast.images import images_of
from pipelines.radiomics.fast.log_filter import log_image
from pipelines.radiomics.fast.scene import Scene
from tests.plain_kernels import plain_kernels
from tests.small_volumes import noise

SPACING_MM = (2.5, 0.9, 0.8)
Index = tuple[int, int, int]


@pytest.fixture(scope="module", autouse=True)
def plain_where_nothing_is_compiled() -> Iterator[None]:
    with plain_kernels() if numba.config.DISABLE_JIT else nullcontext():
        yield


def scene_of(shape: Index, lower: Index, size: Index, kind: str) -> Scene:
    voxels = (noise(f"last bit {shape}", shape) / 3).astype(kind)
    return Scene(
        voxels=voxels,
        start=(0, 0, 0),
        domain=shape,
        spacing_mm=SPACING_MM,
        inside=np.ones(size, np.bool_),
        lower=lower,
    )


def box_of(scene: Scene) -> tuple[slice, ...]:
    return tuple(slice(low, low + size) for low, size in zip(scene.lower, scene.inside.shape, strict=True))


CORNERS = [
    ((6, 7, 9), (0, 0, 0), (2, 2, 3)),
    ((6, 7, 9), (4, 5, 7), (2, 2, 2)),
    ((6, 7, 9), (0, 0, 0), (6, 7, 9)),
    ((9, 8, 5), (3, 2, 1), (1, 3, 3)),
    ((7, 12, 70), (2, 4, 12), (3, 3, 41)),
    ((5, 40, 6), (1, 3, 2), (2, 34, 2)),
]


@pytest.mark.parametrize("kind", ["int16", "float32", "float64"])
@pytest.mark.parametrize(("shape", "lower", "size"), CORNERS)
def test_laplacians_are_itks(shape: Index, lower: Index, size: Index, kind: str) -> None:
    scene = scene_of(shape, lower, size, kind)
    image = sitk.GetImageFromArray(scene.voxels)
    image.SetSpacing(SPACING_MM[::-1])
    filtered = sitk.GetArrayFromImage(sitk.LaplacianRecursiveGaussian(image, 1.5, True))
    np.testing.assert_array_equal(log_image(scene, 1.5), filtered[box_of(scene)])


@pytest.mark.parametrize("wavelet", ["haar", "coif1", "sym4"])
@pytest.mark.parametrize("kind", ["int16", "float32"])
@pytest.mark.parametrize(("shape", "lower", "size"), CORNERS)
def test_bands_are_pywavelets(shape: Index, lower: Index, size: Index, kind: str, wavelet: str) -> None:
    """Zero is an edge of bins, and in flat places a band is zero but for rounding."""
    scene = scene_of(shape, lower, size, kind)
    now = {"wavelet": wavelet, "level": 2, "start_level": 0, "force2D": False, "force2Ddimension": 0}
    found = dict(images_of(scene, "Wavelet", now))
    data: NDArray[np.generic] = np.pad(scene.voxels, [(0, n % 2) for n in shape], "wrap")
    for level in ("", "2"):
        bands = pywt.swtn(data, wavelet, level=1, start_level=0, axes=(2, 1, 0))[0]
        data = bands.pop("aaa")
        for name, band in bands.items():
            letters = name.replace("a", "L").replace("d", "H")
            np.testing.assert_array_equal(found.pop(f"wavelet{level}-{letters}"), band[box_of(scene)])
    np.testing.assert_array_equal(found.pop("wavelet2-LLL"), data[box_of(scene)])
    assert not found


@pytest.mark.parametrize(("shape", "lower", "size"), CORNERS[:5])
def test_moments_from_sums_are_numpys_covariance(shape: Index, lower: Index, size: Index) -> None:
    """All nine: a wrong one could hide behind the slow way that flat regions take."""
    inside = np.zeros(shape, np.bool_)
    inside[box_of(scene_of(shape, lower, size, "int16"))] = noise(f"moments {shape}", size) < 180
    points = np.argwhere(inside) * SPACING_MM
    expected = np.cov(points.T, bias=True)
    np.testing.assert_allclose(shapes._moments(inside, SPACING_MM), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(shapes._moments_in_order(inside, SPACING_MM), expected, rtol=1e-12, atol=1e-12)
