"""Bytes under names in an object store, for those who share no files; credentials come from the environment alone.

Boto's own settings say where and as whom: AWS_ENDPOINT_URL, AWS_PROFILE, AWS_ACCESS_KEY_ID and the like, or a file.
"""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from featurestore.errors import FaultError
from featurestore.fingerprints import bytes_digest

_T = TypeVar("_T")

_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""How long is waited before something is tried once more."""

_ANSWER = {"connect_timeout": 10, "read_timeout": 30, "retries": {"total_max_attempts": 1}}
"""How long a server may be silent, in seconds; left to boto and s3fs, one that never answers held a run for hours."""

_LIMIT_S = 120.0
"""How long one blob's way may take. The client of S3 asks whether to send a body, and waits for the answer for ever."""


class BlobStoreError(FaultError):
    """The object store cannot be used."""

    default_remedy = (
        "check that the bucket exists and that AWS_ENDPOINT_URL, AWS_PROFILE or AWS_ACCESS_KEY_ID and the like are set "
        "here and for every worker"
    )


class Blobs:
    """A folder of an object store.

    Args:
        url: Its address, such as `s3://bucket/prefix`.
        is_patient: Whether what fails is tried again after a pause.
    """

    def __init__(self, url: str, *, is_patient: bool = True) -> None:
        self.url = url.rstrip("/")
        self._pauses_s = _PAUSES_S if is_patient else ()
        self._is_hurried = threading.Event()
        self._lock = threading.Lock()
        self._opened: tuple[Any, str] | None = None

    def hurry(self) -> None:
        """From now on nothing is tried again, also by those who wait for it now: the work is given up."""
        self._is_hurried.set()

    def endpoint(self) -> str:
        """Returns the address of the server behind the store.

        Raises:
            BlobStoreError: It cannot be known.
        """

        def known() -> str:
            self._fs.connect()
            return str(self._fs.s3.meta.endpoint_url)

        return self._patiently(known)

    def put(self, name: str, data: bytes) -> None:
        """Stores bytes under a name.

        Raises:
            BlobStoreError: The store cannot be used.
        """
        self._patiently(lambda: self._call("pipe_file", f"{self._root}/{name}", data))

    def get(self, name: str, sha256: str) -> bytes:
        """Returns the bytes under a name, which must have this hash.

        Raises:
            BlobStoreError: The store cannot be used, or has something else under that name.
        """

        def checked() -> bytes:
            data: bytes = self._call("cat_file", f"{self._root}/{name}")
            if bytes_digest(data) != sha256:
                raise BlobStoreError(f"{name} is not what was put there", where=self.url)
            return data

        return self._patiently(checked)

    def has(self, name: str) -> bool:
        """Whether there is something under a name.

        Raises:
            BlobStoreError: The store cannot be used.
        """
        return self._patiently(lambda: bool(self._call("exists", f"{self._root}/{name}")))

    def remove(self, names: Iterable[str]) -> None:
        """Removes what is under names, if anything is."""
        paths = [f"{self._root}/{name}" for name in names]
        if paths:
            self._patiently(lambda: self._removed(paths))

    def sweep(self) -> int:
        """Removes all there is and returns how many blobs that were."""

        def swept() -> int:
            paths: list[str] = self._call("find", self._root, refresh=True)
            self._removed(paths)
            return len(paths)

        return self._patiently(swept)

    def _removed(self, paths: list[str]) -> None:
        with suppress(FileNotFoundError):
            if paths:
                self._call("rm", paths)

    def _call(self, name: str, *arguments: Any, **more: Any) -> Any:
        """Calls a method of the file system, within a limit where it waits for a server."""
        if not self._fs.async_impl:
            return getattr(self._fs, name)(*arguments, **more)
        from fsspec.asyn import sync

        return sync(self._fs.loop, getattr(self._fs, f"_{name}"), *arguments, timeout=_LIMIT_S, **more)

    @property
    def _fs(self) -> Any:
        return self._open()[0]

    @property
    def _root(self) -> str:
        return self._open()[1]

    def _open(self) -> tuple[Any, str]:
        with self._lock:
            if self._opened is None:
                import fsspec

                is_s3 = self.url.startswith("s3://")
                options = {"config_kwargs": dict(_ANSWER)} if is_s3 else {}
                fs, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False, **options)
                if is_s3:
                    fs.retries = 1  # it is tried again here, where a pause is between
                self._opened = fs, root.rstrip("/")
            return self._opened

    def _patiently(self, work: Callable[[], _T]) -> _T:
        for pause_s in (*self._pauses_s, None):
            try:
                return work()
            except ImportError as error:
                remedy = "pip install 'radmill[s3]'"
                raise BlobStoreError(f"{error.name} is not installed", where=self.url, remedy=remedy) from error
            except (FileNotFoundError, PermissionError) as error:
                raise BlobStoreError(_told(error), where=self.url) from error
            except Exception as error:
                is_hopeless = type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError")
                if pause_s is None or is_hopeless or self._is_hurried.wait(pause_s):
                    raise BlobStoreError(_told(error), where=self.url) from error
        raise AssertionError


def _told(error: Exception) -> str:
    if isinstance(error, BlobStoreError):
        return error.what
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
