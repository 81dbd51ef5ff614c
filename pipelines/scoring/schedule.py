"""When scoring runs by itself: the texts that systemd, cron and Kubernetes want, with absolute paths.

The templates stand in `deploy/` and are shipped with the package. A run that is still at work holds the lock, so no two
overlap, whatever starts them.
"""

import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from featurestore.errors import InputError
from featurestore.fingerprints import digest
from featurestore.visible import visible

Kind = Literal["systemd", "cron", "kubernetes"]
KINDS: tuple[Kind, ...] = get_args(Kind)
STEPS_MIN = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440)
"""What divides an hour or a day: all three ways to schedule can say it, and runs come at the same times every day."""
DEFAULT_EVERY = "1h"
LOG = "score.log"
_UNTELLABLE = re.compile(r"[\t\n\\]|\s$")
"""Backslashes, tabs, line breaks, and a space at the end: crontabs and units each read them in their own way."""
_IMAGE = re.compile(r"[\w.:/@+-]+", re.ASCII)
_CLAIM = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


class TimingError(InputError):
    """The times cannot be said."""

    default_remedy = (
        "--every takes what divides an hour or a day, such as 5m, 15m, 1h, 6h or 24h; --at takes a time of day such "
        "as 02:30, and can be repeated"
    )


class UnschedulablePathError(InputError):
    """A path cannot be written into a schedule."""

    default_remedy = "rename the folder: no line breaks, control characters or backslashes, and no space at its end"


class UnschedulableNameError(InputError):
    """An image or a claim cannot be written into a CronJob."""

    default_remedy = "--image takes REPOSITORY:TAG or REPOSITORY@DIGEST, --claim a claim's name: a-z, 0-9, - and ."


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When runs begin.

    Args:
        every_min: Minutes between runs, counted from midnight; 0 when `at` says it.
        at: Times of day, as hour and minute.
    """

    every_min: int = 0
    at: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, every: str | None, at: Sequence[str]) -> "Timing":
        """Reads `15m` or `6h`, or times such as `02:30`.

        Raises:
            TimingError: It is neither, both, or does not come out even.
        """
        if every and at:
            raise TimingError("both --every and --at are given")
        if at:
            return cls(at=tuple(sorted({_time_of_day(text) for text in at})))
        return cls(every_min=_minutes(every or DEFAULT_EVERY))

    def cron(self) -> list[str]:
        """Returns the five fields of crontab lines."""
        if self.at:
            minutes = sorted({minute for _, minute in self.at})
            hours = {m: ",".join(str(hour) for hour, minute in self.at if minute == m) for m in minutes}
            return [f"{minute} {hours[minute]} * * *" for minute in minutes]
        if self.every_min < 60:
            return [f"{_stepped(self.every_min)} * * * *"]
        hours_apart = self.every_min // 60
        return [f"0 {0 if hours_apart == 24 else _stepped(hours_apart)} * * *"]

    def calendar(self) -> list[str]:
        """Returns calendar expressions of systemd."""
        if self.at:
            return [f"*-*-* {hour:02}:{minute:02}:00" for hour, minute in self.at]
        if self.every_min < 60:
            return [f"*-*-* *:00/{self.every_min}:00"]
        return [f"*-*-* 00/{self.every_min // 60}:00:00" if self.every_min < 1440 else "*-*-* 00:00:00"]

    def words(self) -> str:
        """Returns when runs begin, for people."""
        if self.at:
            return "every day at " + ", ".join(f"{hour:02}:{minute:02}" for hour, minute in self.at)
        return f"every {self.every_min} min" if self.every_min < 60 else f"every {self.every_min // 60} h"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Scoring of one study at set times.

    Args:
        study: The study's folder, absolute.
        command: What runs radmill, absolute.
        timing: When.
    """

    study: Path
    command: tuple[str, ...]
    timing: Timing

    @classmethod
    def of(cls, study: Path, timing: Timing) -> "Schedule":
        """Returns the schedule of a study with the radmill that is in use now.

        Raises:
            UnschedulablePathError: A path cannot be written into a schedule.
        """
        schedule = cls(study=study.resolve(), command=installed_command(), timing=timing)
        for text in (str(schedule.study), *schedule.command):
            if _UNTELLABLE.search(text) or visible(text) != text:
                raise UnschedulablePathError(
                    "a path has letters that schedules read in their own way", where=repr(text)
                )
        return schedule

    @property
    def name(self) -> str:
        """How units and marked lines are called: by the folder's name, and by its place because names repeat."""
        words = re.sub(r"[^a-z0-9]+", "-", self.study.name.lower()).strip("-")[:30].strip("-")
        return "-".join(part for part in ("radmill-score", words, digest(str(self.study))[:8]) if part)

    @property
    def log(self) -> Path:
        """Where cron's runs write what they say."""
        return self.study / "deployment" / LOG

    @property
    def arguments(self) -> tuple[str, ...]:
        """What is run."""
        return (*self.command, "score", "--quiet")

    def units(self) -> dict[str, str]:
        """Returns systemd's service and timer by file name."""
        own = {
            "NAME": self.name,
            "TITLE": self.study.name.replace("%", "%%"),
            "STUDY": str(self.study).replace("%", "%%"),
            "COMMAND": " ".join(_unit_word(word) for word in self.arguments),
            "CALENDAR": "\n".join(f"OnCalendar={text}" for text in self.timing.calendar()),
        }
        return {f"{self.name}.{kind}": _filled(f"radmill-score.{kind}", own) for kind in ("service", "timer")}

    def crontab(self) -> str:
        """Returns the lines of a crontab between their marks."""
        begin, end = marks(self.name)
        own = {
            "STUDY": _cron_word(str(self.study)),
            "COMMAND": " ".join(_cron_word(word) for word in self.arguments),
            "LOG": _cron_word(str(self.log)),
        }
        lines = [_filled("radmill-score.cron", {"SCHEDULE": fields, **own}).strip() for fields in self.timing.cron()]
        return "\n".join([begin, *lines, end]) + "\n"

    def cronjob(self, image: str = "", claim: str = "") -> str:
        """Returns a Kubernetes CronJob; the study is mounted from a claim.

        Raises:
            TimingError: Its one line cannot say the times.
            UnschedulableNameError: An image or a claim of this name cannot be.
        """
        fields = self.timing.cron()
        if len(fields) > 1:
            raise TimingError("a CronJob has one line: times of day with different minutes do not fit")
        image = image or f"radmill:{version('radmill')}"
        claim = claim or self.name
        for text, form in ((image, _IMAGE), (claim, _CLAIM)):
            if not form.fullmatch(text):
                raise UnschedulableNameError("no name of an image or a claim", where=repr(text))
        name = self.name[:52]  # Kubernetes adds 11 letters to a CronJob's name
        return _filled(
            "radmill-score.cronjob.yaml",
            {"NAME": name, "SCHEDULE": fields[0], "IMAGE": image, "CLAIM": claim},
        )


