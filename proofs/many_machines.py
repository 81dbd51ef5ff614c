"""A study whose regions are measured by machines that share only TCP and a store: byte for byte the local run's.

`python -m proofs.many_machines FOLDER` starts scheduler, workers and an S3 server as processes of their own, over TLS
with certificates it makes. A worker is killed, the connection is cut for 20 s, the driver is killed by `kill -9`; those
without the right certificate or with other versions are turned away. A step that is done is not done again.
"""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.params import edit_params
from proofs.certificates import make_certificates
from proofs.chaos_run import Run
from proofs.chaos_study import PATIENTS, ROOT, SEED, differing, file_hash, outputs, shrink
from proofs.machines import Machines, cluster, machines, wait_until, write_result
from proofs.relay import Relay
from proofs.small_study import call, commit

CUT_S = 20.0
OTHER_NUMPY = "2.3.5"
_LIMIT_S = 900.0
_MANY = 10
_WATCH_S = 0.05

Seen = dict[str, Any]


def main(folder: Path) -> int:
    """Takes the steps that are not done, prints what was seen and returns 0 when all is as it should be."""
    folder.mkdir(parents=True, exist_ok=True)
    result, code = folder / "result.json", folder / "code"
    if not result.is_file():
        for path in (code, folder / "here"):
            shutil.rmtree(path, ignore_errors=True)
        call(folder, "git", "clone", "--quiet", str(ROOT), str(code))
    Stage(folder).local()
    steps: dict[str, Callable[[Stage, Machines], Seen]] = {
        "equal": equal,
        "worker killed": worker_killed,
        "connection cut": connection_cut,
        "driver killed": driver_killed,
        "turned away": turned_away,
        "other versions": other_versions,
    }
    done = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
    for name, step in steps.items():
        if name not in done:
            shutil.rmtree(folder / "there", ignore_errors=True)
            with machines(folder / "there", folder / "here", code) as made:
                write_result(result, name, step(Stage(folder), made))
    done = json.loads(result.read_text(encoding="utf-8"))
    print(json.dumps(done, indent=1))
    found = [line for name, seen in done.items() for line in faults(name, seen)]
    return int(bool(found))


def faults(name: str, seen: Seen) -> list[str]:
    """Returns what a step saw that should not be, and prints it."""
    empty = ("differing", "left in the store", "strange names in the store", "raw files in the store", "let in")
    found = [f"{name}: {key}: {seen[key]}" for key in empty if seen.get(key)]
    found += [] if seen.get("happened", True) else [f"{name}: what it is about did not happen"]
    print("\n".join(found), end="\n" if found else "")
    return found


