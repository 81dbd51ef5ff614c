"""Where in a patch a network found what speaks for the positive class: Grad-CAM.

Source: Selvaraju et al. 2017, ICCV, p. 618.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.models.patches import Recipe
from pipelines.models.resnet import Network, Patches, module_of, settled

LAYERS = ("layer4", "layer3", "layer2", "layer1")
SMALLEST_MAP = 7
"""Pixels a side, as in the original work. A small patch has 2 in its last layer, which shows nothing: then an earlier
layer is taken."""

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Attention:
    """Pictures of some patches and where the network looked.

    Args:
        images: The middle slice of each phase, 0 to 255, shape (n, phases, rows, columns).
        maps: In the same plane, what speaks for the positive class, 0 to 255, shape (n, rows, columns).
        layer: The layer whose maps they are.
    """

    images: Pictures
    maps: Pictures
    layer: str


def attention(network: Network, patches: Patches, recipe: Recipe) -> Attention:
    """Returns pictures of patches, shape (n, c, …), and where the network looked in each."""
    layer, maps = grad_cam(network, patches)
    planes = [recipe.channels.index(f"{phase} +0") for phase in recipe.phases]
    images = patches[:, planes]
    if recipe.dims == "3d":
        middle = recipe.size // 2
        images, maps = images[:, :, middle], maps[:, middle]
    return Attention(images=_pictures(images, -1, 1), maps=_pictures(maps, 0, 1), layer=layer)


def grad_cam(network: Network, patches: Patches) -> tuple[str, NDArray[np.float32]]:
    """Returns the layer that was looked at, and maps within 0 and 1 of the patches' own size, shape (n, …)."""
    import torch

    module = module_of(network.spec, network.state)
    layer = _layer(module, network.shape)
    seen: list[Any] = []
    handle = getattr(module, layer).register_forward_hook(lambda _module, _input, output: seen.append(output))
    try:
        with settled("cpu", threads=1), torch.enable_grad():
            maps = [_one(module, seen, torch.from_numpy(np.array(patch[np.newaxis]))) for patch in patches]
    finally:
        handle.remove()
    return layer, np.stack(maps).astype(np.float32)


def _one(module: Any, seen: list[Any], patch: Any) -> NDArray[np.float32]:
    import torch
    from torch.nn.functional import interpolate

    seen.clear()
    log_odds = module(patch)[0, 0]
    (gradient,) = torch.autograd.grad(log_odds, seen[0])
    spatial = tuple(range(2, gradient.ndim))
    weighted = gradient.mean(dim=spatial, keepdim=True) * seen[0]
    found = torch.relu(weighted.sum(dim=1, keepdim=True)).detach()
    mode = "bilinear" if len(spatial) == 2 else "trilinear"
    full = interpolate(found, size=patch.shape[2:], mode=mode, align_corners=False)[0, 0].numpy()
    return np.asarray(full / full.max() if full.max() > 0 else full, dtype=np.float32)


def _layer(module: Any, shape: Sequence[int]) -> str:
    import torch

    sides: dict[str, int] = {}

    def note(name: str) -> Any:
        return lambda _module, _input, output: sides.update({name: output.shape[-1]})

    handles = [getattr(module, name).register_forward_hook(note(name)) for name in LAYERS]
    with torch.inference_mode():
        module(torch.zeros((1, *shape)))
    for handle in handles:
        handle.remove()
    return next((name for name in LAYERS if sides[name] >= SMALLEST_MAP), LAYERS[-1])


def _pictures(values: NDArray[np.floating], low: float, high: float) -> Pictures:
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
