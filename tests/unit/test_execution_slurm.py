"""Workers in SLURM jobs, with commands in SLURM's place that run a job's script here.

`make prove-slurm` runs a study on a real SLURM.
"""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.execution import slurm_jobs
from pipelines.execution.cluster import POOLS
from pipelines.execution.problems import ClusterError
from pipelines.execution.slurm import slurm_pool
from pipelines.execution.slurm_jobs import BadStartError, NoSlurmError, SlurmJobs, SubmissionError
from pipelines.execution.slurm_script import NoSharedFolderError
from pipelines.execution.surroundings import Surroundings
from pipelines.execution.window import Member, Window
from pipelines.params.operation import ClusterSection
from pipelines.params.slurm import SlurmSection
from pipelines.runner import CaseTask, Receipt

COMMANDS = {
    "sbatch": """n=$(ls $FAKE/*.sh 2>/dev/null | wc -l)
grep -q '^#SBATCH -p night' "$1" && echo 'sbatch: error: invalid partition specified: night' >&2 && exit 1
cp "$1" $FAKE/$n.sh
log=$(sed -n 's/^#SBATCH -e //p' "$1" | sed "s/%J/$n/")
setsid bash -c "bash $FAKE/$n.sh 2>'$log'; touch $FAKE/$n.over" >/dev/null 2>&1 & echo $! > $FAKE/$n.pid
echo Submitted batch job $n""",
    "squeue": """for f in $FAKE/*.pid; do n=$(basename $f .pid)
[ -f $FAKE/$n.over ] && echo "$n|$(cat $FAKE/ended 2>/dev/null || echo FAILED)|None" || echo "$n|RUNNING|None"
done""",
    "scancel": """echo "$@" >> $FAKE/cancelled
for f in $FAKE/*.pid; do kill -9 -- -$(cat $f) 2>/dev/null; done; exit 0""",
}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which commands named as SLURM's leave what they were told."""
    (tmp_path / "bin").mkdir()
    for name, body in COMMANDS.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(tmp_path))
    monkeypatch.setattr(slurm_jobs, "_LOOK_S", 0.0)
    return tmp_path


def around(root: Path, tell: Callable[[str], None] = lambda _: None) -> Surroundings:
    return Surroundings(root, tell)


def make_work() -> Callable[..., Receipt]:
    """Work as a closure, which travels by value."""

    def work(number: int) -> Receipt:
        import os

        return {"square": number * number, "threads": os.environ.get("NUMBA_NUM_THREADS"), "process": os.getpid()}

    return work


def test_cases_are_run_by_the_script_that_sbatch_got(fake: Path) -> None:
    """Protects the whole way: scheduler, script, TLS, worker, answer, and that nothing stays behind."""
    asked = {"account": "radiology", "partition": "work", "walltime": "1-00:00:00", "memory_gb": 1.5}
    more = {"directives": ["--constraint=avx2"], "prologue": ["export SITE=here"], "host": "127.0.0.1"}
    pool = slurm_pool(ClusterSection(kind="slurm", slurm={**asked, **more}), around(fake))
    try:
        tasks = [CaseTask(name=str(n), payload={"number": n}) for n in range(2)]
        ended = list(Window(pool, make_work(), size=4, timeout_s=60).run(tasks))
        [key] = (fake / "private").glob("radmill-slurm-*/key.pem")
        secret, mode, folder_mode = key.read_text(), key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o777
        assert pool.client.scheduler.address.startswith("tls://127.0.0.1")
    finally:
        pool.close()
    assert sorted(outcome.receipt["square"] for outcome in ended) == [0, 1]
    assert {outcome.receipt["threads"] for outcome in ended} == {"1"}
    assert os.getpid() not in {outcome.receipt["process"] for outcome in ended}
    assert (mode, folder_mode) == (0o600, 0o700)
    script = (fake / "0.sh").read_text()
    wanted = ["-A radiology", "-p work", "-t 1-00:00:00", "--mem=2G", "--constraint=avx2", "--cpus-per-task=1"]
    assert [line for line in wanted if f"#SBATCH {line}\n" not in script] == []
    assert "\nexport SITE=here\n" in script
    assert sys.executable in script
    assert not any(line in script for line in secret.splitlines()[1:-1])
    assert list((fake / "private").iterdir()) == []
    assert (fake / "cancelled").read_text().startswith("--quiet --name radmill-")


def test_jobs_that_end_before_their_worker_is_there_end_the_run(fake: Path) -> None:
    jobs = SlurmJobs(SlurmSection(python="/none/python", host="127.0.0.1"), around(fake))
    try:
        with pytest.raises(BadStartError, match=r"3 jobs ended .*/none/python: No such file") as raised:
            until(lambda: jobs.keep([]))
        assert ".radmill/slurm" in raised.value.where
    finally:
        jobs.close()
    assert len(list(fake.glob("*.sh"))) == 3