def installed_command() -> tuple[str, ...]:
    """Returns what runs the radmill in use, with absolute paths."""
    script = Path(sys.executable).with_name("radmill")
    found = str(script) if script.exists() else shutil.which("radmill")
    return (str(Path(found).absolute()),) if found else (sys.executable, "-m", "pipelines.cli")


def marks(name: str) -> tuple[str, str]:
    """Returns the lines between which a schedule's lines of a crontab stand."""
    return f"# >>> {name}: written by `radmill schedule install`, removed by `--remove`", f"# <<< {name}"


def _filled(template: str, values: dict[str, str]) -> str:
    text = (files("pipelines") / "template" / "deploy" / template).read_text(encoding="utf-8")
    return re.sub(r"@([A-Z]+)@", lambda found: values[found.group(1)], text)


def _cron_word(text: str) -> str:
    """Quotes for the shell; cron takes a bare % for the end of the line before the shell sees it."""
    return shlex.quote(text).replace("%", "\\%")


def _unit_word(text: str) -> str:
    """Quotes for ExecStart: % begins a specifier and $ a variable there."""
    plain = text.replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return plain if re.fullmatch(r"[\w@%+=:,./-]+", plain) else f'"{plain}"'


def _stepped(step: int) -> str:
    if step == 1:
        return "*"
    return "0" if step == 60 else f"*/{step}"


def _minutes(text: str) -> int:
    found = re.fullmatch(r"(\d+) ?(m|min|h)", text.strip())
    minutes = int(found.group(1)) * (60 if found.group(2) == "h" else 1) if found else 0
    if minutes not in STEPS_MIN:
        raise TimingError(f"--every {text}")
    return minutes


def _time_of_day(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,2}):(\d{2})", text.strip())
    hour, minute = (int(found.group(1)), int(found.group(2))) if found else (24, 60)
    if hour > 23 or minute > 59:
        raise TimingError(f"--at {text}")
    return hour, minute
