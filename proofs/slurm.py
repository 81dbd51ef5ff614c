"""Runs a small study with its workers in SLURM jobs, and compares all it makes with a local run, byte for byte.

`python -m proofs.slurm FOLDER` starts a SLURM of one node of its own and ends it again. In one run a job is cancelled
by `scancel` in the midst of the cases; in another the driver is killed by `kill -9`. The code is frozen the first time;
`--again` freezes it as it is now. It takes Debian's slurm-wlm and munge.
"""

import argparse
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proofs.chaos_run import Run, descendants
from proofs.chaos_study import Stage, differing, edit, outputs
from proofs.slurm_node import INSTALL, Node, missing, one_node
from proofs.small_study import commit

JOBS = 2
_LIMIT_S = 900.0


def main() -> int:
    """Makes the runs, prints what was seen and returns 0 when all is equal and no certificate is left."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folder", type=Path, nargs="?", default=Path("build/proofs/slurm"))
    asked.add_argument("--again", action="store_true", help="with the code as it is now")
    options = asked.parse_args()
    lacking = missing()
    if lacking:
        print(f"no {', '.join(lacking)} here: {INSTALL}")
        return 2
    folder = options.folder.resolve()
    stage = Stage(folder)
    if options.again:
        stage.forget()
    local = without_params(stage.prepare().outputs)
    with one_node(folder / "node") as node:
        os.environ.update(node.env)
        seen: dict[str, Any] = {"slurm": node.ask("sinfo", "--version").strip(), "refusals": refusals(folder)}
        seen |= {
            "code": stage.commit(),
            "cancelled": with_a_job_cancelled(stage, node, local),
        }
        print(json.dumps(seen, indent=1), flush=True)
        seen["killed"] = with_the_driver_killed(stage, node, local)
        print(node.finished(), json.dumps(seen["killed"], indent=1), sep="\n")
    (folder / "result.json").write_text(json.dumps(seen, indent=1) + "\n", encoding="utf-8")
    cancelled, killed = seen["cancelled"], seen["killed"]
    return int(bool(cancelled["differing"] or cancelled["left_in_private"] or killed["differing"]))


def with_a_job_cancelled(stage: Stage, node: Node, local: dict[str, str]) -> dict[str, Any]:
    """Runs in SLURM jobs, one of which is cancelled while cases are measured."""
    study = copied(stage, "cancelled")
    began = time.monotonic()
    run = stage.run(study, stage.folder / "cancelled.log")
    wait_until(lambda: measured(study) >= 1 and running(node), run)
    queue, done = node.jobs(), measured(study)
    job = running(node)[0]
    node.ask("scancel", job)
    ended(run)
    return {
        "queue": queue,
        "cancelled_job": job,
        "cases_done_then": done,
        "log": job_log(study, job),
        "run_s": round(time.monotonic() - began, 1),
        "left_in_private": leftovers(study),
        "files": len(local),
        "differing": differing(local, without_params(outputs(study))),
    }


def with_the_driver_killed(stage: Stage, node: Node, local: dict[str, str]) -> dict[str, Any]:
    """Kills the driver and all its children at once, looks what is left, and runs again."""
    study = copied(stage, "killed")
    run = stage.run(study, stage.folder / "killed.log")
    wait_until(lambda: measured(study) >= 1 and running(node), run)
    queue = node.jobs()
    killed = kill_all_but_the_guard(run)
    began = time.monotonic()
    run.process.wait()
    wait_until(lambda: not node.jobs() and not leftovers(study))
    gone_s = time.monotonic() - began
    wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in killed)
    )  # DVC takes a process for alive until init has buried it
    again = stage.run(study, stage.folder / "again.log")
    ended(again)
    return {
        "queue": queue,
        "gone_after_s": round(gone_s, 1),
        "differing": differing(local, without_params(outputs(study))),
    }


def refusals(folder: Path) -> dict[str, str]:
    """Asks for what SLURM does not give and returns what radmill says."""
    from featurestore.errors import RadmillError
    from pipelines.execution.slurm import slurm_pool
    from pipelines.execution.surroundings import Surroundings
    from pipelines.execution.window import Window
    from pipelines.params.operation import ClusterSection
    from pipelines.runner import CaseTask

    asked: dict[str, dict[str, Any]] = {
        "a partition that is not there": {"partition": "night"},
        "more memory than the node has": {"memory_gb": 900},
        "jobs that are held": {"directives": ["--hold"], "pending_s": 8},
        "a Python that is not there": {"python": "/opt/none/bin/python"},
    }
    said = {}
    for what, slurm in asked.items():
        section = ClusterSection(kind="slurm", slurm=slurm)
        try:
            pool = slurm_pool(section, Surroundings(folder, print))
            try:
                list(Window(pool, dict, size=1, timeout_s=60).run([CaseTask(name="case", payload={})]))
            finally:
                pool.close()
            raise SystemExit(f"{what}: not refused")
        except RadmillError as error:
            said[what] = str(error)
    return said


def settings() -> dict[str, Any]:
    """Returns the cluster section of a run in SLURM jobs."""
    slurm = {"jobs": JOBS, "memory_gb": 1.5, "walltime": "00:20:00", "partition": "work"}
    return {"kind": "slurm", "slurm": slurm}


def copied(stage: Stage, name: str) -> Path:
    """Returns a copy of the study before its first run, with its workers in SLURM jobs."""
    study = stage.folder / name
    shutil.rmtree(study, ignore_errors=True)
    edit(stage.copy(study) / "params.yaml", lambda content: content["cluster"].update(settings()))
    commit(study, "Where work runs")
    return study


def without_params(made: dict[str, str]) -> dict[str, str]:
    """Returns the hashes of all outputs; params.yaml says where work runs, so it differs."""
    return {name: value for name, value in made.items() if name != "params.yaml"}


def wait_until(is_so: Callable[[], object], run: Run | None = None) -> None:
    """Waits, but not for ever, and not beyond the end of a run."""
    deadline = time.monotonic() + _LIMIT_S
    while not is_so():
        if time.monotonic() > deadline or (run is not None and not run.is_on()):
            raise SystemExit("what the proof waits for did not come; read the logs in its folder")
        time.sleep(0.05)


def measured(study: Path) -> int:
    """Returns how many cases extract has measured and not yet written."""
    return sum(path.is_file() for path in (study / ".radmill" / "parts" / "extract").rglob("*"))


def kill_all_but_the_guard(run: Run) -> list[int]:
    """Kills a run, DVC and the stage that drives the jobs, as when a user's processes are ended; returns which."""
    mine = [run.process.pid, *descendants(run.process.pid)]
    mine = [pid for pid in mine if b"scancel" not in Path(f"/proc/{pid}/cmdline").read_bytes()]
    for pid in mine:
        os.kill(pid, signal.SIGKILL)
    return mine


def running(node: Node) -> list[str]:
    """Returns the jobs at work."""
    return [line.split()[0] for line in node.jobs() if " RUNNING " in line]


def job_log(study: Path, job: str) -> list[str]:
    """Returns the end of a job's log."""
    [log] = (study / ".radmill" / "slurm").glob(f"*/*-{job}.err")
    return log.read_text(encoding="utf-8").splitlines()[-4:]


def leftovers(study: Path) -> list[str]:
    """Returns the certificates that are still there."""
    return [path.name for path in (study / "private").glob("radmill-slurm-*")]


def ended(run: Run) -> None:
    """Waits for a run and ends the proof when it failed."""
    if run.wait(_LIMIT_S) != 0:
        raise SystemExit(f"a run failed:\n{run.told()}")


if __name__ == "__main__":
    raise SystemExit(main())
