"""Scoring at set times: what systemd, cron and Kubernetes are given is what they read."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pipelines.cli import radmill
from pipelines.scoring.schedule import (
    STEPS_MIN,
    Schedule,
    Timing,
    TimingError,
    UnschedulableNameError,
    UnschedulablePathError,
    marks,
)
from pipelines.scoring.schedule_install import UnpairedMarksError, with_lines
from pipelines.workspace import NoStudyError

AWKWARD = 'a study\'s 100% $HOME "new"'


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder that counts as a study, under a name that shells, cron and systemd each stumble over."""
    folder = tmp_path / AWKWARD
    folder.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        (folder / name).write_text("scoring: {}\n")
    return folder


def scheduled(study: Path, every: str | None = "15m", at: tuple[str, ...] = ()) -> Schedule:
    return Schedule.of(study, Timing.parse(every, at))


@pytest.mark.parametrize(
    ("every", "at", "cron", "calendar"),
    [
        ("15m", (), ["*/15 * * * *"], ["*-*-* *:00/15:00"]),
        ("1m", (), ["* * * * *"], ["*-*-* *:00/1:00"]),
        (None, (), ["0 * * * *"], ["*-*-* 00/1:00:00"]),
        ("60min", (), ["0 * * * *"], ["*-*-* 00/1:00:00"]),
        ("6h", (), ["0 */6 * * *"], ["*-*-* 00/6:00:00"]),
        ("24h", (), ["0 0 * * *"], ["*-*-* 00:00:00"]),
        (None, ("14:30", "2:30"), ["30 2,14 * * *"], ["*-*-* 02:30:00", "*-*-* 14:30:00"]),
        (None, ("02:30", "12:00"), ["0 12 * * *", "30 2 * * *"], ["*-*-* 02:30:00", "*-*-* 12:00:00"]),
    ],
)
def test_times_are_said_to_each(every: str | None, at: tuple[str, ...], cron: list[str], calendar: list[str]) -> None:
    timing = Timing.parse(every, at)
    assert timing.cron() == cron
    assert timing.calendar() == calendar


@pytest.mark.parametrize(
    ("every", "at"), [("7m", ()), ("90m", ()), ("0m", ()), ("soon", ()), (None, ("25:00",)), ("1h", ("02:00",))]
)
def test_times_that_do_not_come_out_even_are_refused(every: str | None, at: tuple[str, ...]) -> None:
    with pytest.raises(TimingError, match="15m"):
        Timing.parse(every, at)


def test_the_crontab_line_does_what_it_says(study: Path, tmp_path: Path) -> None:
    """The line as cron hands it to the shell runs the command in the study's folder and keeps what it says."""
    said = tmp_path / "a 50% tool"
    said.write_text('#!/bin/sh\npwd; echo "$@"\n')
    said.chmod(0o755)
    (study / "deployment").mkdir()
    schedule = Schedule(study=study, command=(str(said),), timing=Timing.parse("5m", ()))
    begin, line, end = schedule.crontab().splitlines()
    assert (begin, end) == marks(schedule.name)
    assert line.startswith("*/5 * * * * ")
    subprocess.run(["/bin/sh", "-c", as_cron_reads(line.split(maxsplit=5)[5])], check=True)
    assert schedule.log.read_text() == f"{study}\nscore --quiet\n"


def as_cron_reads(command: str) -> str:
    """crontab(5): an unescaped % ends the command, an escaped one loses its backslash."""
    bare = command.replace("\\%", "")
    assert "%" not in bare
    return command.replace("\\%", "%")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
