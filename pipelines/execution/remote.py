"""Workers that others started, reached through a Dask scheduler elsewhere.

The way to it may be cut and come back; a scheduler that stays away ends the run, which goes on from its parts the next
time.
"""

import asyncio
import logging
import secrets
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from featurestore.files import write_text
from pipelines.execution.admission import Gate, difference, life_of, probe_function
from pipelines.execution.certificates import NobodyThereError, knock, security
from pipelines.execution.problems import ClusterError
from pipelines.execution.surroundings import Surroundings
from pipelines.execution.window import Member
from pipelines.params.operation import ClusterSection

_CONNECT_S = 10.0
"""How long a scheduler may take to be there."""

_RETURN_S = 120.0
"""How long scheduler or workers may stay away before a run is given up."""

_ASK_S = 10.0
"""How long a scheduler may take to answer."""

_REFUSED_S = 5.0
"""How long a run waits for others when all workers that are there cannot be used."""

_RESTART_S = 60.0
_UNLIMITED = 1 << 62

Connect = Callable[[], Any]


class WrongSchedulerError(ClusterError):
    """The scheduler cannot hand out this machine's work."""

    default_remedy = "install the same versions there; scheduler and workers need radmill itself, too"


class RefusedWorkersError(ClusterError):
    """No worker there is may be used."""

    default_remedy = (
        "start workers in an environment like this machine's; `radmill doctor` lists what is wrong with each"
    )


class RemotePool:
    """Workers behind a scheduler.

    Args:
        connect: Makes a client; raises `ClusterError` when it cannot.
        tell: Is told what a person should know while cases run.
        patience_s: How long there may be no worker.
        shared: The study's folder, where workers must see it.
    """

    def __init__(
        self,
        connect: Connect,
        tell: Callable[[str], None],
        patience_s: float = _RETURN_S,
        shared: Path | None = None,
    ) -> None:
        self.patience_s = patience_s
        self._connect = connect
        self._tell = tell
        self._mark = shared and shared / ".radmill" / f"seen-by-workers-{secrets.token_hex(8)}"
        self._gate = Gate(tell, str(self._mark or ""))
        self._addresses: dict[str, str] = {}
        self._alone_with_refused: float | None = None
        self._is_cut = False
        self._trouble = ""
        hush_dask()
        self.client = connect()
        try:
            _check_scheduler(self.client, self._gate.own)
            if self._mark is not None:
                write_text(self._mark, "")
        except BaseException:
            self.client.close(timeout=2)
            raise

    def members(self) -> dict[str, Member] | None:
        """Returns the workers that may be given cases now; nothing while the scheduler cannot be asked.

        Raises:
            RefusedWorkersError: There are workers, and none of them may be used.
        """
        workers = self._workers()
        if self._is_cut != (workers is None):
            self._is_cut = workers is None
            self._tell("the scheduler does not answer; waiting for it" if self._is_cut else "the scheduler is back")
        if workers is None:
            return None
        admitted = self._gate.admitted(self.client, workers)
        self._check_refused(bool(admitted))
        self._addresses = {str(told["name"]): address for address, told in admitted.items()}
        return {str(told["name"]): _member(address, told) for address, told in admitted.items()}

    def kill(self, name: str) -> None:
        """Has a worker's nanny end it and start another."""
        address = self._addresses.get(name)
        if address is not None and self.client.status == "running":
            asyncio.run_coroutine_threadsafe(_restarted(self.client, address), self.client.loop.asyncio_loop)

    def is_excused(self, name: str) -> bool:
        """Says no: who takes workers away is not known here."""
        return False

    @property
    def is_asking(self) -> bool:
        """Whether a worker has not told its versions yet."""
        return self._gate.is_waiting

    @property
    def versions(self) -> dict[str, str]:
        """The versions that workers must have, which are this machine's."""
        return self._gate.own

    def refused(self) -> list[str]:
        """Returns why each worker that is not used is not."""
        return self._gate.refused()

    def absence(self) -> str:
        """Says what is known of the workers that are not there."""
        if self._is_cut:
            return f": the scheduler does not answer{self._trouble and f' ({self._trouble})'}"
        refused = self._gate.refused()
        return f"; {'; '.join(refused)}" if refused else ": none that may be used is connected to the scheduler"

    def close(self) -> None:
        """Leaves scheduler and workers to others; what they still have of this run is called off."""
        if self._mark is not None:
            self._mark.unlink(missing_ok=True)
        with suppress(Exception):  # a scheduler that is gone has nothing of it either
            self.client.close(timeout=5)

    def _workers(self) -> dict[str, dict[str, Any]] | None:
        if self.client.status != "running" and not self._connect_anew():
            return None
        try:
            told = self.client.sync(self.client.scheduler.identity, n_workers=-1, callback_timeout=_ASK_S)
        except (OSError, RuntimeError, TimeoutError):
            return None
        workers: dict[str, dict[str, Any]] = told["workers"]
        return workers

    def _connect_anew(self) -> bool:
        """Takes another client; Dask's own way back fails over TLS and leaves one that stays between all states."""
        try:
            client = self._connect()
        except ClusterError as error:
            self._trouble = error.what
            return False
        _abandon(self.client)
        self.client = client
        return True

    def _check_refused(self, is_any_admitted: bool) -> None:
        refused = self._gate.refused()
        if is_any_admitted or self._gate.is_waiting or not refused:
            self._alone_with_refused = None
            return
        self._alone_with_refused = self._alone_with_refused or time.monotonic()
        if time.monotonic() - self._alone_with_refused > _REFUSED_S:
            raise RefusedWorkersError("; ".join(refused), where="no worker can be used")


