"""A fictitious pelvis in HU: fat, muscle, a bladder filled with urine, and a lobulated tumor on its wall.

The anatomy is the same in all phases; enhancement, texture and noise differ. Everything is drawn at voxel centers from
distance functions in mm, so a center's grid decides how well the scene is seen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pipelines.demo.centers import PHASES, CenterStyle
from pipelines.demo.patients import Patient, random_stream
from pipelines.images.grid import Grid

URINE_HU = {"corticomedullary": 6.0, "nephrographic": 9.0, "excretory": 210.0}
WALL_HU = {"corticomedullary": 48.0, "nephrographic": 58.0, "excretory": 52.0}
MUSCLE_HU = {"corticomedullary": 55.0, "nephrographic": 65.0, "excretory": 60.0}
FAT_HU = -95.0
WALL_MM = 3.0
READER_INSET_MM = 0.6
"""Readers outline a tumor a little inside its border, so as to leave the urine out."""

Field = NDArray[np.float64]
Region = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Signed distances in mm on the center's grid, negative inside; arrays are (z, y, x)."""

    bladder: Field
    tumor: Field
    second_lesion: Field
    body: Field


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One phase of one patient.

    Args:
        hu: Voxels in HU, int16, (z, y, x).
        lesions: The outlined lesions, one or two, (z, y, x) each.
        bladder: The bladder without the lesions.
        grid: Where the voxels lie.
    """

    hu: NDArray[np.int16]
    lesions: tuple[Region, ...]
    bladder: Region
    grid: Grid

    @property
    def tumor(self) -> Region:
        """All lesions together."""
        return np.logical_or.reduce(self.lesions)


def grid_of(style: CenterStyle) -> Grid:
    """Returns the grid all series of a center share."""
    row, column = np.array(style.rows[:3]), np.array(style.rows[3:])
    return Grid(
        size=style.size,
        spacing_mm=style.spacing_mm,
        origin_mm=style.origin_mm,
        direction=tuple(np.column_stack([row, column, np.cross(row, column)]).ravel().tolist()),
    )


def draw(style: CenterStyle, patient: Patient, seed: int, *, is_hollow: bool, has_second: bool) -> dict[str, Scene]:
    """Draws all phases of a patient.

    Args:
        style: The center.
        patient: The patient.
        seed: The demo's seed.
        is_hollow: Whether the tumor has a necrotic core that readers leave out: a hole in its contour.
        has_second: Whether there is a second lesion.
    """
    anatomy = _anatomy(style, patient, random_stream(seed, style, patient.index, 1))
    lesions = _lesions(style, anatomy, is_hollow, has_second)
    bladder = (anatomy.bladder < 0) & ~np.logical_or.reduce(lesions)
    return {
        phase: Scene(
            hu=_voxels(style, patient, phase, anatomy, has_second, random_stream(seed, style, patient.index, 2, n)),
            lesions=lesions,
            bladder=bladder,
            grid=grid_of(style),
        )
        for n, phase in enumerate(PHASES)
    }


def sharpened(scene: Scene) -> NDArray[np.int16]:
    """Returns the voxels as a sharper kernel would have reconstructed them: edges and noise stronger."""
    smooth = gaussian_filter(scene.hu.astype(np.float64), [0.0, 0.8, 0.8])
    return np.clip(np.rint(2.0 * scene.hu - smooth), -1000, 3000).astype(np.int16)


def second_reader(scene: Scene, random: np.random.Generator) -> Region:
    """Returns another reader's outline: the same lesion with its border shifted by up to about a voxel."""
    inside = gaussian_filter(scene.tumor.astype(float), 0.8)
    wobble = gaussian_filter(random.standard_normal(inside.shape), 2.0)
    wobble *= 0.12 / wobble.std()
    outline: Region = inside + wobble > 0.5 + random.normal(0, 0.05)
    return outline


def _anatomy(style: CenterStyle, patient: Patient, random: np.random.Generator) -> Anatomy:
    x, y, z = _coordinates(style)
    axes = np.array([18.5, 16.5, 19.0]) * random.uniform(0.93, 1.05, 3)
    squeeze = 1 + 0.05 * np.sin(2 * np.arctan2(y, x) + random.uniform(0, 2 * np.pi))
    bladder = (np.sqrt((x / axes[0]) ** 2 + (y / axes[1]) ** 2 + (z / axes[2]) ** 2) * squeeze - 1) * axes.min()
    seat = _seat(axes, random)
    tumor = _lobulated((x, y, z), seat, patient.radius_mm, random)
    second = _lobulated((x, y, z), -seat, 0.45 * patient.radius_mm, random)
    edge = 23.5 + 1.5 * np.sin(3 * np.arctan2(y, x) + random.uniform(0, 2 * np.pi))
    return Anatomy(
        bladder=bladder,
        tumor=np.maximum(tumor, bladder),
        second_lesion=np.maximum(second, bladder),
        body=np.hypot(x, y) - edge,
    )


