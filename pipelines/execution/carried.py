"""Work on a region for workers that share no files with this machine: its crops travel through an object store.

A stored image and its mask lie there under the hash of their bytes while a worker needs them, and what was measured
until this machine has it. What hospitals sent stays where it is. All of it lies under a name that is drawn anew for
each run and written down first, so that the next run can remove what one that was killed left behind.
"""

import json
import secrets
import socket
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from featurestore.blobs import Blobs, BlobStoreError
from featurestore.errors import CaseError, InputError, LockedError
from featurestore.files import exclusive, write_bytes, write_json
from featurestore.fingerprints import bytes_digest
from pipelines.execution.region_work import CaseDamagedError, check_file, extract_region
from pipelines.execution.work import Work
from pipelines.params.operation import ClusterSection, is_loopback
from pipelines.runner import CaseFailedError, CaseOutcome, CaseTask, Receipt, Runner

_THREADS = 8
_AHEAD = 16
"""How many regions are put into the store before a worker asks for them."""

_KEPT = 1000
"""How many files stay there that no region needs now: the same region comes again, perturbed."""

_OPEN = "open"
"""Lies in the store until a run is over; a worker that comes too late leaves nothing there."""


class PlainStoreError(InputError):
    """The way to the store can be read by others."""

    default_remedy = (
        "use an endpoint with https://, or say cluster.insecure: true where nobody else reaches the network"
    )


class CarryingRunner:
    """Runs work on stored regions far away, and all other work on this machine.

    Args:
        near: Runs what must not leave this machine.
        far: Runs the rest.
        cluster: Names the store, a folder of an object store that both sides reach.
        state: The study's folder for what may be deleted at any time.
        tell: Is told what a person should know.
    """

    def __init__(
        self, near: Runner, far: Runner, cluster: ClusterSection, state: Path, tell: Callable[[str], None]
    ) -> None:
        self._near = near
        self._far = far
        self._cluster = cluster
        self._notes = state / "carried"
        self._tell = tell
        sweep_leftovers(self._notes, tell, is_patient=False)

    def run(self, work: Work, tasks: Iterable[CaseTask]) -> Iterator[CaseOutcome]:
        """Yields the outcome of each task as they end."""
        if work is not extract_region:
            yield from self._near.run(work, tasks)
        else:
            check_way(self._cluster)
            with _Note(self._notes, self._cluster.store, self._tell) as blobs:
                yield from _Carriage(blobs, tasks).run(self._far)


def check_way(cluster: ClusterSection) -> str:
    """Returns the address of the server behind the store, whose way must be encrypted beyond this machine.

    Raises:
        BlobStoreError: The store cannot be used.
        PlainStoreError: It is not.
    """
    endpoint = Blobs(cluster.store).endpoint()
    where = urlsplit(endpoint)
    if where.scheme != "https" and not is_loopback(where.hostname or "") and not cluster.insecure:
        raise PlainStoreError(f"{endpoint} is not encrypted, and crops of patients would go there", where="the store")
    return endpoint


class _Note:
    """A run's own folder in the store, written down while it lasts."""

    def __init__(self, notes: Path, store: str, tell: Callable[[str], None]) -> None:
        self._notes, self._tell = notes, tell
        self._path = notes / f"{secrets.token_hex(16)}.json"
        self._blobs = Blobs(f"{store.rstrip('/')}/radmill-{self._path.stem}")
        self._lock = exclusive(self._path.with_suffix(".lock"), "a run")

    def __enter__(self) -> Blobs:
        self._lock.__enter__()
        try:
            write_json(self._path, {"url": self._blobs.url})
            self._blobs.put(_OPEN, b"")
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self._blobs

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._lock.__exit__(None, None, None)
        if kind is None:
            sweep_leftovers(self._notes, self._tell)
        else:  # a worker may still be at work: the next run looks once more
            self._blobs.hurry()
            with suppress(BlobStoreError):
                _sweep(self._blobs)


def sweep_leftovers(notes: Path, tell: Callable[[str], None], *, is_patient: bool = True) -> None:
    """Removes from the store what runs left that are over; those still running keep theirs."""
    for lock in sorted(notes.glob("*.lock")):
        note = lock.with_suffix(".json")
        try:
            with exclusive(lock, "sweeping"):
                if note.exists():
                    _sweep(Blobs(json.loads(note.read_bytes())["url"], is_patient=is_patient))
                note.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
        except LockedError:
            continue
        except BlobStoreError as error:
            tell(f"what a run left in the store is still there: {error.where}: {error.what}")


def _sweep(blobs: Blobs) -> None:
    """Removes all of a run; what says that it is open goes first, so that none who looks for it adds to the rest."""
    blobs.remove([_OPEN])
    blobs.sweep()


