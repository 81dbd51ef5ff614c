"""A SLURM of one node for a proof: its own munged, slurmctld and slurmd, which end with the block that started them."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from getpass import getuser
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sacct", "scontrol", "sinfo")
INSTALL = "install SLURM and its parts, on Debian: apt-get install slurm-wlm munge"

_START_S = 30.0
_CONF = """\
ClusterName=proof
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} State=UNKNOWN
PartitionName=work Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Returns the programs of SLURM that are not there."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return [name for name in NEEDED if shutil.which(name, path=path) is None]


@contextmanager
def one_node(folder: Path, *, cpus: int = 2, memory_mb: int = 6000) -> Iterator["Node"]:
    """Starts a SLURM of one node whose configuration, state and logs lie in `folder`; ends all of it afterwards.

    Raises:
        SystemExit: It does not start; its logs are in `folder`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    node = Node(folder.resolve())
    node.configure(cpus, memory_mb)
    with ExitStack() as stack:
        munge = [f"--{name}={node.folder}/munge.{name}" for name in ("socket", "pid-file", "log-file", "seed-file")]
        key = f"--key-file={node.folder}/munge.key"
        stack.enter_context(node.daemon("munged", "--foreground", "--force", key, *munge))
        node.wait_for(node.folder / "munge.socket")
        stack.enter_context(node.daemon("slurmctld", "-D"))
        stack.enter_context(node.daemon("slurmd", "-D"))
        node.wait_until_idle()
        stack.callback(node.cancel_all)
        yield node


class Node:
    """Where a one-node SLURM lies, and its commands.

    Args:
        folder: Its configuration, state and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            **os.environ,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        }

    def configure(self, cpus: int, memory_mb: int) -> None:
        """Writes slurm.conf and munge's key."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        text = _CONF.format(
            host=socket.gethostname().partition(".")[0],
            controller_port=_free_port(),
            node_port=_free_port(),
            user=getuser(),
            folder=self.folder,
            cpus=cpus,
            memory_mb=memory_mb,
        )
        (self.folder / "slurm.conf").write_text(text)

    def ask(self, *command: str, check: bool = True) -> str:
        """Runs one of SLURM's commands and returns what it printed."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    @contextmanager
    def daemon(self, *command: str) -> Iterator[None]:
        """Runs one of SLURM's services as long as the block."""
        with (self.folder / f"{command[0]}.log").open("w") as log:
            process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log, start_new_session=True)
            try:
                yield
            finally:
                process.terminate()
                try:
                    process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def wait_for(self, path: Path) -> None:
        """Waits until a file is there."""
        deadline = time.monotonic() + _START_S
        while not path.exists():
            if time.monotonic() > deadline:
                raise SystemExit(f"{path.name} did not come; read the logs in {self.folder}")
            time.sleep(0.1)

    def wait_until_idle(self) -> None:
        """Waits until the node takes jobs."""
        deadline = time.monotonic() + _START_S
        while "idle" not in self.ask("sinfo", "--noheader", "--format=%T", check=False):
            if time.monotonic() > deadline:
                raise SystemExit(f"SLURM's node did not come up; read the logs in {self.folder}")
            time.sleep(0.2)

    def jobs(self) -> list[str]:
        """Returns the jobs in the queue, a line each: id, name, state, reason."""
        return self.ask("squeue", "--noheader", "--format=%i %j %T %r").splitlines()

    def finished(self) -> str:
        """Returns the jobs that ended, as sacct tells them."""
        return self.ask(
            "sacct", "--completion", f"--file={self.folder / 'jobs.txt'}", "--format=JobID,JobName%24,State,End"
        )

    def cancel_all(self) -> None:
        """Cancels what is left and waits until it is gone, so that no process of a job outlives the node."""
        self.ask("scancel", f"--user={getuser()}", check=False)
        deadline = time.monotonic() + _START_S
        while self.ask("squeue", "--noheader", check=False).strip() and time.monotonic() < deadline:
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
