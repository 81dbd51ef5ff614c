"""Varied patches to learn from: mirrored, turned, shifted, brighter or darker, all drawn from a seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class AugmentationRules:
    """How patches are varied.

    Args:
        flips: Whether they are mirrored along each axis.
        rotation_degrees: The largest turn in the plane.
        shift: The largest shift, as a share of the side.
        intensity: Standard deviation of brightness and of contrast, in scaled units.
    """

    flips: bool = True
    rotation_degrees: float = 10.0
    shift: float = 0.05
    intensity: float = 0.05


def varied(batch: Any, rules: AugmentationRules, image_channels: tuple[int, ...], random: np.random.Generator) -> Any:
    """Returns a varied copy of a batch, a torch tensor of shape (n, c, …, rows, columns).

    All channels of a patient move together. Beyond the patch there is 0, which is what patches hold outside the image.

    Args:
        batch: The patches.
        rules: How they are varied.
        image_channels: Channels whose brightness may change; the others mark regions.
        random: Where all draws come from.
    """
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    n, dims = len(batch), batch.ndim - 2
    theta = torch.from_numpy(_moves(n, dims, rules, random).astype(np.float32)).to(batch.device)
    grid = affine_grid(theta, list(batch.shape), align_corners=False)
    moved = grid_sample(batch, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if rules.intensity <= 0:
        return moved
    gain = np.ones((n, batch.shape[1]))
    offset = np.zeros_like(gain)
    picked = list(image_channels)
    gain[:, picked] += rules.intensity * random.standard_normal((n, 1))
    offset[:, picked] += rules.intensity * random.standard_normal((n, 1))
    spread = (n, batch.shape[1], *(1,) * dims)
    factor = torch.from_numpy(gain.astype(np.float32)).to(batch.device).reshape(spread)
    added = torch.from_numpy(offset.astype(np.float32)).to(batch.device).reshape(spread)
    shown = moved != 0  # what is blank stays blank
    return torch.where(shown, moved * factor + added, moved)


def _moves(n: int, dims: int, rules: AugmentationRules, random: np.random.Generator) -> NDArray[np.float64]:
    """Returns one affine map a patient, shape (n, dims, dims + 1), axes in torch's order x, y(, z)."""
    turn = np.deg2rad(random.uniform(-1, 1, n) * rules.rotation_degrees)
    shift = 2 * random.uniform(-1, 1, (n, dims)) * rules.shift  # the patch spans -1 to 1
    mirror = random.integers(0, 2, (n, dims)) * 2.0 - 1.0 if rules.flips else np.ones((n, dims))
    theta = np.zeros((n, dims, dims + 1))
    theta[:, range(dims), range(dims)] = 1.0
    theta[:, 0, 0] = theta[:, 1, 1] = np.cos(turn)
    theta[:, 0, 1], theta[:, 1, 0] = -np.sin(turn), np.sin(turn)
    theta[:, :, :dims] *= mirror[:, np.newaxis, :]
    theta[:, :, dims] = shift
    return theta
