"""Shape of flat regions equals PyRadiomics's, on regions that nobody drew.

`RADMILL_ENGINE_EXAMPLES=300` runs as many examples; a few are part of the quick suite.
"""

import os

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings, strategies

from featurestore.errors import CaseError
from pipelines.radiomics import FastEngine
from pipelines.radiomics.agreement import disagreements

reference = pytest.importorskip("pipelines.radiomics.reference", reason="PyRadiomics is not installed")

N_EXAMPLES = int(os.environ.get("RADMILL_ENGINE_EXAMPLES", "60"))
FEATURES = (
    *("Elongation", "MajorAxisLength", "MaximumDiameter", "MeshSurface", "MinorAxisLength", "Perimeter"),
    *("PerimeterSurfaceRatio", "PixelSurface", "Sphericity", "SphericalDisproportion"),
)


def _flat(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Returns a disk, a ring, pieces, diagonal neighbors, a line or a few pixels; anything may touch the border."""
    kind = rng.integers(6)
    rows, columns = np.indices(shape)
    distance = ((rows - rng.uniform(0, shape[0])) / rng.uniform(1, 9)) ** 2
    distance += ((columns - rng.uniform(0, shape[1])) / rng.uniform(1, 9)) ** 2
    if kind == 0:
        return distance <= 1
    if kind == 1:
        return (distance <= 1) & (distance >= 0.4)
    if kind == 2:
        return rng.random(shape) < rng.choice([0.1, 0.5, 0.9])
    if kind == 3:
        return (rows + columns) % 2 == 0
    if kind == 4:
        return rows == rng.integers(shape[0])
    return rng.random(shape) < 3 / rows.size


def _case(seed: int) -> tuple[sitk.Image, sitk.Image, dict[str, object]]:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(2, 22, 3))
    axis = int(rng.integers(3))
    mask = np.zeros(shape, "uint8")
    others = tuple(size for other, size in enumerate(shape) if other != axis)
    n_slices = 2 if rng.random() < 0.05 else 1
    for at in range(n_slices):
        place = min(int(rng.integers(shape[axis])) + at, shape[axis] - 1)
        mask[tuple(place if other == axis else slice(None) for other in range(3))] = _flat(rng, others)
    pair = sitk.GetImageFromArray(rng.normal(0, 50, shape)), sitk.GetImageFromArray(mask)
    spacing = rng.uniform(0.4, 4, 3).round(3).tolist()
    for volume in pair:
        volume.SetSpacing(spacing)
    setting = {"force2D": True, "force2Ddimension": axis, "minimumROIDimensions": 1}
    if rng.random() < 0.3:
        setting |= {"resegmentRange": [-40.0, 60.0], "resegmentShape": bool(rng.random() < 0.5)}
    if rng.random() < 0.2 and 2 not in shape:  # ITK's spline reads beyond its memory there
        new = [0.0 if other == 2 - axis else float(rng.uniform(0.5, 2)) for other in range(3)]
        setting |= {"resampledPixelSpacing": new}
    return *pair, {"featureClass": {"shape2D": list(FEATURES), "firstorder": ["Mean"]}, "setting": setting}


def _outcome(engine: object, image: sitk.Image, mask: sitk.Image) -> dict[str, float] | None:
    try:
        return engine.execute(image, mask)
    except CaseError:
        return None


@settings(
    max_examples=N_EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(seed=strategies.integers(0, 2**31))
def test_flat_regions_have_the_same_shape_in_both_engines(seed: int) -> None:
    image, mask, content = _case(seed)
    expected = _outcome(reference.PyRadiomicsEngine(content), image, mask)
    found = _outcome(FastEngine(content), image, mask)
    assert (expected is None) == (found is None), content
    if expected is not None:
        assert not disagreements(expected, found), content


def test_the_examples_do_have_shapes() -> None:
    """A comparison of nothing with nothing would pass."""
    measured = [
        found
        for seed in range(40)
        for image, mask, content in [_case(seed)]
        if (found := _outcome(FastEngine(content), image, mask))
    ]
    n_shapes = sum(f"original_shape2D_{FEATURES[0]}" in found for found in measured)
    assert n_shapes >= 15
    assert all(len(found) in (1, 1 + len(FEATURES)) for found in measured)