class Stage:
    """The studies of the machine that has the raw files.

    Args:
        folder: Where the proof lies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.here = folder / "here"

    def local(self) -> dict[str, str]:
        """Returns the hashes of what a local run makes; makes it first when there is none."""
        note, pristine = self.here / "local.json", self.here / "pristine"
        if not note.is_file():
            shutil.rmtree(self.here, ignore_errors=True)
            self.here.mkdir(parents=True)
            self._radmill("init", str(pristine), "--demo", "--patients", str(PATIENTS), "--seed", str(SEED))
            edit_params(pristine / "params.yaml", _asked)
            for name in ("data/raw/east", "incoming/harbor"):
                shutil.rmtree(pristine / name)
            commit(pristine, "In small")
            study, began = self.copy("local", {"kind": "local", "workers": 2}), time.monotonic()
            if (code := Run.start(["run"], study, self.folder / "code", self.here / "local.log").wait(_LIMIT_S)) != 0:
                raise SystemExit(f"the local run ended with {code}: see {self.here / 'local.log'}")
            took_s = time.monotonic() - began
            note.write_text(json.dumps({"outputs": made(study), "seconds": round(took_s, 1)}), encoding="utf-8")
        read: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
        return dict(read["outputs"])

    def copy(self, name: str, section: dict[str, Any]) -> Path:
        """Returns the study before its first run, with another section `cluster`."""
        study = self.here / name
        shutil.rmtree(study, ignore_errors=True)
        shutil.copytree(self.here / "pristine", study, symlinks=True)
        edit_params(study / "params.yaml", lambda content: content["cluster"].update(section))
        return study

    def start(self, there: Machines, study: Path) -> Run:
        """Starts `radmill run` with the keys of the store in the environment."""
        import os

        names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "NO_PROXY")
        os.environ.update({name: there.env(study)[name] for name in names})
        return Run.start(["run"], study, there.code, self.here / f"{study.name}.log")

    def _radmill(self, *arguments: str) -> None:
        own = str(Path(sys.executable).with_name("radmill"))
        call(self.here, own, *arguments, PYTHONPATH=str(self.folder / "code"))


def equal(stage: Stage, there: Machines) -> Seen:
    """Two workers in folders of their own, undisturbed."""
    return _distributed(stage, there, "equal")


def worker_killed(stage: Stage, there: Machines) -> Seen:
    """One of two workers is killed after the first region."""
    return _distributed(stage, there, "worker-killed", lambda: {"happened": there.kill_worker("one") > 0})


def connection_cut(stage: Stage, there: Machines) -> Seen:
    """The way to the scheduler is cut after the first region, and comes back."""
    relay = Relay(there.port)

    def cut() -> Seen:
        relay.cut()
        time.sleep(CUT_S)
        relay.mend()
        return {"happened": True, "cut for seconds": CUT_S}

    return _distributed(stage, there, "connection-cut", cut, relay.port)


def driver_killed(stage: Stage, there: Machines) -> Seen:
    """The whole run is killed after the first region; another one goes on and clears up."""
    study = stage.copy("driver-killed", cluster(there))
    _two_workers(there)
    run = stage.start(there, study)
    wait_until(lambda: _is_at_work(there) or not run.is_on(), "a region is measured", _LIMIT_S)
    run.kill()
    left = len(there.stored())
    return {**_finished(stage, there, study, stage.start(there, study)), "happened": left > 0, "left by the kill": left}


def turned_away(_: Stage, there: Machines) -> Seen:
    """Who has no certificate, one of another authority, or speaks no TLS."""
    make_certificates(there.folder / "strangers")
    there.start_worker("one")
    attempts = {
        "no certificate": _without_certificate(there.port, there.tls / "ca.pem"),
        "certificate of another authority": _refusal(there, cluster(there, tls=there.folder / "strangers")),
        "no TLS": _refusal(there, {**cluster(there), "address": f"tcp://127.0.0.1:{there.port}"}),
        "own certificates": _refusal(there, cluster(there)),
    }
    let_in = [name for name, refusal in attempts.items() if not refusal and name != "own certificates"]
    return {**attempts, "let in": let_in, "happened": attempts["own certificates"] == ""}


def other_versions(stage: Stage, there: Machines) -> Seen:
    """A worker that really has another numpy gets no region; alone it ends the run."""
    other = stage.folder / "other-numpy"
    if not other.is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(other)]
        subprocess.run([*pip, f"numpy=={OTHER_NUMPY}"], check=True)
    there.start_worker("other", before=str(other))
    alone = stage.copy("other-alone", cluster(there))
    run = stage.start(there, alone)
    code = run.wait(_LIMIT_S)
    told = [line.strip() for line in run.told().splitlines() if "worker other on" in line]
    there.start_worker("one")
    seen = _finished(stage, there, study := stage.copy("other-beside", cluster(there)), stage.start(there, study))
    refused = any(OTHER_NUMPY in line for line in told)
    return {**seen, "exit code alone": code, "told": told[:1], "happened": refused and code not in (0, None)}


def _distributed(stage: Stage, there: Machines, name: str, disturb: Callable[[], Seen] = dict, port: int = 0) -> Seen:
    study = stage.copy(name, cluster(there, port))
    _two_workers(there)
    run = stage.start(there, study)
    wait_until(lambda: _is_at_work(there) or not run.is_on(), "a region is measured", _LIMIT_S)
    happened = disturb()
    return {**_finished(stage, there, study, run), **happened}


def _finished(stage: Stage, there: Machines, study: Path, run: Run) -> Seen:
    """Waits for a run's end and returns how what it made compares with the local run."""
    watched = threading.Event()
    watcher = threading.Thread(target=_watch, args=(there, watched))
    watcher.start()
    began = time.monotonic()
    code = run.wait(_LIMIT_S)
    took_s = time.monotonic() - began
    watched.set()
    watcher.join()
    if code != 0:
        raise SystemExit(f"{study.name} ended with {code}: see {run.log}")
    local, own = stage.local(), made(study)
    raw = {file_hash(path) for path in (study / "data" / "raw").rglob("*") if path.is_file()}
    return {
        "files compared": len(local),
        "differing": differing(local, own),
        "seconds": round(took_s, 1),
        "files seen in the store": len(there.files_seen()),
        "raw files in the store": sorted(raw & there.files_seen()),
        "strange names in the store": there.strange_keys(),
        "left in the store": there.stored(),
        "study hidden from workers": there.is_hidden,
        "notes": [line for line in run.told().splitlines() if line.startswith("note: ")],
    }


def made(study: Path) -> dict[str, str]:
    """Returns the hashes of all that a run made, but not of the settings, which name the cluster."""
    return {name: digest for name, digest in outputs(study).items() if name not in ("params.yaml", "git status")}


def _two_workers(there: Machines) -> None:
    for name in ("one", "two"):
        there.start_worker(name)


def _is_at_work(there: Machines) -> bool:
    """Whether regions are measured, and others wait: the first of the two roles, which has the more patients."""
    found = there.stored()
    return any("/parts/" in key for key in found) and sum("/files/" in key for key in found) >= _MANY


def _watch(there: Machines, ended: threading.Event) -> None:
    while not ended.wait(_WATCH_S):
        there.stored()


def _without_certificate(port: int, ca: Path) -> str:
    """Returns how a handshake without a certificate ends; nothing when it is let in."""
    import socket
    import ssl

    context = ssl.create_default_context(cafile=str(ca))
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as safe:
                return "" if safe.recv(1) else "the connection was ended"
        except ssl.SSLError as error:
            return str(error.reason)


def _refusal(there: Machines, section: dict[str, Any]) -> str:
    """Returns why no pool can be made with a section `cluster`; nothing when one can."""
    command = [sys.executable, "-c", _TRY, json.dumps(section)]
    done = subprocess.run(command, env=there.env(there.folder), capture_output=True, text=True, check=True)
    return done.stdout.strip()


_TRY = """
import json, sys
from pathlib import Path
from featurestore.errors import RadmillError
from pipelines.execution.cluster import make_pool
from pipelines.execution.surroundings import Surroundings
from pipelines.params.operation import ClusterSection
try:
    make_pool(ClusterSection(**json.loads(sys.argv[1])), Surroundings(Path.cwd(), print)).close()
except RadmillError as error:
    print(f"{type(error).__name__}: {error.what}")
"""


def _asked(content: Any) -> None:
    """Perturbed and shuffled regions, too."""
    shrink(content)
    content["extraction"]["perturbations"] = ["noise:1", "volume:0.15", "translate:0.5", "contour:1"]
    content["evaluation"].update(controls={"label_shuffles": 0, "voxels": True})


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]).resolve()))
