"""What an alarm of drift says to a radiologist."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipelines.scoring.drift_explained import ALL, family_and_image
from pipelines.scoring.drift_history import read_looks, read_moved, read_shifts
from pipelines.scoring.drift_variables import COMPONENTS, FEATURES, SCORES

Looks = Mapping[str, pd.Series]
"""The families' rows of one look."""

CODE = "drift"
TO_DO = "compare scanner, kernel and slice thickness on the hospital's page with development's before scores are used"

CLEAR = 2.0
"""A shift of mean scores of fewer standard errors is not told as one."""


def alarm_message(root: Path, center: str, digest: str) -> str:
    """Returns what the looks that rang say, in words; nothing where none did.

    Args:
        root: `deployment/drift`.
        center: The hospital.
        digest: The package's.
    """
    looks = read_looks(root, center, digest)
    rang = looks[looks["rings"]]
    if rang.empty:
        return ""
    first, last = int(rang["n"].min()), int(rang["n"].max())
    since = f"seen at {last} cases" if first == last else f"seen at {first} cases first, at {last} last"
    own = {str(one["family"]): one for _, one in looks[looks["n"] == last].iterrows()}
    moved = read_moved(root, center, digest)
    moved = moved[(moved["look"].astype(int) == last) & moved["moved"]]
    told = [_features(own, moved), _components(own), _scores(own, read_shifts(root, center, digest), last)]
    what = "; ".join(part for part in told if part)
    return f"cases differ from the patients this model was made from ({since}): {what}; {TO_DO}"


def explained_share(shift: pd.Series) -> float | None:
    """Returns how much of a clear shift of mean scores is gone with the features put back; none where none is clear."""
    moved = float(shift["mean"]) - float(shift["mean_before"])
    if pd.isna(shift["mean_without"]) or abs(moved) < CLEAR * float(shift["standard_error"]):
        return None
    return (float(shift["mean"]) - float(shift["mean_without"])) / moved


def _features(looks: Looks, moved: pd.DataFrame) -> str:
    own = moved[moved["family"] == FEATURES]
    if own.empty:
        return ""
    families = own["name"].map(lambda name: family_and_image(name)[0])
    words = own["direction"].value_counts()
    often = families.value_counts()
    most = f", most of them {often.index[0]}" if len(often) > 1 else ""
    how = f", {words.index[0]}" if words.iloc[0] > len(own) / 2 else ""
    return f"{len(own)} of {int(looks[FEATURES]['tested'])} features moved{most}{how}"


def _components(looks: Looks) -> str:
    if COMPONENTS not in looks or not looks[COMPONENTS]["moved"]:
        return ""
    n, of = int(looks[COMPONENTS]["moved"]), int(looks[COMPONENTS]["tested"])
    return f"{n} of {of} components that the model sees moved"


def _scores(looks: Looks, shifts: pd.DataFrame, last: int) -> str:
    own = shifts[(shifts["look"].astype(int) == last) & (shifts["group"] == ALL)]
    if own.empty:
        return ""
    shift = own.iloc[0]
    is_told = SCORES in looks and bool(looks[SCORES]["moved"])
    share = explained_share(shift)
    mean = f"the mean score is {shift['mean']:.2f}, in development {shift['mean_before']:.2f}"
    if share is not None:
        return f"{mean}, and the features that moved explain {100 * min(max(share, 0.0), 1.0):.0f} % of that"
    return mean if is_told else f"{mean}, which may be chance"
