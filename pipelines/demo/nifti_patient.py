"""What a research-minded hospital sends of one patient: NIfTI volumes with the masks of two readers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pipelines.demo.centers import PHASES, CenterStyle
from pipelines.demo.faults import Fault, has_fault
from pipelines.demo.patients import Patient, random_stream
from pipelines.demo.scene import Scene, second_reader
from pipelines.images.grid import Grid

OTHER_GRID_SHIFT_MM = 5.5
"""How far along x a mask that was made on another series lies off."""

WRONG_LABEL = 3


def write_nifti_patient(
    folder: Path, style: CenterStyle, patient: Patient, scenes: dict[str, Scene], seed: int
) -> None:
    """Writes `<patient>/<phase>.nii.gz` and both readers' masks below the center's folder."""
    place = folder / patient.patient_id
    place.mkdir(parents=True, exist_ok=True)
    for number, phase in enumerate(PHASES):
        scene = scenes[phase]
        other = second_reader(scene, random_stream(seed, style, patient.index, 4, number))
        _write(place / f"{phase}.nii.gz", scene.hu, scene.grid)
        _write_first_reader(place / f"{phase}_mask-a.nii.gz", style, patient, scene, phase)
        _write(place / f"{phase}_mask-b.nii.gz", other.astype(np.uint8), scene.grid)


def _write_first_reader(path: Path, style: CenterStyle, patient: Patient, scene: Scene, phase: str) -> None:
    def planted(fault: Fault) -> bool:
        return has_fault(style.name, patient.patient_id, fault, phase)

    mask, grid = scene.tumor.astype(np.uint8), scene.grid
    if planted("empty_mask"):
        mask = np.zeros_like(mask)
    if planted("wrong_label_value"):
        mask = mask * np.uint8(WRONG_LABEL)
    if planted("other_grid"):
        x, y, z = grid.origin_mm
        grid = replace(grid, origin_mm=(x + OTHER_GRID_SHIFT_MM, y, z))
    _write(path, mask, grid)


def _write(path: Path, voxels: NDArray[np.generic], grid: Grid) -> None:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    sitk.WriteImage(image, str(path), useCompression=True)