def address_pool(cluster: ClusterSection, around: Surroundings) -> RemotePool:
    """Returns the workers behind `cluster.address`.

    Raises:
        CertificateError: The certificates of `cluster.tls` cannot be used.
        ClusterError: The scheduler is not there, or one side does not let the other in.
    """
    safety = security(cluster.tls, around.root) if cluster.address.startswith("tls://") else None
    wait_for(cluster.address, safety)
    shared = None if cluster.store else around.root
    return RemotePool(lambda: connected(cluster.address, safety), around.tell, shared=shared)


def connected(address: str, safety: Any = None) -> Any:
    """Returns a client of a scheduler, with the cause named when there is none.

    Args:
        address: The scheduler.
        safety: What `security` gave; nothing for a scheduler without TLS.

    Raises:
        NobodyThereError: Nobody listens there.
        HandshakeError: One side does not accept the other's certificate, or does not speak TLS.
        ClusterError: Somebody listens who is no scheduler.
    """
    from distributed import Client

    knock(address, safety)
    try:
        with warnings.catch_warnings(action="ignore"):  # of versions, which are compared where it matters
            return Client(address, security=safety, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, RuntimeError, TimeoutError) as error:
        what = "somebody listens, but does not answer as a Dask scheduler does"
        remedy = "a scheduler with TLS has an address that begins with tls://, one without with tcp://"
        raise ClusterError(what, where=address, remedy=remedy) from error


def hush_dask() -> None:
    """Keeps Dask's own log from the terminal: what a person should know is told in plain words."""
    import distributed  # noqa: F401  it sets the levels when it is imported

    for name in [name for name in logging.root.manager.loggerDict if name.startswith(("distributed", "tornado"))]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def wait_for(address: str, safety: Any) -> None:
    """Gives a scheduler that is just being started some seconds to be there.

    Raises:
        NobodyThereError: It is not.
        HandshakeError: One side does not accept the other's certificate, or does not speak TLS.
    """
    deadline = time.monotonic() + _CONNECT_S
    while True:
        try:
            return knock(address, safety)
        except NobodyThereError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _abandon(client: Any) -> None:
    """Leaves a client whose connection is gone; closing it may take long and fail."""

    def close() -> None:
        with suppress(Exception):
            client.close(timeout=_ASK_S)
        client.status = "closed"  # or it is closed once more when it is swept up

    threading.Thread(target=close, daemon=True).start()


def _check_scheduler(client: Any, own: dict[str, str]) -> None:
    """Checks that the scheduler can unpack what it hands on.

    Raises:
        WrongSchedulerError: It has other versions.
        ClusterError: It does not tell them.
    """
    where = str(client.scheduler.address)
    try:
        told = client.sync(client.scheduler.versions, callback_timeout=_ASK_S)
        python = {"python": ".".join(told["host"]["python"].split(".")[:3])}
        against = difference({"python": own["python"]}, python)
        if not against:
            answer = client.run_on_scheduler(probe_function(), callback_timeout=_ASK_S)
            against = difference(own, answer["versions"])
    except (OSError, RuntimeError, ValueError) as error:
        why = f"no answer within {_ASK_S:g} s" if isinstance(error, TimeoutError) else str(error)
        raise ClusterError(f"the scheduler does not tell its versions: {why}", where=where) from error
    if against:
        raise WrongSchedulerError(f"the scheduler {against}", where=where)


def _member(address: str, told: dict[str, Any]) -> Member:
    memory_bytes = int(told["memory_limit"] or _UNLIMITED)
    is_open = told["status"] == "running"
    return Member(address=address, life=life_of(address, told), memory_bytes=memory_bytes, is_open=is_open)


async def _restarted(client: Any, address: str) -> None:
    with suppress(Exception):  # the window sees whether a new one came
        await client.scheduler.restart_workers(
            workers=[address],
            timeout=_RESTART_S,
            wait_for_workers=False,
            on_error="return",
            stimulus_id=f"radmill-late-{time.monotonic()}",
        )