@pytest.mark.parametrize("timing", [Timing.parse("15m", ()), Timing.parse(None, ("02:30", "14:00"))])
def test_systemd_takes_the_units(study: Path, tmp_path: Path, timing: Timing) -> None:
    schedule = Schedule.of(study, timing)
    for name, text in schedule.units().items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in schedule.units())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, [line for line in done.stderr.splitlines() if "radmill" in line]) == (0, [])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_reads_every_step_as_often_as_meant() -> None:
    """A day has 1440 / step runs: the second run comes one step after midnight."""
    steps = [Timing(every_min=step).calendar()[0] for step in STEPS_MIN]
    found = subprocess.run(
        ["systemd-analyze", "calendar", "--base-time=2026-01-01 00:00:00 UTC", *steps],
        capture_output=True, text=True, check=True, env={"TZ": "UTC", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
    )  # fmt: skip
    times = [line.split()[-2] for line in found.stdout.splitlines() if "Next elapse" in line]
    assert times == [f"{step // 60 % 24:02}:{step % 60:02}:00" for step in STEPS_MIN]


def test_units_name_the_study_and_run_low(study: Path) -> None:
    """What can be held without systemd: doubled specifiers, a quoted command, low priority, exit 1 no failure."""
    service, timer = scheduled(study).units().values()
    lines = dict(line.split("=", 1) for line in service.splitlines() if "=" in line and not line.startswith("#"))
    assert lines["WorkingDirectory"] == str(study).replace("%", "%%")
    assert shlex.split(lines["ExecStart"])[1:] == ["score", "--quiet"]
    assert lines["Nice"] == "10"
    assert lines["SuccessExitStatus"] == "1"
    assert "OnCalendar=*-*-* *:00/15:00" in timer.splitlines()
    assert "@" not in "".join(line for line in (service + timer).splitlines() if not line.startswith("#"))


def test_a_cronjob_forbids_overlap_and_says_it_was_not_run(study: Path) -> None:
    text = scheduled(study).cronjob(image="registry.example/radmill:1", claim="her2")
    job = yaml.safe_load(text)
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert job["kind"] == "CronJob"
    assert job["spec"]["schedule"] == "*/15 * * * *"
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    assert pod["containers"][0]["image"] == "registry.example/radmill:1"
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "her2"
    assert len(job["metadata"]["name"]) <= 52
    assert "NOT RUN ON A CLUSTER" in text


def test_a_cronjob_cannot_say_two_minutes(study: Path) -> None:
    with pytest.raises(TimingError, match="one line"):
        scheduled(study, None, ("02:30", "12:00")).cronjob()


def test_two_studies_of_one_name_have_two_schedules(tmp_path: Path) -> None:
    assert len({scheduled(tmp_path / place / "study").name for place in ("a", "b")}) == 2


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\\", "a ", "a\x1b[2K", "a\u202eb", "a\u2028b", "a\udcff"])
def test_a_path_that_could_be_read_as_another_is_refused(tmp_path: Path, name: str) -> None:
    """Line breaks begin lines of their own, controls hide some from who looks at them, and some bytes are no text."""
    with pytest.raises(UnschedulablePathError, match="rename"):
        scheduled(tmp_path / name)


@pytest.mark.parametrize(
    "own", [{"image": 'a"\n- x'}, {"image": "a b"}, {"claim": 'a"'}, {"claim": "a\n"}, {"claim": "A"}]
)
def test_a_cronjob_takes_names_alone(study: Path, own: dict[str, str]) -> None:
    with pytest.raises(UnschedulableNameError, match="--claim"):
        scheduled(study).cronjob(**own)


def test_lines_replace_their_own_and_leave_others() -> None:
    """Idempotent, in place, and the rest of the crontab stays byte for byte, with or without a last line break."""
    others = "MAILTO=x\n# mine\n5 4 * * * true"
    begin, end = marks("n")
    lines = f"{begin}\nA\n{end}\n"
    once = with_lines(others, "n", lines)
    assert once == f"{others}\n{lines}"
    assert with_lines(once, "n", lines) == once
    after = once + "6 4 * * * false\n"
    assert with_lines(after, "n", lines.replace("A", "B")) == after.replace("A\n# <<<", "B\n# <<<")
    assert with_lines(after, "n", "") == f"{others}\n6 4 * * * false\n"


def test_cut_marks_are_not_guessed_at() -> None:
    with pytest.raises(UnpairedMarksError, match="crontab -e"):
        with_lines(f"{marks('n')[0]}\nA\n", "n", "")


FAKE_CRONTAB = """#!/bin/sh
file="$(dirname "$0")/tab"
case "$1" in
  -l) [ -f "$file" ] && cat "$file" || { echo "no crontab for me" >&2; exit 1; } ;;
  -) cat > "$file" ;;
esac
"""


@pytest.fixture
def crontab(tmp_path: Path, study: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file behind a stand-in for crontab(1), so that nobody's own is touched; the study is the current folder."""
    script = tmp_path / "bin" / "crontab"
    script.parent.mkdir()
    script.write_text(FAKE_CRONTAB)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    monkeypatch.chdir(study)
    return script.parent / "tab"


def call(*arguments: str) -> str:
    done = CliRunner().invoke(radmill, ["schedule", *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_the_command_installs_and_removes_lines(crontab: Path) -> None:
    crontab.write_text("1 2 * * * true\n")
    said = call("install", "--kind", "cron", "--every", "15m")
    assert "every 15 min" in said
    assert "quiet_s is 0" in said
    call("install", "--kind", "cron", "--at", "02:30")
    assert crontab.read_text().count("score --quiet") == 1
    assert "30 2 * * * cd" in crontab.read_text()
    assert "Already in" in call("install", "--kind", "cron", "--at", "02:30")
    call("install", "--kind", "cron", "--remove")
    assert crontab.read_text() == "1 2 * * * true\n"


def test_the_command_writes_units_for_the_user(crontab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a systemd that answers it prints what to call."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("pipelines.scoring.schedule_install.systemd_answers", lambda: False)
    said = call("install", "--kind", "systemd")
    found = sorted((tmp_path / "config" / "systemd" / "user").iterdir())
    assert [path.suffix for path in found] == [".service", ".timer"]
    assert f"systemctl --user enable --now {found[1].name}" in said
    call("install", "--kind", "systemd", "--remove")
    assert not list((tmp_path / "config" / "systemd" / "user").iterdir())


def test_no_schedule_for_a_folder_that_is_no_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoStudyError, match="radmill init"):
        call("print", "--kind", "cron")


def test_a_cluster_is_left_to_people(crontab: Path) -> None:
    assert "kubectl apply" in call("install", "--kind", "kubernetes")
