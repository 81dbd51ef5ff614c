"""Work on several files or blocks of rows at once, where the libraries below let go of the interpreter."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

T = TypeVar("T")
R = TypeVar("R")

MOST = 4
"""So many threads keep even two processors busy to the end; more would hold more files' footers and buffers."""


def in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Yields `function` of each item, in their order; what it raises is raised when its turn comes.

    Args:
        function: Work that decodes, copies or hashes.
        items: What it is done on.
    """
    n_threads = min(MOST, len(items))
    if n_threads < 2 or pa.cpu_count() < 2:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            yield from pool.map(function, items)
        finally:
            pool.shutdown(cancel_futures=True)