class _Carriage:
    """The way of one run's regions into the store, to the workers and back."""

    def __init__(self, blobs: Blobs, tasks: Iterable[CaseTask]) -> None:
        self._blobs = blobs
        self._tasks = tasks
        self._uses: Counter[str] = Counter()
        self._there: set[str] = set()
        self._turns: dict[str, threading.Lock] = {}
        self._idle: dict[str, None] = {}
        self._going: dict[str, Future[None]] = {}
        self._under_way: dict[str, CaseTask] = {}
        self._stopped: list[CaseOutcome] = []
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="radmill-store")

    def run(self, far: Runner) -> Iterator[CaseOutcome]:
        """Yields the outcome of each task as they end."""
        coming: deque[Future[CaseOutcome]] = deque()
        try:
            for outcome in far.run(measure_carried, self._departures()):
                task = self._under_way.pop(outcome.task.payload["part"])
                coming.append(self._threads.submit(self._arrival, task, outcome))
                while coming and (coming[0].done() or len(coming) > _AHEAD):
                    yield self._let_go(coming.popleft().result())
            for arrival in coming:
                yield self._let_go(arrival.result())
            yield from self._stopped
        except BaseException:
            self._blobs.hurry()  # or what waits for the store holds the end up
            raise
        finally:
            self._threads.shutdown(cancel_futures=True)

    def _departures(self) -> Iterator[CaseTask]:
        """Yields tasks whose files are in the store, a few of them put there ahead."""
        ahead: deque[tuple[CaseTask, list[Future[None]]]] = deque()
        for task in self._tasks:
            for _, _, sha256 in _files(task):
                self._uses[sha256] += 1
                self._idle.pop(sha256, None)
            ahead.append((task, [self._threads.submit(self._put, *one) for one in _files(task)]))
            if len(ahead) > _AHEAD:
                yield from self._departure(*ahead.popleft())
        while ahead:
            yield from self._departure(*ahead.popleft())

    def _put(self, what: str, path: Path, sha256: str) -> None:
        """Puts a file into the store unless another region's is the same; each is looked at, as on this machine."""
        check_file(path, sha256, what)
        if (going := self._going.get(sha256)) is not None:
            going.exception()  # that it goes must not come after it is put again
        with self._turns.setdefault(sha256, threading.Lock()):
            if sha256 not in self._there:
                self._blobs.put(f"files/{sha256}", path.read_bytes())
                self._there.add(sha256)

    def _departure(self, task: CaseTask, puts: list[Future[None]]) -> Iterator[CaseTask]:
        try:
            for put in puts:
                put.result()
        except CaseDamagedError as error:
            self._stopped.append(self._let_go(CaseOutcome(task=task, error=error)))
            return
        self._under_way[Path(task.payload["part"]).name] = task
        yield _carried(task, self._blobs.url)

    def _arrival(self, task: CaseTask, outcome: CaseOutcome) -> CaseOutcome:
        receipt = outcome.receipt
        if outcome.error is not None or receipt is None:
            return replace(outcome, task=task)
        if "trouble" in receipt:
            raise BlobStoreError(f"a worker on {receipt['host']} cannot use it: {receipt['trouble']}", where="store")
        path = Path(task.payload["part"])
        name = f"parts/{path.name}"
        write_bytes(path, self._blobs.get(name, receipt["part_sha256"]))
        self._blobs.remove([name])
        return CaseOutcome(task=task, receipt={"n_features": receipt["n_features"]})

    def _let_go(self, outcome: CaseOutcome) -> CaseOutcome:
        """Notes that a region needs its files no more; those that none needed for longest are removed."""
        for _, _, sha256 in _files(outcome.task):
            self._uses[sha256] -= 1
            if not self._uses[sha256]:
                del self._uses[sha256]
                self._idle[sha256] = None
        while len(self._idle) > _KEPT:
            sha256 = next(iter(self._idle))
            del self._idle[sha256]
            self._there.discard(sha256)
            self._turns.pop(sha256, None)
            self._going = {key: going for key, going in self._going.items() if not going.done()}
            self._going[sha256] = self._threads.submit(self._blobs.remove, [f"files/{sha256}"])
        return outcome


def _files(task: CaseTask) -> list[tuple[str, Path, str]]:
    """Returns image and mask of a region's task, each with its hash."""
    payload = task.payload
    return [(what, Path(payload[what]), payload["hashes"][f"{what}_bytes_hash"]) for what in ("image", "mask")]


def _carried(task: CaseTask, url: str) -> CaseTask:
    """Returns the task without any path of this machine: the last two parts of a stored file's name no one."""
    inside = {what: "/".join(path.parts[-2:]) for what, path, _ in _files(task)}
    part = Path(task.payload["part"]).name
    region = {**task.payload, **inside, "part": part}
    return replace(task, payload={"url": url, "name": task.name, "region": region, "part": part})


def measure_carried(url: str, name: str, region: dict[str, Any], part: str) -> Receipt:
    """Measures a region whose files are in the store, and leaves its part there; runs on a worker.

    Args:
        url: The run's folder in the store.
        name: How messages call the region.
        region: What `extract_region` is called with, its files named relative to any folder.
        part: The part's name.

    Raises:
        CaseError: The region cannot be measured; no path of this worker is in the message.
    """
    blobs = Blobs(url)
    with tempfile.TemporaryDirectory(prefix="radmill-", dir=_scratch()) as folder:
        scratch = Path(folder)
        try:
            own = {**region, "part": str(scratch / part)}
            for what in ("image", "mask"):
                sha256 = region["hashes"][f"{what}_bytes_hash"]
                own[what] = str(scratch / region[what])
                write_bytes(Path(own[what]), blobs.get(f"files/{sha256}", sha256))
            receipt = extract_region(**own)
            data = Path(own["part"]).read_bytes()
            blobs.put(f"parts/{part}", data)
            if not blobs.has(_OPEN):  # looked at afterwards: a run that ends in between would not remove it
                blobs.remove([f"parts/{part}"])
        except BlobStoreError as error:
            return {"trouble": error.what, "host": socket.gethostname()}
        except CaseError as error:
            error.what = error.what.replace(f"{scratch}/", "")
            raise
        except Exception as error:
            told = f"{type(error).__name__}: {error}".replace(f"{scratch}/", "")
            raise CaseFailedError(told, where=name) from None
    return {**receipt, "part_sha256": bytes_digest(data)}


def _scratch() -> str | None:
    """Returns the worker's own folder, which Dask removes with it; of a process that is none the system's."""
    from distributed import get_worker

    try:
        return str(get_worker().local_directory)
    except ValueError:
        return None
