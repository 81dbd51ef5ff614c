"""The extraction engines, their settings and the catalogue of features."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.radiomics.fast.engine import FastEngine

__all__ = ["FastEngine"]


def __getattr__(name: str) -> object:
    # numba takes a second to import: only who asks for the engine pays.
    if name == "FastEngine":
        from pipelines.radiomics.fast.engine import FastEngine

        return FastEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
