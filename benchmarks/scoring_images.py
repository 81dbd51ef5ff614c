"""Power of drift where images really change: generated CTs from other scanners, through the extraction engine.

Patients are the demo's, of one hospital. Development is as the hospital is; then the same kind of patients come with
another noise, kernel, slice thickness, pixel spacing, contrast, HU scale, or from another scanner altogether.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scoring_drift import ALPHA, counted
from scoring_population import Floats, fit, inputs, training_set

from pipelines.demo.centers import EAST, NORTH, CenterStyle
from pipelines.demo.patients import Patient, patients_of
from pipelines.demo.scene import Scene, draw, sharpened
from pipelines.radiomics.fast.engine import FastEngine
from pipelines.scoring.drift import coded
from pipelines.scoring.drift_looks import look
from pipelines.scoring.drift_variables import variables
from registry.predict import predict

PHASE, SEED = "excretory", 11
SETTINGS = {
    "imageType": {"Original": {}, "LoG": {"sigma": [2.0]}},
    "featureClass": {f: [] for f in ("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")},
    "setting": {"binWidth": 25},
}
LOOKS = (10, 30, 100)
Voxels = Callable[[Scene], NDArray[np.int16]]


@dataclass(frozen=True, kw_only=True)
class Change:
    """Another way to acquire the same patients."""

    style: CenterStyle = NORTH
    voxels: Voxels = lambda scene: scene.hu


CHANGES: Mapping[str, Change] = {
    "none": Change(),
    "noise 14 in place of 11 HU": Change(style=replace(NORTH, noise_hu=14.0)),
    "noise 22 in place of 11 HU": Change(style=replace(NORTH, noise_hu=22.0)),
    "sharper kernel": Change(voxels=sharpened),
    "smoother noise, 1.1 in place of 0.75 mm": Change(style=replace(NORTH, kernel_mm=1.1)),
    "slices of 4 in place of 3 mm": Change(style=replace(NORTH, size=(56, 56, 14), spacing_mm=(0.9, 0.9, 4.0))),
    "pixels of 0.75 in place of 0.9 mm": Change(style=replace(NORTH, size=(67, 67, 18), spacing_mm=(0.75, 0.75, 3.0))),
    "contrast 8 % stronger": Change(style=replace(NORTH, contrast=1.08)),
    "HU scale 6 higher": Change(style=replace(NORTH, offset_hu=6.0)),
    "another scanner in all of these": Change(style=replace(EAST, number=NORTH.number)),
}


def image_of(scene: Scene, voxels: NDArray[Any]) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(scene.grid.spacing_mm)
    return image


def rows_of(change: Change, first: int, n: int) -> tuple[Floats, NDArray[np.int8]]:
    engine = FastEngine(SETTINGS)
    found, label = [], []
    for patient in some(change.style, first, n):
        scene = draw(change.style, patient, SEED, is_hollow=False, has_second=False)[PHASE]
        mask = image_of(scene, scene.tumor.astype(np.uint8))
        found.append(list(engine.execute(image_of(scene, change.voxels(scene)), mask).values()))
        label.append(patient.is_positive)
    return np.array(found), np.array(label, dtype=np.int8)


def some(style: CenterStyle, first: int, n: int) -> Iterator[Patient]:
    style = replace(style, prevalence=NORTH.prevalence)  # the patients stay the same
    return islice(patients_of(style, first + n, SEED, 1.0), first, first + n)


def images(draws: int, development: int = 250, pool: int = 150) -> dict[str, Any]:
    """Returns, by change, how many of the draws from a pool of new patients ring at each look."""
    X, y = rows_of(Change(), 0, development)
    package = fit(training_set(X, y, FastEngine(SETTINGS).names(), 0.3), "lr")
    own = variables(package)
    found: dict[str, Any] = {"development": development, "pool": pool, "features": X.shape[1]}
    for name, change in CHANGES.items():
        new, _ = rows_of(change, development, pool)
        places = coded(package, inputs(package, new), predict(package, new))
        rows = []
        for number in range(draws):
            order = np.random.default_rng([SEED, number]).permutation(pool)
            told = {n: look(own, places[order], n, ALPHA) for n in LOOKS}
            rows.append({n: {"any": v.rings, **{one.family: one.rings for one in v.families}} for n, v in told.items()})
        found[name] = counted(rows, LOOKS)
    return found
