"""Weights made elsewhere, from which training starts: read without executing anything, and checked tensor by tensor."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import InputError
from featurestore.fingerprints import file_digest
from pipelines.models.resnet import COUNTERS, NetworkSpec, mismatches, shapes_of

STEM = "conv1.weight"
HEAD = "fc."
"""The last layer; it foretells something else elsewhere, so it is always learned anew."""

_SEGMENTATION_HEAD = "conv_seg."
_WRAPPERS = ("state_dict", "model", "model_state_dict")


class WrongWeightsError(InputError):
    """A file of weights is not for this network."""

    default_remedy = "name the architecture, dims and width it was made with, or another file"


def read_weights(path: Path, sha256: str, spec: NetworkSpec) -> dict[str, NDArray[np.float32]]:
    """Returns the tensors that training starts from, all but the last layer.

    Where the file's first layer sees another number of channels, its mean over them is spread over ours: the sum of
    what it answers stays.

    Args:
        path: `.safetensors`, or a PyTorch state dict, plain or within `state_dict`.
        sha256: The hash it must have.
        spec: The network.

    Raises:
        WrongWeightsError: The file is missing, another one, unreadable, or of another architecture; the first tensor
            that does not fit is named with both shapes.
    """
    if not path.is_file():
        raise WrongWeightsError("there is no such file", where=path.name)
    seen = file_digest(path)
    if seen != sha256:
        raise WrongWeightsError(
            f"its SHA-256 is {seen}, not {sha256}", where=path.name, remedy="correct weights.sha256"
        )
    found = {
        name.removeprefix("module."): np.asarray(array, dtype=np.float32)
        for name, array in _tensors(path).items()
        if not name.endswith(COUNTERS)
    }
    body = {name: array for name, array in found.items() if not name.startswith((HEAD, _SEGMENTATION_HEAD))}
    wanted = {name: shape for name, shape in shapes_of(spec).items() if not name.startswith(HEAD)}
    if STEM in body and body[STEM].shape[:1] + body[STEM].shape[2:] == wanted[STEM][:1] + wanted[STEM][2:]:
        body[STEM] = _spread(body[STEM], spec.channels)
    complaint = next(mismatches(wanted, {name: array.shape for name, array in body.items()}), None)
    if complaint:
        raise WrongWeightsError(complaint, where=path.name)
    return body


def _spread(stem: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    if stem.shape[1] == channels:
        return stem
    mean = stem.sum(axis=1, keepdims=True) / channels
    return np.repeat(mean, channels, axis=1).astype(np.float32)


def _tensors(path: Path) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError

    try:
        return _safe(path) if path.suffix == ".safetensors" else _state_dict(path)
    except (SafetensorError, ValueError, TypeError, KeyError, EOFError, RuntimeError, AttributeError) as error:
        told = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WrongWeightsError(f"not a file of plain tensors: {told}", where=path.name) from error


def _safe(path: Path) -> dict[str, NDArray[Any]]:
    from safetensors.numpy import load_file

    return dict(load_file(path))


def _state_dict(path: Path) -> dict[str, NDArray[Any]]:
    import pickle
    import warnings

    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle's version; what cannot be read is refused below
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError("it holds more than tensors") from error
    for name in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        raise ValueError(f"it holds a {type(content).__name__}")
    return {str(name): tensor.float().numpy() for name, tensor in content.items()}
