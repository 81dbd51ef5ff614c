"""How workers are asked for from SLURM and Kubernetes."""

import re

from pydantic import Field, field_validator, model_validator

from pipelines.params.base import Section

_WALLTIME = re.compile(r"\d+(:\d\d){0,2}|\d+-\d+(:\d\d){0,2}")
_OWN = {
    "--job-name": "radmill cancels its jobs by it",
    "-J": "radmill cancels its jobs by it",
    "--output": "set slurm.shared",
    "-o": "set slurm.shared",
    "--error": "set slurm.shared",
    "-e": "set slurm.shared",
    "--time": "set slurm.walltime",
    "-t": "set slurm.walltime",
    "--mem": "set slurm.memory_gb",
    "--cpus-per-task": "set slurm.cores",
    "-c": "set slurm.cores",
    "--partition": "set slurm.partition",
    "-p": "set slurm.partition",
    "--account": "set slurm.account",
    "-A": "set slurm.account",
    "--array": "set slurm.jobs",
    "-a": "set slurm.jobs",
    "--ntasks": "set slurm.jobs",
    "-n": "set slurm.jobs",
}
"""Directives that a key stands for, and which."""

_SECRET = re.compile(r"(SECRET|PASSWORD|PASSWD|TOKEN|ACCESS_KEY)\w*\s*=", re.IGNORECASE)


class SlurmSection(Section):
    """How workers are asked for from SLURM, by `sbatch`.

    Args:
        jobs: How many jobs are kept in the queue or at work.
        cores: Cores of a job; each is a worker process of its own.
        memory_gb: Memory of a job, shared by its workers.
        walltime: After this a job is ended and another one asked for, as sbatch reads it: `04:00:00` or `1-00:00:00`.
        partition: Which partition; SLURM's default when empty.
        account: Whom it is charged to; SLURM's default when empty.
        directives: Further options of sbatch, such as `--constraint=avx2`.
        prologue: Shell lines that a job starts with, such as `module load python`. Nothing secret: sbatch hands the
            environment of this command on to the jobs.
        python: The Python of the workers; the one of this command when empty.
        interface: The network interface between nodes, such as `ib0`.
        host: The address of this machine that the nodes reach; found out when both are empty.
        shared: A folder that this machine and the nodes both see, for the logs of jobs and the certificates of a run;
            the study's own when empty.
        pending_s: How long there may be no worker, waiting in the queue included, before a run is given up.
    """

    jobs: int = Field(default=1, ge=1, le=10_000)
    cores: int = Field(default=1, ge=1)
    memory_gb: float = Field(default=4, gt=0)
    walltime: str = "04:00:00"
    partition: str = Field(default="", pattern=r"^[\w.,\-]*$")
    account: str = Field(default="", pattern=r"^[\w.\-]*$")
    directives: list[str] = []
    prologue: list[str] = []
    python: str = Field(default="", pattern=r"^[^\s;&|<>`\\]*$")
    interface: str = Field(default="", pattern=r"^[\w.:\-]*$")
    host: str = Field(default="", pattern=r"^[\w.:\-]*$")
    shared: str = Field(default="", pattern=r"^(/[^\s;&|<>`\\$'\"]*)?$")
    pending_s: float = Field(default=3600, gt=0)

    @field_validator("walltime", mode="before")
    @classmethod
    def _is_walltime(cls, given: object) -> object:
        if not isinstance(given, str):
            raise ValueError(f'write it in quotes, as "04:00:00": YAML reads some times as a number, here as {given!r}')
        if not _WALLTIME.fullmatch(given):
            raise ValueError(f'{given!r} is no time limit like "30" (minutes), "04:00:00" or "1-00:00:00"')
        return given

    @field_validator("directives")
    @classmethod
    def _are_directives(cls, lines: list[str]) -> list[str]:
        for line in lines:
            if not re.fullmatch(r"--?[A-Za-z][^\n\r]*", line):
                raise ValueError(f"{line!r} is no option of sbatch like --constraint=avx2")
            option = re.split(r"[=\s]", line)[0]
            if option in _OWN:
                raise ValueError(f"{option} is no further directive: {_OWN[option]}")
        return lines

    @field_validator("prologue")
    @classmethod
    def _are_lines(cls, lines: list[str]) -> list[str]:
        for line in lines:
            if "\n" in line or "\r" in line:
                raise ValueError("a line of prologue is one line; give each its own item")
            if _SECRET.search(line):
                raise ValueError(
                    "a line of prologue sets what looks like a secret, and params.yaml is in git: set it in the "
                    "environment of the command, which sbatch hands on"
                )
        return lines

    @model_validator(mode="after")
    def _is_one_way(self) -> "SlurmSection":
        if self.interface and self.host:
            raise ValueError("interface and host both say where this machine is reached; give one")
        return self


class KubernetesSection(Section):
    """Which of the clusters that the Dask operator keeps does the work; `deploy/dask-cluster.yaml` declares one.

    Args:
        cluster: The name of the DaskCluster.
        namespace: The namespace it is in.
        port: The port of its scheduler's service.
        pending_s: How long there may be no worker, waiting for pods included, before a run is given up.
    """

    cluster: str = Field(default="radmill", pattern=r"^[a-z0-9]([a-z0-9\-]*[a-z0-9])?$")
    namespace: str = Field(default="radmill", pattern=r"^[a-z0-9]([a-z0-9\-]*[a-z0-9])?$")
    port: int = Field(default=8786, ge=1, le=65535)
    pending_s: float = Field(default=600, gt=0)

    @property
    def address(self) -> str:
        """The scheduler's service, as pods of the same Kubernetes reach it."""
        return f"tls://{self.cluster}-scheduler.{self.namespace}.svc:{self.port}"
