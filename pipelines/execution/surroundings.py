"""What a pool of workers needs to know beside the settings of `cluster`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Surroundings:
    """Where the study is, and whom to tell.

    Args:
        root: The study's folder, which relative paths of `cluster` start from.
        tell: Is told what a person should know while cases run, such as a worker that is not used.
    """

    root: Path
    tell: Tell
