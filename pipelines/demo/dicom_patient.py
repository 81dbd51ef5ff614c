"""Everything a hospital exports of one patient as DICOM, planted faults included."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from pipelines.demo.centers import PHASES
from pipelines.demo.ct_series import SeriesPlan, Study, ct_series
from pipelines.demo.encoding import Encoder
from pipelines.demo.faults import Fault, has_fault
from pipelines.demo.layout import placed
from pipelines.demo.scene import Scene, sharpened
from pipelines.demo.segmentation import segmentation
from pipelines.demo.structure_set import BLADDER, Region, structure_set
from pipelines.images.grid import Grid

_MASK_SERIES = 100
"""Number of a phase's mask object above that of its CT series."""

_MISSING_SLICE = 0.5
"""Where in the volume the slice lies that is not sent, as a share of its slices: inside the tumor."""

_CUT_SLICE = 3
"""InstanceNumber of the slice that is cut off in the middle of its pixels."""


def write_dicom_patient(folder: Path, study: Study, scenes: dict[str, Scene]) -> None:
    """Writes all series, masks and scouts of a patient below the center's folder."""
    for copy in range(2 if _planted(study, "sent_twice") else 1):
        export = replace(study, copy=copy)
        encoder = Encoder(is_implicit=study.style.scanner.implicit)
        for name, one in placed(export, list(_objects(export, scenes))):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = encoder.file_bytes(one)
            is_cut = one.SeriesInstanceUID in _to_truncate(export) and one.InstanceNumber == _CUT_SLICE
            path.write_bytes(content[: -one.Rows * one.Columns] if is_cut else content)


def _objects(study: Study, scenes: dict[str, Scene]) -> Iterator[Dataset]:
    if study.patient.index % 3 == 0:
        yield _scout(study, scenes[PHASES[0]])
    for number, phase in enumerate(PHASES, start=2):
        if not _planted(study, "phase_not_sent", phase):
            yield from _phase(study, scenes[phase], number, phase)


def _phase(study: Study, scene: Scene, number: int, phase: str) -> Iterator[Dataset]:
    plan = _plan(study, number, phase)
    series = ct_series(study, plan, scene.grid, scene.hu)
    lacking = int(len(series) * _MISSING_SLICE) if _planted(study, "missing_slice", phase) else None
    yield from (one for n, one in enumerate(series) if n != lacking)
    yield _mask(study, scene, series, number + _MASK_SERIES, phase)
    if _planted(study, "second_series", phase):
        second = replace(plan, number=number + 10, kernel=f"{plan.kernel} sharp")
        yield from ct_series(study, second, scene.grid, sharpened(scene))
    if _planted(study, "stray_slices", phase):
        yield from _strays(study, scene, replace(plan, number=number + 10, acquisition=2, uid_of=number))


def _plan(study: Study, number: int, phase: str) -> SeriesPlan:
    place = PHASES.index(phase)
    return SeriesPlan(
        number=number,
        description=study.style.descriptions[place],
        delay_s=study.style.delays_s[place],
        kernel=study.style.scanner.kernel,
    )


def _mask(study: Study, scene: Scene, series: list[Dataset], number: int, phase: str) -> Dataset:
    regions = _regions(study, scene, phase)
    if study.style.export == "rtstruct":
        return structure_set(study, series, scene.grid, regions, number)
    is_other = _planted(study, "other_grid", phase)
    return segmentation(study, series, scene.grid, regions, number, is_on_other_grid=is_other)


def _regions(study: Study, scene: Scene, phase: str) -> list[tuple[str, Region]]:
    is_empty = _planted(study, "empty_mask", phase)
    lesions = [np.zeros_like(region) if is_empty else region for region in scene.lesions]
    named = list(zip(study.style.tumor_names[: len(lesions)], lesions, strict=True))
    return [(BLADDER, scene.bladder), *named]


def _strays(study: Study, scene: Scene, plan: SeriesPlan) -> list[Dataset]:
    """Returns every third slice of a zoomed reconstruction that carries the SeriesInstanceUID of the first."""
    grid = scene.grid
    x, y, _ = grid.spacing_mm
    zoomed = replace(grid, spacing_mm=(1.25 * x, 1.25 * y, grid.spacing_mm[2]))
    return ct_series(study, plan, zoomed, scene.hu)[::3]


def _scout(study: Study, scene: Scene) -> Dataset:
    """Returns a frontal localizer: the mean of the volume along the rows of a slice's columns."""
    x, y, z = scene.grid.spacing_mm
    front = np.repeat(scene.hu.mean(axis=1)[::-1], 3, axis=0)[None].astype(np.int16)
    top = scene.grid.position_mm((0, (scene.grid.size[1] - 1) / 2, scene.grid.size[2] - 1))
    across = scene.grid.matrix()[:, 0]
    grid = Grid(
        size=(scene.grid.size[0], front.shape[1], 1),
        spacing_mm=(x, z / 3, y),
        origin_mm=(float(top[0]), float(top[1]), float(top[2])),
        direction=tuple(np.column_stack([across, (0, 0, -1), np.cross(across, (0, 0, -1))]).ravel().tolist()),
    )
    image_type = ("ORIGINAL", "PRIMARY", "LOCALIZER")
    plan = SeriesPlan(number=1, description="Scout", delay_s=None, kernel="", image_type=image_type)
    return ct_series(study, plan, grid, front)[0]


def _to_truncate(study: Study) -> set[str]:
    """Returns the SeriesInstanceUIDs of which one slice is to be cut off."""
    phases = enumerate(PHASES, start=2)
    return {study.uid("series", number) for number, phase in phases if _planted(study, "truncated_file", phase)}


def _planted(study: Study, fault: Fault, phase: str = "") -> bool:
    return has_fault(study.style.name, study.patient.patient_id, fault, phase)
