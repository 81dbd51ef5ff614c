"""What one objection to a study is made of."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["serious", "note"]


@dataclass(frozen=True, kw_only=True)
class Caution:
    """One objection.

    Args:
        level: Whether it puts the result in doubt or only belongs beside it.
        title: A few words.
        text: What was seen, with numbers, and what it means.
    """

    level: Level
    title: str
    text: str
