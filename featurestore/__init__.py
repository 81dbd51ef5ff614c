"""The feature store: entities, schemas, partitioned Parquet tables and frozen training sets.

A notebook needs two lines: `from featurestore import Store` and `Store("my-study").frame("radiomics")`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featurestore.store import Store

__all__ = ["Store"]


def __getattr__(name: str) -> object:
    """Imports the reader when it is asked for, so that light commands need no pandas."""
    if name != "Store":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from featurestore.store import Store

    return Store
