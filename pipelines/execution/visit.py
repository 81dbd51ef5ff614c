"""A look at a cluster without giving it work: does it answer, with which workers, does the store take anything."""

import secrets
import time
from dataclasses import dataclass

from featurestore.blobs import Blobs
from featurestore.fingerprints import bytes_digest
from pipelines.execution.carried import check_way
from pipelines.execution.remote import RefusedWorkersError, address_pool
from pipelines.execution.surroundings import Surroundings
from pipelines.execution.window import Member
from pipelines.params.operation import ClusterSection

_WAIT_S = 15.0
"""How long workers may take to tell their versions."""

_UNLIMITED_GB = 1e6


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a scheduler's workers are like.

    Args:
        workers: The memory of each worker that may be used, in gigabytes, by its name; 0 means unlimited.
        refused: Why each of the others may not.
        versions: What they have in common with this machine.
    """

    workers: dict[str, float]
    refused: list[str]
    versions: dict[str, str]


def visit(cluster: ClusterSection, around: Surroundings) -> Visit:
    """Asks the scheduler of `cluster.address` for its workers, and them for their versions.

    Raises:
        CertificateError: The certificates of `cluster.tls` cannot be used.
        ClusterError: The scheduler is not there, or one side does not let the other in.
    """
    pool, deadline = address_pool(cluster, around), time.monotonic() + _WAIT_S
    try:
        found: dict[str, Member] = {}
        while time.monotonic() < deadline:
            found = pool.members() or {}
            if (found or pool.refused()) and not pool.is_asking:
                break
            time.sleep(0.2)
    except RefusedWorkersError:
        found = {}
    finally:
        pool.close()
    workers = {name: _gigabytes(member) for name, member in sorted(found.items())}
    return Visit(workers=workers, refused=pool.refused(), versions=pool.versions)


def try_store(cluster: ClusterSection) -> str:
    """Puts a few bytes into the store, reads them and removes them; returns the address of the server behind it.

    Raises:
        BlobStoreError: The store cannot be used.
        PlainStoreError: The way to it can be read by others.
    """
    endpoint = check_way(cluster)
    data = secrets.token_bytes(32)
    blobs = Blobs(f"{cluster.store.rstrip('/')}/radmill-{secrets.token_hex(16)}", is_patient=False)
    blobs.put("open", data)
    try:
        blobs.get("open", bytes_digest(data))
    finally:
        blobs.sweep()
    return endpoint


def _gigabytes(member: Member) -> float:
    found = member.memory_bytes / 1e9
    return round(found, 1) if found < _UNLIMITED_GB else 0.0
