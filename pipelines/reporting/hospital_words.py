"""What the pages of hospitals call things, and what a person should do about them."""

from collections.abc import Mapping

from pipelines.scoring.conformal import BOTH, NEGATIVE, NEITHER, POSITIVE
from pipelines.scoring.doubt import FAR, OTHER_ACQUISITION, OTHER_DATA
from pipelines.scoring.drift_message import CODE as DRIFT
from pipelines.scoring.performance import LABEL_REVERSED, LABEL_UNDECLARED

SERIOUS = frozenset({DRIFT, OTHER_DATA, LABEL_REVERSED})
"""Alarms that say: do not rely on these scores before somebody has looked."""

ALARMS: Mapping[str, tuple[str, str]] = {
    DRIFT: ("Cases unlike those of development", "See the section on drift: which features moved, and which scanners."),
    OTHER_DATA: ("Most cases look like another study's data", "Do not use the scores before the folder was checked."),
    OTHER_ACQUISITION: (
        "Most images were made in another way",
        "Only labels tell how well the model does on such images; texture features move most.",
    ),
    LABEL_REVERSED: ("The scores order patients the wrong way round", "Nobody should act on scores or labels now."),
    LABEL_UNDECLARED: ("Labels with values nobody declared", "Correct clinical.csv or declare the values, and score."),
    "labels_unread": ("The labels cannot be read", "The scores are not touched; correct clinical.csv and score again."),
    "looks_failed": ("Drift could not be looked at", "The scores are written; the next run looks again."),
    "doubt_untold": ("Doubt could not be told", "The scores are written; do not rely on them before it is."),
}
"""By code of alarm, its title and what to do beside what its message says."""

REMEDIES: Mapping[str, str] = {
    "spacing": "Ask for the reconstruction that the protocol names.",
    "thickness": "Ask for the reconstruction that the protocol names.",
    "kvp": "Look at the protocol; features that rest on contrast move most.",
    "kernel": "Ask for the kernel trained on; texture moves most.",
    "manufacturer": "Wait for labels, or judge on a few cases whether features agree.",
    "intensity": "Rescale slope and intercept were lost, or the image is no CT: send it again.",
    "shape": "Look at the outline: is it the right region, and the right patient?",
    "phases_swapped": "Correct the series' names or the phase rules, and score again.",
    FAR: "Look at the case; many of them together are drift.",
}
"""By code of doubt, what to do about it."""

SET_WORDS: Mapping[str, str] = {
    NEGATIVE: "negative",
    POSITIVE: "positive",
    BOTH: "both possible",
    NEITHER: "unusual for either",
    "": "–",
}

FAMILY_WORDS: Mapping[str, str] = {"features": "Features", "components": "Components", "scores": "Scores"}


def many(n: int, what: str, several: str = "") -> str:
    """Returns a count with its noun."""
    return f"{n:,} {what if n == 1 else several or what + 's'}"


def code_words(code: str) -> str:
    """Returns a reason code as words."""
    return code.replace("_", " ")
