"""Where training stands, in one file that is never half written: tensors and a JSON note, nothing executable."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.files import write_bytes

CONTEXT, NOTE = "context", "note"


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """What a checkpoint holds.

    Args:
        tensors: By name.
        note: JSON types.
    """

    tensors: Mapping[str, NDArray[Any]]
    note: Mapping[str, Any]


class Checkpoint:
    """One scratch file; it may be deleted at any time.

    Args:
        path: The file.
        context: A hash of all that decides the training. A file of another training is not used.
    """

    def __init__(self, path: Path, context: str) -> None:
        self.path, self.context = path, context

    def read(self) -> Snapshot | None:
        """Returns what was written, or nothing where there is no file of this training."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(self.path), framework="np") as stored:
                told = stored.metadata() or {}
                if told.get(CONTEXT) != self.context:
                    return None
                tensors = {name: np.array(stored.get_tensor(name)) for name in stored.keys()}  # noqa: SIM118
                return Snapshot(tensors=tensors, note=json.loads(told[NOTE]))
        except (OSError, SafetensorError, ValueError, KeyError):
            return None

    def write(self, snapshot: Snapshot) -> None:
        """Writes all of it, whole or not at all."""
        from safetensors.numpy import save

        told = {CONTEXT: self.context, NOTE: json.dumps(snapshot.note)}
        write_bytes(self.path, save({name: np.ascontiguousarray(a) for name, a in snapshot.tensors.items()}, told))

    def remove(self) -> None:
        """Forgets it; the result is elsewhere by now."""
        self.path.unlink(missing_ok=True)
