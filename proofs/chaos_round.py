"""One round: a pristine study, a run that is disturbed, and the run that must make it good."""

import os
import random
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proofs.chaos_checks import ending_faults, failed_cases, leftovers, unwhole
from proofs.chaos_faults import FAULTS, Fault, Mount, Scene, mend
from proofs.chaos_run import BEFORE, Moment, Run
from proofs.chaos_study import LIMIT_S, Reference, Stage, differing, outputs

RERUNS, ORPHANS_S, ATTEMPTS = 3, 60.0, 4

UNCACHED = ("data/cases/", "data/evaluation/metrics.json", "reports/gallery")
"""What DVC does not copy into its cache and back: it lies there as radmill synchronized it."""

Row = dict[str, Any]
Part = tuple[float, float]


@dataclass
class Round:
    """One round.

    Args:
        stage: Where the pristine study and the code are.
        reference: What an undisturbed run makes.
        number: Which round it is; decides what is drawn by chance.
        name: The fault.
        part: The part of the run in which it strikes.
        is_twice: Whether the next run is disturbed as well.
    """

    stage: Stage
    reference: Reference
    number: int
    name: str
    part: Part = (0.0, 1.0)
    is_twice: bool = False

    @property
    def fault(self) -> Fault:
        """What is done."""
        return FAULTS[self.name]

    @property
    def place(self) -> Path:
        """The folder of the round; its logs lie here, out of reach of what befalls the study's disk."""
        return self.stage.folder / "rounds" / f"{self.number:03d}"

    @property
    def mount(self) -> Mount | None:
        """The study's own file system, if the fault needs one."""
        return Mount(self.place / "disk") if self.fault.needs_mount else None

    @property
    def study(self) -> Path:
        """The study."""
        return (self.place / "disk" if self.fault.needs_mount else self.place) / "study"

    def play(self, seed: int) -> Row:
        """Disturbs a run, lets another follow, and returns what was seen."""
        row: Row = {}
        for attempt in range(ATTEMPTS):  # the run may have ended, or its workers, before anything was struck
            self._begin()
            rng = random.Random(f"{seed} {self.number} {attempt}")
            row = self._disturbed(rng)
            if row["did"] and self.is_twice:
                row["did"] += self._stop_again(rng)
            if row["did"]:
                break
        found = self._after_fault(row)
        found += self._rerun(row)
        self._end(keep=bool(found))
        key = {"round": self.number, "fault": self.name, "commit": self.reference.commit}
        return {**key, "run_s": round(self.reference.run_s, 1), **row, "faults": found}

    def _begin(self) -> None:
        Mount(self.place / "disk").remove()
        if self.place.exists():  # a run may still write there whose proof was killed
            shutil.rmtree(self.place.rename(self.place.with_name(f"left-{uuid.uuid4().hex}")), ignore_errors=True)
        self.place.mkdir(parents=True)
        if self.mount is not None:
            self.mount.make()
        self.stage.copy(self.study)
        os.sync()

    def _disturbed(self, rng: random.Random) -> Row:
        """Strikes at a random moment and waits for the end of the run."""
        marks, run = self.reference.marks, self.stage.run(self.study, self.place / "disturbed.log")
        has_workers = self.fault.needs_workers
        moment = Moment.with_workers(marks, rng) if has_workers else Moment.drawn(marks, rng, self.part)
        is_due = moment.await_in(run, workers=has_workers)
        at = [BEFORE, *run.stages()][-1]
        did = self.fault.strike(Scene(run, self.mount, rng)) if is_due else ""
        code = run.wait(LIMIT_S)
        return {
            "stage": at,
            "did": did,
            "exit": code,
            "told": _last(run) if code else "",
            "lasted_s": round(time.monotonic() - run.begin, 2),
            "orphans": run.orphans(ORPHANS_S),
        }

    def _stop_again(self, rng: random.Random) -> str:
        """Stops the machine once more, while the next run is at work."""
        run = self.stage.run(self.study, self.place / "disturbed-again.log")
        time.sleep(rng.uniform(0, self.reference.run_s / 2))
        is_on = run.is_on()
        run.kill()
        return ", and the next run too" if is_on else ""

    def _after_fault(self, row: Row) -> list[str]:
        """Takes away what outlasts the fault, and returns what is wrong: the ending, orphans, half-written files."""
        found = [] if row["did"] else ["nothing was struck"]
        found += [f"still runs after the end: {one}" for one in row.pop("orphans")]
        row["failed_cases"] = failed_cases(self.study)
        if not self.fault.ends_run:
            told = (self.place / "disturbed.log").read_text(encoding="utf-8", errors="replace")
            found += ending_faults(row["exit"], told) + self._done_but_other(row)
        mend(self.name, self.mount)
        half = unwhole(self.study, self.reference.outputs, is_strict=self.fault.spares_results)
        row["torn_by_dvc"] = [one for one in half if self.fault.loses_unsynced and not one.startswith(UNCACHED)]
        return found + [f"after the fault: {one}" for one in half if one not in row["torn_by_dvc"]]

    def _done_but_other(self, row: Row) -> list[str]:
        """A run that says it is done has made everything; of one that ends with 1, `qc` says which cases failed."""
        others = differing(self.reference.outputs, outputs(self.study)) if row["exit"] == 0 else []
        found = [f"exit 0, but {len(others)} outputs differ: {others[:5]}"] if others else []
        if row["exit"] == 1 and not row["failed_cases"]:
            found.append("exit 1, but no row of qc says which case failed")
        return found

    def _rerun(self, row: Row) -> list[str]:
        """Runs until all is as it should be; more than once is a fault."""
        found: list[str] = []
        for number in range(1, RERUNS + 1):
            run = self.stage.run(self.study, self.place / f"rerun-{number}.log")
            code = run.wait(LIMIT_S)
            row.setdefault("recovery_s", round(time.monotonic() - run.begin, 2))
            row["reruns"] = number
            others = differing(self.reference.outputs, outputs(self.study))
            if code == 0 and not others:
                break
            found.append(f"rerun {number}: exit {code}, {len(others)} outputs differ: {others[:5]}; {_last(run)}")
        left = [*leftovers(self.study), *_locks(self.study)]
        return found + [f"left behind: {name}" for name in left]

    def _end(self, *, keep: bool) -> None:
        """Removes the round; one with faults is kept to be looked at."""
        if self.mount is not None:
            if keep:
                shutil.copytree(self.study, self.place / "study", symlinks=True)
            self.mount.off()
        if not keep:
            shutil.rmtree(self.place)


def _locks(study: Path) -> list[str]:
    """Returns git's locks: a person's next commit would be refused."""
    return [path.relative_to(study).as_posix() for path in (study / ".git").glob("*.lock")]


def _last(run: Run) -> str:
    return " | ".join(run.told().strip().splitlines()[-4:])[-400:]
