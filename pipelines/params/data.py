"""Sections that decide which cases there are and what was read of them."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from pipelines.params.base import Name, Section
from pipelines.params.statements import STATEMENTS, spoken


class RadmillSection(Section):
    """Pins what decides feature values.

    Args:
        feature_set: The version that this study's values were made with; another installed one is refused.
    """

    feature_set: str


class StudySection(Section):
    """The study's name and the statements that only a person can make.

    Args:
        name: The study's name on its page and in MLflow.
        statements: What no record can tell, by the keys listed below: ethics, reference_standard, readers and the like.
            "no …" says that something was not done, "n/a …" that it does not apply here.
    """

    name: str
    statements: dict[str, str] = {}

    @field_validator("statements", mode="before")
    @classmethod
    def _as_words(cls, value: object) -> object:
        return {key: spoken(text) for key, text in value.items()} if isinstance(value, dict) else value

    @field_validator("statements")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(value) - set(STATEMENTS))
        if unknown:
            raise ValueError(f"no statement is called {', '.join(unknown)} (there are {', '.join(STATEMENTS)})")
        return value


class Rule(Section):
    """One line of the cohort flow: a condition on a column of `clinical` or `acquisition`.

    Exactly one of `equals`, `one_of`, `minimum`/`maximum` and `present` states the condition.

    Args:
        column: The column that is looked at.
        reason: How the cohort flow calls the rule.
        equals: The value it must have.
        one_of: The values it may have.
        minimum: The smallest value.
        maximum: The largest value.
        present: Whether there must be a value at all.
    """

    column: str
    reason: str
    equals: str | float | None = None
    one_of: list[str | float] | None = None
    minimum: float | None = None
    maximum: float | None = None
    present: bool | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> "Rule":
        stated = [
            self.equals is not None,
            self.one_of is not None,
            self.minimum is not None or self.maximum is not None,
            self.present is not None,
        ]
        if sum(stated) != 1:
            raise ValueError("state exactly one of equals, one_of, minimum/maximum, present")
        return self


class CohortSection(Section):
    """Who belongs to the study. A patient must meet every `include` rule and no `exclude` rule.

    Args:
        include: Rules that a patient must meet.
        exclude: Rules that a patient must not meet.
        rejected: A CSV file in the study with center, patient_id (or a case_id), reason and, where not all
            phases go, phase of cases put aside by hand.
        withdrawn: Pseudonyms (case_id) of patients who withdrew; they are in no table and do not come back.
    """

    include: list[Rule] = []
    exclude: list[Rule] = []
    rejected: str | None = None
    withdrawn: list[str] = []


class Center(Section):
    """One institution.

    Args:
        key_id: The public name of the center's pseudonym key; radmill writes it when it makes the key.
        folder: The folder below `data/raw`, where it is not named as the center.
        phases: Series description patterns of this center alone, by phase.
        clinical: What this center calls columns of `clinical.csv`, by their declared name or `patient_id`.
    """

    key_id: str | None = None
    folder: str | None = None
    phases: dict[Name, str] = {}
    clinical: dict[str, str] = {}


class CentersSection(Section):
    """Where models are made, and where they are only tested.

    Args:
        development: Centers whose patients train and internally validate models.
        external: Labelled centers that are sealed for validation.
    """

    development: dict[Name, Center]
    external: dict[Name, Center]

    @model_validator(mode="after")
    def _apart(self) -> "CentersSection":
        both = set(self.development) & set(self.external)
        if both:
            raise ValueError(f"{sorted(both)} cannot be development and external at once")
        return self

    def of(self, role: str) -> dict[str, Center]:
        """Returns the centers of a role."""
        return self.development if role == "development" else self.external


class Phase(Section):
    """How a DICOM series is recognized as this phase.

    Args:
        series_description: A regular expression on SeriesDescription.
        delay_s: Seconds from contrast start to acquisition, as a range; used where the tags tell it.
        required: Whether a patient without it is refused.
    """

    series_description: str
    delay_s: tuple[float, float] | None = None
    required: bool = True

    @field_validator("series_description")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value


class LabelSection(Section):
    """The outcome: its column in `clinical.csv`, and which values are positive and negative.

    Args:
        name: How pages call it.
        column: The column in `clinical.csv`.
        positive: Its positive values.
        negative: Its negative values; any other value is refused.
    """

    name: Name
    column: str
    positive: list[str | int]
    negative: list[str | int]

    @model_validator(mode="after")
    def _disjoint(self) -> "LabelSection":
        both = {str(v) for v in self.positive} & {str(v) for v in self.negative}
        if both or not self.positive or not self.negative:
            raise ValueError("positive and negative must each name at least one value and share none")
        return self


class Roi(Section):
    """Which outlined region is the tumor.

    Args:
        name: What radmill calls it.
        pattern: A regular expression on RTSTRUCT ROI names and DICOM-SEG segment labels.
        number: The ROI or segment number, where names say nothing.
        label: The mask value in NIfTI and NRRD files, or `auto` when there is exactly one non-zero value.
    """

    name: Name = "tumor"
    pattern: str = ".*"
    number: int | None = None
    label: int | Literal["auto"] = "auto"


class ClinicalColumn(Section):
    """A declared column of `clinical.csv`.

    Args:
        kind: Its type; `category` needs `values`.
        values: The values that may occur.
        minimum: The smallest plausible number.
        maximum: The largest plausible number.
        unit: Its unit.
        description: What it is, for tables.
        required: Whether a center may lack the column.
    """

    kind: Literal["number", "integer", "category", "boolean", "text"] = "number"
    values: list[str] = []
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    description: str = ""
    required: bool = True


class IngestSection(Section):
    """How images, masks and clinical tables are read.

    Args:
        roi: Which region is the tumor.
        roi_policy: What to do with several lesions.
        observer_policy: Which observer's mask features come from, or `majority`, or `staple`.
        clinical: The declared clinical columns, by name.
        slice_gap_tolerance: Largest deviation of a slice distance from the median, as a share of it.
        minimum_roi_voxels: A smaller region is refused.
        grid_tolerance_mm: Up to here image and mask grids count as the same.
        resample_mask_within_mm: A mask on another grid is resampled if origin and extent differ by less; 0 refuses.
        direction_tolerance: Largest departure of NIfTI axes from orthonormal that is repaired.
        fractional_threshold: From this occupancy on a voxel of a fractional DICOM-SEG is inside.
    """

    roi: Roi = Roi()
    roi_policy: Literal["largest", "union", "each"] = "union"
    observer_policy: str = "majority"
    clinical: dict[str, ClinicalColumn] = {}
    slice_gap_tolerance: float = Field(default=0.02, gt=0, lt=0.5)
    grid_tolerance_mm: float = Field(default=0.01, gt=0)
    resample_mask_within_mm: float = Field(default=0.0, ge=0)
    direction_tolerance: float = Field(default=1e-4, gt=0)
    minimum_roi_voxels: int = Field(default=8, ge=1)
    fractional_threshold: float = Field(default=0.5, gt=0, le=1)


class Margin(Section):
    """How much image is stored around the region, so that a stored case gives the values of the full image.

    Args:
        mm: Distance around the region's box.
        voxels: The same in voxels; the larger of both holds on each axis.
    """

    mm: float = Field(ge=0)
    voxels: int = Field(ge=0)


class ExtractionSection(Section):
    """Feature settings under PyRadiomics's own keys (`imageType`, `featureClass`, `setting`).

    Args:
        engine: Which engine computes.
        default: Settings of every phase: the keys themselves, or `file:` with a PyRadiomics parameter file.
        by_phase: For a phase, keys laid over the default, `setting` merged key by key.
        perturbations: Ways to perturb image and mask, `kind:amount`, whose features become the view `perturbed`.
    """

    engine: Literal["fast", "pyradiomics"] = "fast"
    default: dict[str, object]
    by_phase: dict[Name, dict[str, object]] = {}
    perturbations: list[str] = []
