"""Puts a schedule in its place: units of systemd that need no root, or marked lines of the user's crontab."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from featurestore.errors import FaultError, InputError
from featurestore.files import write_text
from pipelines.scoring.schedule import Schedule, marks

TIMEOUT_S = 30.0


class CrontabAbsentError(InputError):
    """This machine has no cron."""

    default_remedy = "install cron (Debian: apt-get install cron), or take --kind systemd"


class CrontabRefusedError(FaultError):
    """Cron did not take the lines."""

    default_remedy = "do what cron's message says; the crontab is as before"


class UnpairedMarksError(InputError):
    """The crontab's marked lines were cut."""

    default_remedy = "open it with `crontab -e`, remove what is left of radmill's lines, and repeat"


def units_folder() -> Path:
    """Returns where a user's own units lie."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "systemd" / "user"


def install_units(schedule: Schedule) -> list[str]:
    """Writes the units and starts the timer where systemd answers; returns what a person should know."""
    folder = units_folder()
    for name, text in schedule.units().items():
        write_text(folder / name, text)
    timer = f"{schedule.name}.timer"
    told = [f"{name} is in {folder}" for name in schedule.units()]
    commands = [["daemon-reload"], ["enable", "--now", timer]]
    if systemd_answers() and all(_systemctl(*command) for command in commands):
        told.append(f"The timer runs: {schedule.timing.words()}. Look: systemctl --user list-timers {timer}")
    else:
        told.append("systemctl --user does not answer here. On the machine and as the user that scores, run:")
        told += [f"  systemctl --user {' '.join(command)}" for command in commands]
    told.append("So that it also runs while nobody is logged in: loginctl enable-linger")
    told.append(f"What it says: journalctl --user --unit {schedule.name}")
    return told


def remove_units(schedule: Schedule) -> list[str]:
    """Stops the timer and removes the units."""
    there = [path for name in schedule.units() if (path := units_folder() / name).exists()]
    if not there:
        return ["No timer of this study is installed; nothing was removed."]
    stopped = systemd_answers() and _systemctl("disable", "--now", f"{schedule.name}.timer")
    for path in there:
        path.unlink()
    told = [f"{path.name} is removed from {path.parent}" for path in there]
    if stopped:
        _systemctl("daemon-reload")
        return told
    return [*told, f"If the timer runs: systemctl --user stop {schedule.name}.timer && systemctl --user daemon-reload"]


def systemd_answers() -> bool:
    """Returns whether the user's systemd can be spoken to."""
    return shutil.which("systemctl") is not None and _systemctl("show-environment")


def install_lines(schedule: Schedule) -> list[str]:
    """Puts the lines into the user's crontab, in place of earlier ones.

    Raises:
        CrontabAbsentError: There is no cron.
        CrontabRefusedError: Cron did not take them.
        UnpairedMarksError: Earlier lines were cut by hand.
    """
    before = _read_crontab()
    after = with_lines(before, schedule.name, schedule.crontab())
    schedule.log.parent.mkdir(parents=True, exist_ok=True)
    if after != before:
        _write_crontab(after)
    return [
        f"{'In' if after != before else 'Already in'} your crontab: {schedule.timing.words()}. Look: crontab -l",
        "Cron must be running: `systemctl status cron`, or `service cron start`.",
        f"What it says: {schedule.log}",
    ]


def remove_lines(schedule: Schedule) -> list[str]:
    """Takes the lines out of the user's crontab.

    Raises:
        CrontabAbsentError: There is no cron.
        CrontabRefusedError: Cron did not take the rest.
        UnpairedMarksError: The lines were cut by hand.
    """
    before = _read_crontab()
    after = with_lines(before, schedule.name, "")
    if after == before:
        return ["Your crontab has no lines of this study; nothing was removed."]
    _write_crontab(after)
    return ["The lines of this study are out of your crontab; all others stay."]


def with_lines(crontab: str, name: str, lines: str) -> str:
    """Returns a crontab with a schedule's lines replaced, at their old place or at the end.

    Raises:
        UnpairedMarksError: It has only one of the two marks, or one of them twice.
    """
    kept = crontab.splitlines(keepends=True)
    begin, end = ([n for n, line in enumerate(kept) if line.strip() == mark] for mark in marks(name))
    if len(begin) != len(end) or len(begin) > 1 or begin > end:
        raise UnpairedMarksError(f"{len(begin)} begin and {len(end)} end marks of {name}", where="crontab")
    if begin:
        return "".join([*kept[: begin[0]], lines, *kept[end[0] + 1 :]])
    rest = crontab if not crontab or crontab.endswith("\n") else crontab + "\n"
    return rest + lines


def _read_crontab() -> str:
    done = _crontab("-l")
    if done.returncode == 0:
        return done.stdout
    if "no crontab for" in done.stderr:
        return ""
    raise CrontabRefusedError(done.stderr.strip() or f"exit {done.returncode}", where="crontab")


def _write_crontab(text: str) -> None:
    done = _crontab("-", text=text)
    if done.returncode:
        raise CrontabRefusedError(done.stderr.strip() or f"exit {done.returncode}", where="crontab")


def _crontab(argument: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    if shutil.which("crontab") is None:
        raise CrontabAbsentError("there is no command crontab")
    return _call(["crontab", argument], text)


def _systemctl(*arguments: str) -> bool:
    try:
        return _call(["systemctl", "--user", *arguments]).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _call(command: Sequence[str], text: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