def test_a_case_is_not_to_blame_for_what_slurm_takes_away(fake: Path) -> None:
    jobs = SlurmJobs(SlurmSection(python="/none/python", host="127.0.0.1"), around(fake))
    try:
        name = next(iter(jobs.cluster.workers))
        (fake / "ended").write_text("TIMEOUT")
        until(lambda: None, end=lambda: jobs.is_excused(name))
        for state, is_excused in (("CANCELLED", True), ("OUT_OF_MEMORY", False), ("FAILED", False)):
            (fake / "ended").write_text(state)
            assert jobs.is_excused(name) is is_excused
    finally:
        jobs.close()


def test_what_sbatch_objects_to_is_said_and_nothing_stays(fake: Path) -> None:
    section = ClusterSection(kind="slurm", slurm={"partition": "night", "host": "127.0.0.1"})
    with pytest.raises(SubmissionError, match="invalid partition specified: night"):
        slurm_pool(section, around(fake))
    assert list((fake / "private").iterdir()) == []


def test_without_slurm_or_a_shared_folder_the_remedy_is_said(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoSharedFolderError, match="no folder"):
        SlurmJobs(SlurmSection(shared="/none/here"), around(fake))
    monkeypatch.setenv("PATH", "/none")
    with pytest.raises(NoSlurmError, match="sbatch"):
        SlurmJobs(SlurmSection(), around(fake))


DRIVER = """
import sys, time
from pathlib import Path
from pipelines.execution.slurm_script import start_guard
guard = start_guard("radmill-1", Path(sys.argv[1]))
print("guarded", flush=True)
time.sleep(60)
"""


