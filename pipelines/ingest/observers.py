"""From outlined regions to the regions of the study: several lesions, several observers."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import SimpleITK as sitk

RoiPolicy = Literal["largest", "union", "each"]

CONSENSUS = ("majority", "staple")
STAPLE_THRESHOLD = 0.5
"""A voxel whose estimated probability of lying inside is at least this belongs to the consensus."""


def lesions(regions: Mapping[str, sitk.Image], policy: RoiPolicy, roi: str) -> dict[str, sitk.Image]:
    """Returns the study's regions by name.

    Several outlined regions are several lesions. One region is as many lesions as it has parts that touch nowhere, not
    even at a corner. `each` numbers the lesions by size, the largest first.

    Args:
        regions: Masks (uint8, 1 inside) of one observer on one grid, by the name they were sent with.
        policy: `union` takes all, `largest` the largest lesion, `each` every one by itself.
        roi: What radmill calls the region.
    """
    if policy == "union":
        return {roi: united(list(regions.values()))}
    if len(regions) == 1:
        parts = components(next(iter(regions.values())))
    else:
        ordered = sorted(regions.items(), key=lambda item: (-n_voxels(item[1]), item[0]))
        parts = [mask for _, mask in ordered]
    if policy == "largest":
        return {roi: parts[0]}
    return {f"{roi}-{number}": part for number, part in enumerate(parts, start=1)}


def components(mask: sitk.Image) -> list[sitk.Image]:
    """Returns the parts of a mask that touch nowhere, the largest first."""
    labels = sitk.RelabelComponent(sitk.ConnectedComponent(mask, True), sortByObjectSize=True)
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(labels)
    return [sitk.Cast(labels == label, sitk.sitkUInt8) for label in statistics.GetLabels()]


def united(masks: Sequence[sitk.Image]) -> sitk.Image:
    """Returns what lies in any of the masks."""
    whole = masks[0]
    for mask in masks[1:]:
        whole = sitk.Or(whole, mask)
    return whole


def consensus(masks: Sequence[sitk.Image], policy: str) -> sitk.Image:
    """Returns one mask for several observers' masks on one grid.

    Args:
        masks: Their masks (uint8, 1 inside).
        policy: `majority` takes voxels in more than half of the masks (of two, those in both); `staple` those that are
            more likely inside than not when each observer's sensitivity and specificity are estimated with them.

    Source:
        Warfield, Zou, Wells: Simultaneous truth and performance level estimation. IEEE TMI 23 (2004) 903-921.
    """
    if policy == "staple":
        return sitk.Cast(sitk.STAPLE(list(masks), 1.0) >= STAPLE_THRESHOLD, sitk.sitkUInt8)
    votes = np.sum([sitk.GetArrayViewFromImage(mask) for mask in masks], axis=0, dtype=np.int32)
    agreed = sitk.GetImageFromArray((2 * votes > len(masks)).astype(np.uint8))
    agreed.CopyInformation(masks[0])
    return agreed


def n_voxels(mask: sitk.Image) -> int:
    """Returns how many voxels are inside."""
    return int(np.count_nonzero(sitk.GetArrayViewFromImage(mask)))
