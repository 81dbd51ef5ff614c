"""Residual networks in two and three dimensions: how they are built, packed into plain arrays, and asked.

torch and monai are imported where they are used, so that commands without a network do not wait for them.

A patient's probability has the same bits whether he is asked about alone or among a thousand: patients go through the
network one by one, on the processor, in one thread.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import FaultError, InputError
from pipelines.models.base import Floats
from registry.arrays import CALIBRATION
from registry.predict import recalibrated

Patches = NDArray[np.float32]
State = Mapping[str, NDArray[np.float32]]

PREFIX = "net."
"""Of the network's tensors among a package's arrays."""

COUNTERS = "num_batches_tracked"
"""Tensors that nothing but training's bookkeeping reads; they are not kept."""

GOLDEN_N, GOLDEN_SEED = 2, 7
GOLDEN_TOLERANCE = 1e-5
"""Single precision and convolutions of other processors differ by some 1e-7; a wrong tensor differs by far more."""


class WrongNetworkError(FaultError):
    """Stored tensors are not those of the network that is described beside them."""

    default_remedy = "the package is damaged or of a newer radmill; export it again where it was made"


class NoDeepError(InputError):
    """The libraries for networks are not installed."""

    default_remedy = "install them with `pip install radmill[deep]`"


class NoDeviceError(InputError):
    """The device that is asked for is not there."""

    default_remedy = "set device to auto or cpu"


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """All that is needed to build a network.

    Args:
        architecture: `resnet10`, `resnet18`, `resnet34`, `resnet50` or `resnet101`.
        spatial_dims: 2 or 3.
        channels: Input channels.
        stem_stride: Step of the first convolution.
        width: Channels of the layers, as a share of the usual ones.
    """

    architecture: str
    spatial_dims: int
    channels: int
    stem_stride: int = 2
    width: float = 1.0

    def plain(self) -> dict[str, Any]:
        """Returns the specification as JSON types."""
        return asdict(self)

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> "NetworkSpec":
        """Builds the specification that `plain` described."""
        return cls(**content)


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A trained network, ready to be asked.

    Args:
        spec: How it is built.
        shape: The shape of one patch, channels first.
        state: Its tensors by name.
        coefficients: Intercept and slope on its log odds, shape (2,).
    """

    spec: NetworkSpec
    shape: tuple[int, ...]
    state: State
    coefficients: Floats | None = None

    @cached_property
    def _module(self) -> Any:
        """The network itself, built once."""
        return module_of(self.spec, self.state)

    def log_odds(self, patches: Patches) -> Floats:
        """Returns what the network says of each patch, shape (n,), before recalibration."""
        torch = _torch()

        if patches.shape[1:] != self.shape:
            raise WrongNetworkError(f"patches of shape {patches.shape[1:]}, the network sees {self.shape}")
        module = self._module
        with settled("cpu", threads=1), torch.inference_mode():
            found = [float(module(torch.from_numpy(np.array(patch[np.newaxis])))[0, 0]) for patch in patches]
        return np.asarray(found, dtype=np.float64)

    def predict(self, patches: Patches) -> Floats:
        """Returns the probability of the positive class for each patch, shape (n,)."""
        coefficients = np.array([0.0, 1.0]) if self.coefficients is None else self.coefficients
        return recalibrated(self.log_odds(patches), coefficients)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Returns the network as the arrays that a package stores."""
        arrays: dict[str, NDArray[Any]] = {f"{PREFIX}{name}": array for name, array in sorted(self.state.items())}
        return arrays if self.coefficients is None else {**arrays, CALIBRATION: self.coefficients}

    def golden(self) -> dict[str, Any]:
        """Returns what the network says of seeded synthetic patches, for whoever builds it again to compare."""
        patches = golden_patches(GOLDEN_SEED, GOLDEN_N, self.shape)
        return {"seed": GOLDEN_SEED, "n": GOLDEN_N, "probabilities": self.predict(patches).tolist()}


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise NoDeepError("torch is not installed", where="networks") from error
    return torch


def golden_patches(seed: int, n: int, shape: tuple[int, ...]) -> Patches:
    """Returns synthetic patches, shape (n, c, …); nobody's image."""
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(np.float32)