def test_jobs_and_certificates_go_when_the_driver_is_killed(fake: Path) -> None:
    secret = fake / "secret"
    secret.mkdir()
    with subprocess.Popen([sys.executable, "-c", DRIVER, str(secret)], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout.readline() == "guarded\n"
        assert not (fake / "cancelled").exists()
        os.kill(driver.pid, signal.SIGKILL)
    cancelled = fake / "cancelled"
    until(lambda: None, end=lambda: cancelled.exists() and cancelled.read_text() == "--quiet --name radmill-1\n")
    assert not secret.exists(), "the keys go first, in case scancel hangs"


def test_an_sbatch_that_hangs_is_given_up(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fake / "bin" / "sbatch").write_text("#!/bin/bash\nexec sleep 20\n")
    monkeypatch.setattr(slurm_jobs, "_ASK_S", 0.2)
    began = time.monotonic()
    with pytest.raises(SubmissionError, match=r"no answer within 0\.2 s"):
        slurm_pool(ClusterSection(kind="slurm", slurm={"host": "127.0.0.1"}), around(fake))
    assert time.monotonic() - began < 15


def test_jobs_that_wait_behind_a_hanging_sbatch_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few are asked for at a time: hundreds would each have waited a minute, and again when the driver ended."""
    pytest.importorskip("dask_jobqueue")
    asked: list[str] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **more: asked.append(command[1]) or ended(None))
    kind = slurm_jobs._job_class()
    for script in ("one", "two"):
        with pytest.raises(TimeoutError):
            kind._ask(script)
    assert asked == ["one"]
    assert slurm_jobs._job_class().silent_until < 0, "another run asks anew"


@pytest.fixture
def bare(tmp_path: Path) -> Any:
    """Jobs of which none was asked for, and what they told."""
    jobs, told = SlurmJobs.__new__(SlurmJobs), []
    jobs.section, jobs.around, jobs.name = SlurmSection(), around(tmp_path, told.append), "radmill-x"
    jobs.cluster = SimpleNamespace(workers={"one": SimpleNamespace(job_id="2")})
    jobs._silent_until, jobs._told, jobs._ended = 0.0, "", {}
    return jobs, told


def test_a_slurm_that_hangs_is_not_asked_at_each_look(bare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question may take a minute, and no case is handed out meanwhile."""
    asked = []

    def silent(command: list[str], **_: object) -> None:
        asked.append(command)
        raise subprocess.TimeoutExpired(command, 60)

    jobs, told = bare
    monkeypatch.setattr(slurm_jobs.subprocess, "run", silent)
    assert [jobs.is_excused("one") for _ in range(3)] == [False] * 3
    assert len(asked) == 1
    assert told == ["squeue does not answer: jobs that end are not replaced meanwhile"]
    jobs._logs = "logs"
    assert jobs.absence() == ": squeue does not answer; the logs of jobs are in logs", "not that there is no job"


def test_a_job_that_took_the_name_of_another_says_nothing_of_its_end(
    bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, _ = bare
    queue = {"1": slurm_jobs._Job("OUT_OF_MEMORY", "None")}
    jobs.cluster.workers["one"].job_id, jobs._seen = "1", set()
    monkeypatch.setattr(jobs, "_submit", lambda: jobs.cluster.workers.update(one=SimpleNamespace(job_id="2")))
    monkeypatch.setattr(jobs, "_queue", lambda: {**queue, "2": slurm_jobs._Job("PENDING", "Priority")})
    jobs._replace(["one"], queue, is_any_there=True)
    assert not jobs.is_excused("one"), "the pending one is another job"
    jobs._bad_starts, jobs._looked = 0, 0.0
    jobs.keep(["one"])
    assert jobs.is_excused("one"), "now it is about the new one"


def test_jobs_that_cannot_be_called_off_are_told(bare: Any) -> None:
    jobs, told = bare
    for code, what in ((None, "SLURM did not answer"), (1, "scancel ended with 1")):
        left: list[object] = []
        guard = SimpleNamespace(stdin=SimpleNamespace(close=lambda: None), wait=lambda timeout, code=code: ended(code))
        jobs.cluster, jobs._guard = None, guard
        jobs._patience = SimpleNamespace(__exit__=lambda *_, left=left: left.append(1))
        jobs.close()
        assert told[-1] == f"{what}: if `squeue --me` still shows jobs, end them by `scancel --name radmill-x`"
        assert left, "the patience is given back all the same"


def ended(code: int | None) -> int:
    if code is None:
        raise subprocess.TimeoutExpired("guard", 60)
    return code


class ShortPool:
    """One worker, taken away as often as said while it has a case."""

    patience_s = 10.0

    def __init__(self, times: int) -> None:
        self.client = self
        self.times = times
        self.lives = 0
        self.submitted: list[CaseTask] = []

    def members(self) -> dict[str, Member]:
        return {"only": Member(address="here", life=str(self.lives), memory_bytes=10**12)}

    def is_excused(self, name: str) -> bool:
        return name == "only"

    def submit(self, _: Any, work: Any, task: CaseTask, **more: Any) -> Any:
        self.submitted.append(task)
        self.times -= 1
        if self.times >= 0:
            self.lives += 1
        return Answer(self.times >= 0, task)

    def cancel(self, futures: Any, force: bool) -> None:
        pass

    def absence(self) -> str:
        return ""


class Answer:
    """A future that is there at once: an answer, or that its worker is lost."""

    def __init__(self, is_lost: bool, task: CaseTask) -> None:
        self.status = "lost" if is_lost else "finished"
        self.task = task

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        callback(self)

    def result(self, timeout: float) -> Any:
        from pipelines.runner import CaseOutcome

        return CaseOutcome(task=self.task, receipt={})

    def release(self) -> None:
        pass


@pytest.mark.parametrize(("times", "is_done"), [(3, True), (4, True), (5, False)])
def test_a_case_is_tried_again_when_its_worker_is_taken_away_but_not_for_ever(times: int, is_done: bool) -> None:
    """Three excuses, and then the two tries that any case has."""
    [outcome] = Window(ShortPool(times), dict, size=1, timeout_s=60).run([CaseTask(name="one", payload={})])
    assert (outcome.receipt == {}) is is_done


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"walltime": 43200}, "in quotes"),
        ({"walltime": "soon"}, "no time limit"),
        ({"directives": ["hello"]}, "no option of sbatch"),
        ({"directives": ["--comment=a\n#SBATCH --uid=0"]}, "no option of sbatch"),
        ({"directives": ["--mem=4G"]}, "slurm.memory_gb"),
        ({"directives": ["-J other"]}, "cancels its jobs by it"),
        ({"prologue": ["a\nb"]}, "one line"),
        ({"prologue": ["export AWS_SECRET_ACCESS_KEY=x"]}, "looks like a secret"),
        ({"partition": "a b"}, "pattern"),
        ({"python": "python; rm -rf /"}, "pattern"),
        ({"shared": "here"}, "pattern"),
        ({"interface": "ib0", "host": "10.0.0.1"}, "give one"),
        ({"jobs": 0}, "greater than or equal to 1"),
        ({"queue": "work"}, "not permitted"),
    ],
)
def test_settings_that_would_break_a_script_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SlurmSection(**wrong)


@pytest.mark.parametrize("walltime", ["30", "30:00", "04:00:00", "1-00", "1-00:00:00"])
def test_time_limits_as_sbatch_reads_them(walltime: str) -> None:
    assert SlurmSection(walltime=walltime).walltime == walltime


def test_every_kind_has_its_pool() -> None:
    kinds = ClusterSection.model_json_schema()["properties"]["kind"]["enum"]
    assert sorted(POOLS) == sorted(kinds)


def until(step: Callable[[], object], end: Callable[[], bool] = lambda: False) -> None:
    """Repeats a step until the end, or until it raises."""
    deadline = time.monotonic() + 20
    while not end():
        step()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_cluster_error_ends_the_run_as_a_fault() -> None:
    """Exit 3 keeps what was measured; the next run goes on from there."""
    assert {error.exit_code for error in (SubmissionError, BadStartError, ClusterError)} == {3}
