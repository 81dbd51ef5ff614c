"""Sections that decide what is let in, how new hospitals are scored, and where work runs."""

import re
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, field_validator, model_validator

from pipelines.params.base import Name, Section
from pipelines.params.slurm import KubernetesSection, SlurmSection


class Gates(Section):
    """Limits a model must meet to be promoted; one left out is not asked for.

    Args:
        external_auc_minimum: AUC on all external patients.
        external_auc_low_minimum: Lower end of its interval.
        calibration_slope_range: External calibration slope, from and to.
        external_n_minimum: External patients with a label.
        not_worse_than_champion_by: Non-inferiority margin: the one-sided 95 % bound of the external AUC lost against
            the champion, by DeLong's paired test on patients that neither was trained on.
        net_benefit_at: Threshold probability at which the model must gain more than treating everybody.
        subgroup_auc_minimum: AUC in every subgroup that is large enough to tell.
        controls_passed: Whether all negative controls must have passed.
        checklist_minimum: Share of items that every reporting checklist must have, 0 to 1.
        external_reads_maximum: How often the labels of an external center may have decided about a version before.
        reproducible: Whether the package must have been made again from its record, with the same result.
    """

    external_auc_minimum: float | None = None
    external_auc_low_minimum: float | None = None
    calibration_slope_range: tuple[float, float] | None = None
    external_n_minimum: int | None = None
    not_worse_than_champion_by: float | None = Field(default=None, ge=0)
    net_benefit_at: float | None = Field(default=None, gt=0, lt=1)
    subgroup_auc_minimum: float | None = Field(default=None, ge=0, le=1)
    controls_passed: bool = False
    checklist_minimum: float | None = Field(default=None, ge=0, le=1)
    external_reads_maximum: int | None = Field(default=None, ge=0)
    reproducible: bool = False


class RegistrySection(Section):
    """The registered model's name, its gates and its intended use.

    Args:
        name: The registered model, in the ledger and in MLflow.
        intended_use: What the model card says it is for.
        gates: What a version must meet to be promoted.
    """

    name: Name
    intended_use: str
    gates: Gates = Gates()


class DriftSection(Section):
    """When a new hospital counts as different from the patients a model was made from.

    Args:
        alpha: The probability of a false alarm that is allowed for a hospital, over all looks together.
    """

    alpha: float = Field(default=0.05, gt=0, lt=0.5)


class DoubtSection(Section):
    """What happens to scores that should not be trusted. Nothing here changes a score; it can be changed at any time.

    Args:
        policy: `score` shows all scores as they are, `flag` says beside each why it is in doubt, `withhold` says so and
            leaves the probability out. All three keep the score in the history.
        alpha: The error rate: so often may a case like those of the development be called far from training, and may
            a prediction set lack the true class.
        recalibrate_at: From so many labelled cases of each class on, a hospital's prediction sets rest on its own first
            19 of each (more at a smaller `alpha`), which its figures then leave out; 0 means never. Above 19, so that
            enough are left for the figures.
    """

    policy: Literal["score", "flag", "withhold"] = "flag"
    alpha: float = Field(default=0.05, ge=0.001, le=0.5)
    recalibrate_at: int = Field(default=30, ge=0)


class ScoringSection(Section):
    """How the cases of new hospitals are taken and scored.

    Args:
        quiet_s: A case is taken when its files have been still for so long.
        incomplete_after_h: A case that lacks a phase, an outline, slices or a row that the model needs waits for so
            many hours and is then refused; it is taken whenever the rest comes. 0 refuses at once.
        freeze_after: From how many cases on a new hospital's first ones become the list that its shift is estimated
            from, for models that harmonize; as many as the model's `minimum_cases` when left out, and 0 leaves it to
            `radmill center freeze`.
        before_freeze: What happens to its cases until then: `withhold`, or `unharmonized` scores with a flag, which
            harmonized ones replace.
        performance_minimum: So many labelled cases of each class must be there before performance is told.
        expected_minimum: So many cases must be there before performance is estimated without labels.
        recalibration_minimum: So many labelled cases of each class `radmill recalibrate` asks for.
        drift: When a hospital counts as different from development.
        webhook: Every run is told to this http(s) address by a POST of its record, which names no patient; or the name
            of a file in the study that holds the address: under private/ it is in no git.
        prometheus: Every run writes its counts, duration and alarms into this file, named *.prom, for the textfile
            collector of Prometheus' node_exporter.
        doubt: What happens to scores that should not be trusted.
    """

    quiet_s: float = Field(default=0.0, ge=0)
    incomplete_after_h: float = Field(default=24.0, ge=0)
    freeze_after: int | None = Field(default=None, ge=0)
    before_freeze: Literal["withhold", "unharmonized"] = "withhold"
    performance_minimum: int = Field(default=10, ge=2)
    expected_minimum: int = Field(default=30, ge=1)
    recalibration_minimum: int = Field(default=20, ge=2)
    drift: DriftSection = DriftSection()
    doubt: DoubtSection = DoubtSection()
    webhook: str | None = None
    prometheus: str | None = Field(default=None, pattern=r"\.prom$")