def _coordinates(style: CenterStyle) -> tuple[Field, Field, Field]:
    """Returns x, y, z in mm from the center of the volume, broadcastable to (z, y, x)."""
    x, y, z = (
        np.asarray((np.arange(n) - (n - 1) / 2) * step, dtype=np.float64)
        for n, step in zip(style.size, style.spacing_mm, strict=True)
    )
    return x[None, None, :], y[None, :, None], z[:, None, None]


def _seat(axes: Field, random: np.random.Generator) -> Field:
    """Returns where on the inner wall the tumor sits: anywhere but near the upper and lower pole."""
    angle, height = random.uniform(0, 2 * np.pi), random.uniform(-0.35, 0.35)
    flat = np.sqrt(1 - height**2)
    direction = np.array([flat * np.cos(angle), flat * np.sin(angle), height])
    seat: Field = direction * (axes - 6.5)
    return seat


def _lobulated(at: tuple[Field, Field, Field], seat: Field, radius_mm: float, random: np.random.Generator) -> Field:
    """Returns the signed distance to a ball with four lobes, joined smoothly."""
    balls = [(seat, 0.82 * radius_mm)]
    for _ in range(4):
        way = random.standard_normal(3)
        way /= np.linalg.norm(way)
        balls.append((seat + way * radius_mm * 0.62, radius_mm * random.uniform(0.38, 0.52)))
    sharpness = 1.2
    total = sum(
        np.exp(-sharpness * (np.sqrt(sum((c - m) ** 2 for c, m in zip(at, middle, strict=True))) - radius))
        for middle, radius in balls
    )
    distance: Field = -np.log(np.maximum(total, 1e-300)) / sharpness
    return distance


def _lesions(style: CenterStyle, anatomy: Anatomy, is_hollow: bool, has_second: bool) -> tuple[Region, ...]:
    first = anatomy.tumor < -READER_INSET_MM
    if is_hollow:
        deepest = np.unravel_index(np.argmin(anatomy.tumor), anatomy.tumor.shape)
        rows, columns = (slice(int(c) - 1, int(c) + 2) for c in deepest[1:])
        first[deepest[0], rows, columns] = False
    second = anatomy.second_lesion < -READER_INSET_MM
    return (first, second & ~first) if has_second else (first,)


def _voxels(
    style: CenterStyle, patient: Patient, phase: str, anatomy: Anatomy, has_second: bool, random: np.random.Generator
) -> NDArray[np.int16]:
    traits = patient.traits[phase]
    hu = np.where(anatomy.body < 0, MUSCLE_HU[phase], FAT_HU) + 6.0 * _grains(style, 4.0, random)
    hu = np.where((anatomy.bladder >= 0) & (anatomy.bladder < 4.0), FAT_HU, hu)
    hu = np.where(anatomy.bladder < 0, WALL_HU[phase], hu)
    hu = np.where(anatomy.bladder < -WALL_MM, _urine(style, phase, random), hu)
    tumor = traits.mean_hu + traits.texture_hu * _grains(style, traits.grain_mm, random)
    hu = np.where(anatomy.tumor < 0, tumor, hu)
    if has_second:
        hu = np.where(anatomy.second_lesion < 0, tumor, hu)
    hu = gaussian_filter(hu, [0.0, *(0.45 / s for s in style.spacing_mm[1::-1])])
    hu = hu + style.offset_hu + style.noise_hu * _noise(style, random)
    return np.clip(np.rint(hu), -1000, 3000).astype(np.int16)


def _urine(style: CenterStyle, phase: str, random: np.random.Generator) -> Field:
    """Returns urine; excreted contrast sinks, so it is denser towards the back."""
    level = URINE_HU[phase] * random.uniform(0.75, 1.25)
    _, y, _ = _coordinates(style)
    layers: Field = level * (1 + (0.012 * y if phase == "excretory" else 0.0 * y))
    return layers


def _grains(style: CenterStyle, length_mm: float, random: np.random.Generator) -> Field:
    """Returns a random field of unit variance with this correlation length in all directions."""
    return _unit(
        gaussian_filter(_white(style, random), [length_mm / 2 / s for s in style.spacing_mm[::-1]], mode="wrap")
    )


def _noise(style: CenterStyle, random: np.random.Generator) -> Field:
    """Returns scanner noise of unit variance: correlated in the plane by the kernel, independent between slices."""
    return _unit(gaussian_filter(_white(style, random), [0.0, *(style.kernel_mm / s for s in style.spacing_mm[1::-1])]))


def _white(style: CenterStyle, random: np.random.Generator) -> Field:
    return random.standard_normal(style.size[::-1])


def _unit(field: Field) -> Field:
    scaled: Field = (field - field.mean()) / field.std()
    return scaled
