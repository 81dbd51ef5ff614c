"""What a run leaves to SLURM: the script of a job, the folder of its log, and the certificates of one run.

A job's script holds paths of certificates and nothing secret. The certificates are made for this one run, lie in a
folder that only this user can read, and are removed with the jobs by a guard that outlives this process.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from featurestore.errors import InputError
from featurestore.fingerprints import digest
from pipelines.execution.pool import DASK_CONFIG
from pipelines.params.slurm import SlurmSection

_LOGS_KEPT = 20
_GUARD = 'read -r _; rm -rf "$2"; scancel --quiet --name "$1"'
"""The keys go first: a SLURM that does not answer must not keep them lying about."""


class NoSharedFolderError(InputError):
    """The folder for logs and certificates is not there."""

    default_remedy = "make it where this machine and the nodes see it, or leave the key out to use the study's own"


def job_settings(section: SlurmSection, name: str, logs: Path) -> dict[str, Any]:
    """Returns how dask-jobqueue is asked for jobs: a worker process of one thread for each core, under a nanny."""
    return {
        "cores": section.cores,
        "processes": section.cores,
        "memory": f"{section.memory_gb} GB",
        "walltime": section.walltime,
        "queue": section.partition or None,
        "account": section.account or None,
        "job_name": name,
        "log_directory": str(logs),
        "job_extra_directives": list(section.directives),
        "job_script_prologue": [*_environment(), *section.prologue],
        "python": section.python or None,
        "interface": section.interface or None,
        "worker_extra_args": ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"],
        "scheduler_options": {
            "port": 0,
            "dashboard": False,
            "dashboard_address": "127.0.0.1:0",
            **_door(section),
        },
    }


def _door(section: SlurmSection) -> dict[str, str]:
    """Returns where the scheduler listens: at one address, never at all of them."""
    if section.interface:
        return {"interface": section.interface}
    if section.host:
        return {"host": section.host}
    from distributed.utils import get_ip

    return {"host": get_ip()}


def _environment() -> list[str]:
    """Returns shell lines that give the workers the settings of the driver: Dask reads them from the environment."""
    kept = {key: value for key, value in DASK_CONFIG.items() if not key.startswith("distributed.scheduler")}
    kept |= {"distributed.comm.require-encryption": True, "distributed.worker.http.routes": []}
    names = {key: key.upper().replace("-", "_").replace(".", "__") for key in kept}
    return [f"export DASK_{names[key]}='{str(value).replace(chr(39), chr(34))}'" for key, value in kept.items()]


def certificates(folder: Path) -> Any:
    """Returns Dask's security with a certificate made for one run, in files that only this user can read.

    Args:
        folder: Where the files go; this machine and the nodes see it.
    """
    from distributed.security import Security

    made = Security.temporary()
    paths = {}
    for name, content in {"certificate.pem": made.tls_client_cert, "key.pem": made.tls_client_key}.items():
        paths[name] = folder / name
        paths[name].touch(mode=0o600)
        paths[name].write_text(content)
    roles = {
        f"tls_{role}_{what}": str(path)
        for role in ("scheduler", "client", "worker")
        for what, path in (("cert", paths["certificate.pem"]), ("key", paths["key.pem"]))
    }
    return Security(require_encryption=True, tls_ca_file=str(paths["certificate.pem"]), **roles)


def secret_folder(section: SlurmSection, root: Path) -> Path:
    """Makes a folder, mode 700, for the certificates of a run."""
    parent = Path(section.shared) if section.shared else root / "private"
    if section.shared and not parent.is_dir():
        raise NoSharedFolderError(f"there is no folder {parent}", where="cluster.slurm.shared")
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Path(tempfile.mkdtemp(prefix="radmill-slurm-", dir=parent))


def log_folder(section: SlurmSection, root: Path, name: str) -> Path:
    """Makes a folder for the logs of a run's jobs, and removes those of this study's runs long ago.

    Of this study's alone: a job cannot start where the folder of its log was removed by another's run.
    """
    own = f"radmill-logs-{digest(str(root.resolve()))[:8]}"
    parent = Path(section.shared) / own if section.shared else root / ".radmill" / "slurm"
    (parent / name).mkdir(parents=True, mode=0o700)
    by_age = sorted(parent.iterdir(), key=lambda folder: folder.stat().st_mtime)
    for folder in by_age[:-_LOGS_KEPT]:
        shutil.rmtree(folder, ignore_errors=True)
    return parent / name


def start_guard(name: str, secret: Path) -> Any:
    """Starts a shell that cancels the jobs and removes the certificates when this process ends, however it does."""
    command = ["/bin/sh", "-c", _GUARD, "sh", name, str(secret)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True)
