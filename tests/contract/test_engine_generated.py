"""Both engines give the same on regions that nobody drew: thin, torn, holed, at borders, in oblique images.

`RADMILL_ENGINE_EXAMPLES=300` runs as many examples; a few are part of the quick suite.
"""

import os

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings, strategies

from featurestore.errors import CaseError
from pipelines.radiomics.agreement import disagreements
from pipelines.radiomics.fast.engine import FastEngine

reference = pytest.importorskip("pipelines.radiomics.reference", reason="PyRadiomics is not installed")

N_EXAMPLES = int(os.environ.get("RADMILL_ENGINE_EXAMPLES", "12"))
MOST_LEVELS = 40  # PyRadiomics's MCC takes the third power of it
FILTERS = (
    {"Wavelet": {}},
    {"Wavelet": {"wavelet": "haar", "level": 2}},
    {"Wavelet": {"wavelet": "db2", "start_level": 1}},
    {"LoG": {"sigma": [1.0, 2.5]}},
    {"Square": {}, "SquareRoot": {}},
    {"Logarithm": {}, "Exponential": {}},
    {"Gradient": {}},
    {"Gradient": {"gradientUseSpacing": False}},
)


def _some(rng: np.random.Generator, chance: float, **keys: object) -> dict[str, object]:
    return keys if rng.random() < chance else {}


def _region(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    kind = rng.integers(6)
    mask = np.zeros(shape, bool)
    if kind == 0:
        mask[:] = rng.random(shape) < rng.choice([0.03, 0.3, 0.8])
    elif kind == 1:
        grid = np.indices(shape) - np.array(shape).reshape(3, 1, 1, 1) / 2
        radii = rng.uniform(1, 8, 3).reshape(3, 1, 1, 1)
        distance = ((grid / radii) ** 2).sum(axis=0)
        mask[(distance <= 1) & (distance >= rng.choice([0, 0.3]))] = True
    elif kind == 2:
        axis = rng.integers(3)
        mask[tuple(rng.integers(shape[axis]) if a == axis else slice(None) for a in range(3))] = True
    elif kind == 3:
        axis = rng.integers(3)
        mask[tuple(slice(None) if a == axis else rng.integers(shape[a]) for a in range(3))] = True
    elif kind == 4:
        low = [rng.integers(0, n) for n in shape]
        mask[tuple(slice(a, a + rng.integers(1, 9)) for a in low)] = True
    else:
        for _ in range(rng.integers(1, 4)):
            mask[tuple(rng.integers(n) for n in shape)] = True
    return mask


def _image(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    image = rng.normal(0, rng.choice([3, 40, 300]), shape)
    if rng.random() < 0.6:
        for axis in range(3):
            image = (image + np.roll(image, 1, axis)) / 2
    if rng.random() < 0.1:
        image[:] = rng.choice([0, 25, 7])
    kind = rng.choice(["int16", "uint8", "float32", "float64"])
    return image.clip(0, 200).astype(kind) if kind == "uint8" else image.astype(kind)


def _case(seed: int) -> tuple[sitk.Image, sitk.Image, dict[str, object]]:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(4 if rng.random() < 0.8 else 1, 26, 3))
    voxels, mask = _image(rng, shape), _region(rng, shape)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    direction = turn.ravel().tolist() if rng.random() < 0.4 else np.eye(3).ravel().tolist()
    spacing, origin = rng.uniform(0.4, 4, 3).round(4).tolist(), rng.uniform(-300, 300, 3).round(3).tolist()
    label = int(rng.integers(1, 4))
    pair = [sitk.GetImageFromArray(voxels), sitk.GetImageFromArray((mask * label).astype("uint8"))]
    for made in pair:
        made.SetSpacing(spacing), made.SetOrigin(origin), made.SetDirection(direction)
    setting = {"label": label, "minimumROIDimensions": 1}
    setting |= _some(rng, 0.2, normalize=True, normalizeScale=100.0)
    setting |= _some(rng, 0.1, removeOutliers=2.0)
    if 2 not in shape:  # ITK's spline reads beyond its memory there
        setting |= _some(rng, 0.2, resampledPixelSpacing=rng.choice([0.0, 1.0, 2.0, 3.0], 3).tolist())
    setting |= _some(rng, 0.3, interpolator=str(rng.choice(["sitkLinear", "sitkNearestNeighbor", "sitkGaussian"])))
    setting |= _some(rng, 0.2, resegmentRange=[-1.5, 2.0], resegmentMode="sigma")
    setting |= _some(rng, 0.3, resegmentShape=True)
    setting |= _some(rng, 0.1, preCrop=True, padDistance=int(rng.integers(0, 8)))
    setting |= _some(rng, 0.3, distances=[1, 2] if rng.random() < 0.5 else [int(rng.integers(1, 4))])
    setting |= _some(rng, 0.3, weightingNorm=str(rng.choice(["manhattan", "euclidean", "infinity", "no_weighting"])))
    setting |= _some(rng, 0.3, symmetricalGLCM=False)
    setting |= _some(rng, 0.3, gldm_a=int(rng.integers(0, 3)))
    setting |= _some(rng, 0.2, voxelArrayShift=1000)
    setting |= _some(rng, 0.2, force2D=True, force2Ddimension=int(rng.integers(0, 3)))
    spread = float(voxels.max()) - float(voxels.min())
    setting["binWidth"] = max(float(rng.choice([5.0, 25.0, 0.7])), 4 * spread / MOST_LEVELS)
    if "normalize" in setting or rng.random() < 0.3:
        setting["binCount"] = int(rng.integers(1, MOST_LEVELS))
    classes = ["firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm", "shape"]
    image_types = {"Original": {}, **FILTERS[rng.integers(len(FILTERS))]}
    return *pair, {"imageType": image_types, "featureClass": dict.fromkeys(classes), "setting": setting}


def _outcome(engine: object, image: sitk.Image, mask: sitk.Image) -> dict[str, float] | None:
    try:
        return engine.execute(image, mask)
    except CaseError:
        return None


@settings(
    max_examples=N_EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(seed=strategies.integers(0, 2**31))
def test_generated_regions_have_the_same_features_in_both_engines(seed: int) -> None:
    image, mask, content = _case(seed)
    expected = _outcome(reference.PyRadiomicsEngine(content), image, mask)
    found = _outcome(FastEngine(content), image, mask)
    assert (expected is None) == (found is None), content
    if expected is not None:
        assert not disagreements(expected, found), content