def network_from(
    model: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], golden: Mapping[str, Any] | None = None
) -> Network:
    """Builds the network that a package holds.

    Args:
        model: The manifest's `model`: its `network` has `spec` and `shape` beside the recipe of patches.
        arrays: The package's arrays.
        golden: The manifest's `golden`, which is compared when given.

    Raises:
        WrongNetworkError: A tensor is missing, unknown or of another shape, or golden patches give other probabilities.
        NoDeepError: torch or monai is not installed.
    """
    told = model["network"]
    state = {name.removeprefix(PREFIX): array for name, array in arrays.items() if name.startswith(PREFIX)}
    network = Network(
        spec=NetworkSpec.from_plain(told["spec"]),
        shape=tuple(told["shape"]),
        state=state,
        coefficients=arrays.get(CALIBRATION),
    )
    complaint = next(mismatches(shapes_of(network.spec), {name: array.shape for name, array in state.items()}), None)
    if complaint:
        raise WrongNetworkError(complaint, where=f"network of {model['name']}")
    if golden is not None:
        wanted = np.asarray(golden["probabilities"], dtype=np.float64)
        found = network.predict(golden_patches(golden["seed"], golden["n"], network.shape))
        if not np.max(np.abs(found - wanted)) <= GOLDEN_TOLERANCE:
            raise WrongNetworkError(
                f"golden patches give {found.round(6).tolist()}, not {wanted.round(6).tolist()}",
                where=f"network of {model['name']}",
            )
    return network


def build(spec: NetworkSpec) -> Any:
    """Returns an untrained network with one output, its weights drawn from torch's generator.

    Raises:
        NoDeepError: torch or monai is not installed.
    """
    torch = _torch()
    try:
        from monai.networks import nets
    except ImportError as error:
        raise NoDeepError("monai is not installed", where=spec.architecture) from error
    net = getattr(nets, spec.architecture)(
        spatial_dims=spec.spatial_dims,
        n_input_channels=spec.channels,
        num_classes=1,
        conv1_t_stride=spec.stem_stride,
        widen_factor=spec.width,
        bias_downsample=False,  # as in the published weights of torchvision and MedicalNet
    )
    torch.nn.init.zeros_(net.fc.weight)  # nobody is foretold anything before something was learned
    return net


def module_of(spec: NetworkSpec, state: State) -> Any:
    """Returns a network with these tensors, in evaluation mode."""
    torch = _torch()

    module = build(spec)
    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()}, strict=False)
    return module.eval()


def state_of(module: Any) -> dict[str, NDArray[np.float32]]:
    """Returns copies of a network's tensors, the counters left out."""
    return {
        name: tensor.detach().cpu().numpy().copy()
        for name, tensor in module.state_dict().items()
        if not name.endswith(COUNTERS)
    }


def shapes_of(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each tensor of a network, without drawing weights."""
    torch = _torch()

    with torch.device("meta"):
        module = build(spec)
    return {name: tuple(t.shape) for name, t in module.state_dict().items() if not name.endswith(COUNTERS)}


def mismatches(wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """Yields in the network's order what is wrong with the shapes of tensors."""
    for name, shape in wanted.items():
        if name not in found:
            yield f"tensor {name} {shape} is missing"
        elif tuple(found[name]) != shape:
            yield f"tensor {name} has shape {tuple(found[name])}, the network needs {shape}"
    for name in found:
        if name not in wanted:
            yield f"the network has no tensor {name} {tuple(found[name])}"


def device_of(asked: Literal["auto", "cpu", "cuda"]) -> str:
    """Returns where training happens.

    Raises:
        NoDeviceError: A GPU is asked for and there is none.
    """
    torch = _torch()

    is_there = torch.cuda.is_available()
    if asked == "cuda" and not is_there:
        raise NoDeviceError("torch sees no GPU", where="device: cuda")
    return "cuda" if asked == "cuda" or (asked == "auto" and is_there) else "cpu"


@contextmanager
def settled(device: str, threads: int) -> Iterator[None]:
    """Lets torch work so that the same input gives the same bits, and restores its settings after.

    On a GPU some layers have no such way; they are let through, and bytes are promised for the processor alone.
    """
    torch = _torch()

    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1], warn_only=warns)
