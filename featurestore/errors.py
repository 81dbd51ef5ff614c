"""Errors for people: what was wrong, where, and what to do about it.

Every error of radmill descends from `RadmillError` and knows the exit code of a command that ends with it.
A subclass names one cause and states its remedy once.
"""

from typing import ClassVar

REPORT = "this is a fault of radmill itself: please report it with this message and what was run"
"""Remedy of what no input should be able to cause."""


class RadmillError(Exception):
    """A stop with a reason a person can act on.

    Args:
        what: What was wrong, with the value seen.
        where: The file, case or key path it was seen in.
        remedy: What to do; the class's own remedy when left out.
    """

    exit_code: ClassVar[int] = 3
    default_remedy: ClassVar[str] = ""

    def __init__(self, what: str, *, where: str = "", remedy: str | None = None) -> None:
        super().__init__(what, where, remedy)
        self.what = what
        self.where = where
        self.remedy = self.default_remedy if remedy is None else remedy

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        cure = f"\n  remedy: {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{cure}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore, (type(self), self.what, self.where, self.remedy))


def _restore(kind: type[RadmillError], what: str, where: str, remedy: str) -> RadmillError:
    return kind(what, where=where, remedy=remedy)


class InputError(RadmillError):
    """Wrong input or settings; nothing was written."""

    exit_code = 2


class FaultError(RadmillError):
    """Something broke while working; the state is as before."""

    exit_code = 3


class CaseError(RadmillError):
    """Stops one case and no other: it becomes a row of the `qc` table.

    `status` is `refused` when the case itself is at fault and `failed` when the work on it broke.
    """

    exit_code = 1
    code: ClassVar[str] = "case_error"
    status: ClassVar[str] = "refused"


class DamagedTableError(FaultError):
    """A table on disk is not what was written."""

    default_remedy = "run the stage that makes it again; `radmill run` finds which"


class LockedError(FaultError):
    """Another run holds the lock."""

    default_remedy = "wait until it ends; if that process is gone, the lock frees itself and you can run again"
