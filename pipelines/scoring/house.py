"""What a hospital may say of itself when it scores with a package that others made: names and patterns, no value."""

from pathlib import Path

from pydantic import Field, ValidationError

from featurestore.errors import InputError
from pipelines.ingest.clinical import PATIENT
from pipelines.params import CaseRules, ParamsError, load_section
from pipelines.params.base import Name, Section
from pipelines.params.data import Center, Roi


class HouseRulesError(InputError):
    """The hospital's rules cannot be used with this package."""

    default_remedy = "correct the file given by --rules: its keys are phases, roi (pattern, number, label) and clinical"


class HouseRules(Section):
    """A hospital's names for what the package's rules are about.

    Args:
        phases: The pattern of SeriesDescription by which the house's series are recognized, by the package's phase.
        roi: How the house marks the region: any of pattern, number and label.
        clinical: What the house calls columns of `clinical.csv`, by the package's name for them or `patient_id`.
    """

    phases: dict[Name, str] = {}
    roi: Roi = Field(default=Roi())
    clinical: dict[str, str] = {}

    def rules(self, made_with: CaseRules) -> CaseRules:
        """Returns the package's rules in the house's names.

        Raises:
            HouseRulesError: They are about something that the package has not.
        """
        self._check(made_with)
        asked = self.roi.model_dump(exclude_unset=True)
        try:
            roi = Roi.model_validate({**made_with.ingest.roi.model_dump(), **asked})
        except ValidationError as error:
            raise HouseRulesError(str(error), where="roi") from error
        return made_with.model_copy(update={"ingest": made_with.ingest.model_copy(update={"roi": roi})})

    def section(self, center: Center) -> Center:
        """Returns the hospital's settings with its own patterns and column names."""
        return center.model_copy(update={"phases": self.phases, "clinical": self.clinical})

    def _check(self, made_with: CaseRules) -> None:
        known = {"phases": set(made_with.phases), "clinical": {PATIENT, *made_with.ingest.clinical}}
        for key, names in (("phases", self.phases), ("clinical", self.clinical)):
            unknown = sorted(set(names) - known[key])
            if unknown:
                there = ", ".join(sorted(known[key])) or "none"
                raise HouseRulesError(f"the package has no {', '.join(unknown)} (there are {there})", where=key)
        if "name" in self.roi.model_fields_set:
            raise HouseRulesError("the region's name is the package's to say", where="roi.name")


def read_house_rules(path: Path | None) -> HouseRules:
    """Reads a hospital's rules; without a file the package's own hold.

    Raises:
        HouseRulesError: The file is missing, is no YAML, or has unknown keys.
    """
    if path is None:
        return HouseRules()
    try:
        return load_section(HouseRules, path)
    except ParamsError as error:
        raise HouseRulesError(error.what, where=error.where) from error
