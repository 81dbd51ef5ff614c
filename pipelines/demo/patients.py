"""Who the demo's patients are: label, clinical variables, and the traits their images are drawn with.

The true effect, in units of the standard deviation between patients and multiplied by `effect`, all of it independent
of tumor size and, given the label, independent between patients, of the clinical variables, and partly between phases:

- texture: HER2-positive tumors are more heterogeneous (larger standard deviation of the texture, coarser grain);
- enhancement: they enhance earlier and wash out, so the sign of the difference changes from phase to phase;
- clinical: sessile architecture, hydronephrosis, pelvic pain and positive nodes are more frequent.

With `effect=0` nothing depends on the label. The same seed draws the same patients for every effect.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, sqrt

import numpy as np

from pipelines.demo.centers import PHASES, CenterStyle

CLINICAL = ("sessile", "hydronephrosis", "pelvic_pain", "node_positive")
MEAN_HU = {"corticomedullary": 72.0, "nephrographic": 88.0, "excretory": 70.0}
MEAN_SD_HU = 13.0
TEXTURE_HU = {"corticomedullary": 39.0, "nephrographic": 39.0, "excretory": 39.0}
TEXTURE_LOG_SD = 0.2
GRAIN_MM = 2.2
GRAIN_LOG_SD = 0.12
SHARED = 0.25
"""Share of the variance of a trait that a patient's phases have in common; the rest is new in each phase."""


@dataclass(frozen=True, kw_only=True)
class TrueEffect:
    """How far apart the two labels lie, in standard deviations between patients or in log odds.

    Args:
        texture: Shift of the log standard deviation of the tumor's texture, all phases.
        grain: Shift of the log correlation length of that texture.
        enhancement: Shift of mean enhancement, by phase.
        clinical: Log odds ratio of each clinical variable.
    """

    texture: float
    grain: float
    enhancement: dict[str, float]
    clinical: dict[str, float]


def demo_params(effect: float = 1.0) -> TrueEffect:
    """Returns the true effect that a demo written with this `effect` has."""
    return TrueEffect(
        texture=1.05 * effect,
        grain=0.6 * effect,
        enhancement={"corticomedullary": 0.7 * effect, "nephrographic": 0.6 * effect, "excretory": -0.7 * effect},
        clinical={
            "sessile": 1.2 * effect,
            "hydronephrosis": 1.1 * effect,
            "pelvic_pain": 0.9 * effect,
            "node_positive": 1.1 * effect,
        },
    )


@dataclass(frozen=True, kw_only=True)
class PhaseTraits:
    """What a tumor looks like in one phase: mean and texture in HU, grain in mm."""

    mean_hu: float
    texture_hu: float
    grain_mm: float


@dataclass(frozen=True, kw_only=True)
class Patient:
    """One fictitious patient.

    Args:
        center: The center's name.
        index: Place in the center, from 0.
        patient_id: The hospital's own number.
        is_positive: The truth: HER2 positive.
        ihc: Immunohistochemistry score, as the laboratory writes it.
        age_years: Age at the examination.
        sex: F or M.
        signs: The clinical variables, by name.
        radius_mm: Radius of the tumor; independent of the label.
        traits: What the tumor looks like, by phase.
    """

    center: str
    index: int
    patient_id: str
    is_positive: bool
    ihc: str
    age_years: int
    sex: str
    signs: dict[str, bool]
    radius_mm: float
    traits: dict[str, PhaseTraits]

    @property
    def name(self) -> str:
        """A DICOM person name that nobody has."""
        return f"Fictitious^{self.center.title()}{self.index:04d}"

    @property
    def study_date(self) -> str:
        """A fixed date of the examination, as DICOM writes it."""
        return f"2023{1 + self.index % 12:02d}{1 + (self.index * 7) % 28:02d}"

    @property
    def birth_date(self) -> str:
        """A date of birth that fits the age."""
        return f"{2023 - self.age_years}0101"


def patient_id(style: CenterStyle, index: int) -> str:
    """Returns the number a hospital gives its patient; neighbors do not have neighboring numbers."""
    return f"{style.prefix}{10000 + (index * 7919 + style.number * 1237) % 89999}"


def random_stream(seed: int, style: CenterStyle, index: int, *parts: int) -> np.random.Generator:
    """Returns the random numbers of one patient for one purpose; nobody else's draws move them."""
    return np.random.default_rng([seed, style.number, index, *parts])


def patients_of(style: CenterStyle, n_patients: int, seed: int, effect: float) -> Iterator[Patient]:
    """Yields a center's patients; the first ones are the same however many are asked for."""
    start = np.random.default_rng([seed, style.number]).random()
    truth = demo_params(effect)
    for index in range(n_patients):
        step = np.floor((index + 1) * style.prevalence + start) - np.floor(index * style.prevalence + start)
        yield _patient(style, index, bool(step), truth, random_stream(seed, style, index, 0))


def _patient(
    style: CenterStyle, index: int, is_positive: bool, truth: TrueEffect, random: np.random.Generator
) -> Patient:
    ihc = ("2+", "3+") if is_positive else ("0", "1+")
    return Patient(
        center=style.name,
        index=index,
        patient_id=patient_id(style, index),
        is_positive=is_positive,
        ihc=ihc[int(random.random() < 0.5)],
        age_years=int(np.clip(random.normal(69, 9), 41, 90)),
        sex="F" if random.random() < 0.25 else "M",
        signs=_signs(is_positive, truth, random),
        radius_mm=float(np.clip(8.6 * exp(random.normal(0, 0.11)), 6.8, 10.8)),
        traits=_traits(style, is_positive, truth, random),
    )


def _signs(is_positive: bool, truth: TrueEffect, random: np.random.Generator) -> dict[str, bool]:
    base = {"sessile": -0.1, "hydronephrosis": -0.7, "pelvic_pain": -0.8, "node_positive": -0.9}
    side = 0.5 if is_positive else -0.5
    return {
        name: bool(random.random() < 1 / (1 + exp(-(base[name] + side * truth.clinical[name])))) for name in CLINICAL
    }


def _traits(
    style: CenterStyle, is_positive: bool, truth: TrueEffect, random: np.random.Generator
) -> dict[str, PhaseTraits]:
    """Draws three standard normal traits, partly common to the phases, shifts them by the label, and scales them."""
    side = 0.5 if is_positive else -0.5
    common = random.standard_normal(3)
    traits = {}
    for phase in PHASES:
        shift = np.array([truth.enhancement[phase], truth.texture, truth.grain])
        mean, texture, grain = (
            sqrt(SHARED) * common + sqrt(1 - SHARED) * random.standard_normal(3) + side * shift
        ).tolist()
        traits[phase] = PhaseTraits(
            mean_hu=style.contrast * (MEAN_HU[phase] + MEAN_SD_HU * mean),
            texture_hu=TEXTURE_HU[phase] * exp(TEXTURE_LOG_SD * texture),
            grain_mm=GRAIN_MM * exp(GRAIN_LOG_SD * grain),
        )
    return traits