class TlsSection(Section):
    """The files that prove who is who between this machine, the scheduler and the workers.

    Args:
        ca: The certificate of the authority that signed all of them; one made for this cluster alone, because whoever
            has a certificate of it is let in.
        certificate: This machine's certificate.
        key: Its key, a file that only its owner may read.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""

    @field_validator("ca", "certificate", "key")
    @classmethod
    def _is_inside(cls, path: str) -> str:
        if not PurePosixPath(path).is_absolute() and ".." in PurePosixPath(path).parts:
            raise ValueError(f"{path} leads out of the study; give a path inside it, such as private/tls/, or from /")
        return path


class ClusterSection(Section):
    """Where work runs. Nothing here changes a value, so no stage depends on it.

    Args:
        kind: `local` are processes of this machine; `address` is a Dask scheduler that others started; `slurm` asks
            for jobs and gives them back; `kubernetes` is a cluster that the Dask operator keeps.
        workers: How many processes of this machine; 0 means one less than there are cores, and at least one.
        memory_gb: How much memory all of them may use; 0 means what the machine has.
        window: How many cases are in flight.
        timeout_s: When one case is given up.
        address: The scheduler, such as `tls://scheduler:8786`.
        insecure: Allows a scheduler without TLS, or a store without https, beyond this machine: whoever reaches its
            network can read the cases and run programs in the name of those who started the workers.
        tls: The certificates of a `tls://` address.
        store: A place like `s3://bucket/prefix` for workers that share no files with this machine. Stored crops and
            masks go there and are removed again; what hospitals sent never does, so ingest runs on this machine.
        slurm: How workers are asked for from SLURM.
        kubernetes: Which of the operator's clusters.
    """

    kind: Literal["local", "address", "slurm", "kubernetes"] = "local"
    workers: int = Field(default=0, ge=0)
    memory_gb: float = Field(default=0, ge=0)
    window: int = Field(default=64, ge=1)
    timeout_s: float = Field(default=1800, gt=0)
    address: str = ""
    insecure: bool = False
    tls: TlsSection = TlsSection()
    store: str = ""
    slurm: SlurmSection = SlurmSection()
    kubernetes: KubernetesSection = KubernetesSection()

    @model_validator(mode="after")
    def _can_be_reached(self) -> "ClusterSection":
        if self.store and not re.fullmatch(r"s3://[A-Za-z0-9.\-]+(/[A-Za-z0-9._\-/]*)?", self.store):
            raise ValueError(
                "store is no place like s3://bucket/prefix; the endpoint and credentials of another object store come "
                "from the environment (AWS_ENDPOINT_URL, AWS_PROFILE and the like), never from here"
            )
        if self.kind == "address":
            self._check_address()
        if self.kind == "kubernetes":
            self._check_certificates(self.kubernetes.address)
        return self

    def _check_address(self) -> None:
        found = re.fullmatch(r"(tls|tcp)://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._\-]+):(\d{1,5})", self.address)
        if found is None or not 0 < int(found[3]) < 1 << 16:
            raise ValueError(f"kind is address, and address {self.address!r} is none like tls://scheduler:8786")
        if found[1] == "tls":
            self._check_certificates(self.address)
        if found[1] == "tcp" and not is_loopback(found[2]) and not self.insecure:
            raise ValueError(
                f"address {self.address} has no TLS and is not on this machine: whoever reaches that network could "
                "read the cases and run programs on every worker; use tls://, or say insecure: true where nobody "
                "else does"
            )

    def _check_certificates(self, address: str) -> None:
        lacking = [name for name, path in self.tls.model_dump().items() if not path]
        if lacking:
            raise ValueError(f"{address} is reached by TLS, and tls lacks {', '.join(lacking)}")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and cannot be reached from another."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
