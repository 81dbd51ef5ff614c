"""The colors of pages and figures: named by what they mean, with a light and a dark value each.

Figures are drawn in the light values. In a page each becomes a CSS variable, so that one drawing reads well on both
backgrounds; that needs every light value to be different.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tone:
    """A color on a light and on a dark background."""

    light: str
    dark: str


TONES = {
    "ink": Tone("#1b2430", "#e8edf3"),
    "muted": Tone("#566273", "#a3b0c0"),
    "line": Tone("#dde3ea", "#303b49"),
    "surface": Tone("#ffffff", "#161d27"),
    "page": Tone("#f6f7f9", "#0e141b"),
    "soft": Tone("#eef2f6", "#1f2833"),
    "accent": Tone("#0c6b73", "#5cc9d0"),
    "training": Tone("#66758c", "#9db0c8"),
    "internal": Tone("#1a66ae", "#6fb4f5"),
    "external": Tone("#bf4310", "#ff9d66"),
    "faint": Tone("#b3bdc9", "#57657a"),
    "positive": Tone("#b3235f", "#ff86b5"),
    "negative": Tone("#3a6b86", "#84bddb"),
    "good": Tone("#22713f", "#70cf93"),
    "warn": Tone("#8f5400", "#f0b45a"),
    "bad": Tone("#b02525", "#ff8f8f"),
}

COHORT_TONES = {
    "training": "training",
    "training_apparent": "faint",
    "internal": "internal",
    "external": "external",
}


def light(tone: str) -> str:
    """Returns the color that figures are drawn in."""
    return TONES[tone].light


def variables(scheme: str) -> dict[str, str]:
    """Returns the CSS variables of the `light` or the `dark` scheme."""
    return {f"--{name}": getattr(tone, scheme) for name, tone in TONES.items()}


def cohort_tone(cohort: str) -> str:
    """Returns the color name of a cohort; a single external center has the external cohort's."""
    return COHORT_TONES[cohort.split(".")[0]]
