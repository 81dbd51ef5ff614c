"""Which phase a DICOM series or an image file is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from featurestore.errors import InputError
from pipelines.params.data import Center, Phase


class PhasePatternError(InputError):
    """A center's own phase pattern cannot be used."""

    default_remedy = "correct centers.<role>.<center>.phases in params.yaml"


@dataclass(frozen=True, kw_only=True)
class PhaseMatcher:
    """The phases' patterns, a center's own laid over the study's.

    Args:
        patterns: A compiled pattern by phase.
        phases: The phases' rules.
    """

    patterns: dict[str, re.Pattern[str]]
    phases: Mapping[str, Phase]

    @classmethod
    def of(cls, phases: Mapping[str, Phase], name: str, center: Center) -> "PhaseMatcher":
        """Returns the matcher of a center.

        Raises:
            PhasePatternError: The center has a pattern for an undeclared phase, or one that is no regular expression.
        """
        where = f"params.yaml: center {name}"
        unknown = sorted(set(center.phases) - set(phases))
        if unknown:
            raise PhasePatternError(f"phases has {', '.join(unknown)} (there are {', '.join(phases)})", where=where)
        patterns = {phase: center.phases.get(phase, rule.series_description) for phase, rule in phases.items()}
        try:
            compiled = {phase: re.compile(pattern) for phase, pattern in patterns.items()}
        except re.error as error:
            raise PhasePatternError(f"not a regular expression: {error}", where=where) from error
        return cls(patterns=compiled, phases=phases)

    def of_series(self, description: str, delay_s: float | None) -> list[str]:
        """Returns the phases that a DICOM series may be, by its description and, where told, its contrast timing."""
        return [
            phase
            for phase, pattern in self.patterns.items()
            if pattern.search(description) and _in_time(self.phases[phase].delay_s, delay_s)
        ]

    def of_stem(self, stem: str) -> list[str]:
        """Returns the phases that an image file may be: the one it is named as, else those whose pattern it matches."""
        named = [phase for phase in self.patterns if phase.casefold() == stem.casefold()]
        return named or [phase for phase, pattern in self.patterns.items() if pattern.search(stem)]


def _in_time(limits_s: tuple[float, float] | None, delay_s: float | None) -> bool:
    return limits_s is None or delay_s is None or limits_s[0] <= delay_s <= limits_s[1]
