"""Whether a region is interrupted inside: frames or contours left out, or outlines made on thicker slices."""

from itertools import pairwise

import numpy as np
import SimpleITK as sitk

from featurestore.errors import CaseError

_N_SHOWN = 5


class OutlineGapError(CaseError):
    """Slices inside a region hold none of it, though those before and behind outline the same place."""

    code = "outline_gap"
    status = "warned"
    default_remedy = "look at these slices: if the region goes through them, send the outline with them"


class OutlineCombError(CaseError):
    """A region lies on every second or third slice only."""

    code = "outline_comb"
    default_remedy = "send the outline made on this series; this one was made on thicker slices"


def check_gaps(mask: sitk.Image, name: str, warnings: list[CaseError]) -> None:
    """Adds a warning for slices that a region misses; two parts that lie elsewhere in their planes are two lesions.

    Args:
        mask: One outlined region on the image's grid.
        name: What it was sent as; empty where masks have no names.
        warnings: Takes the warning.

    Raises:
        OutlineCombError: Three slices or more are outlined, each as far from the next, and none between.
    """
    voxels = sitk.GetArrayViewFromImage(mask)
    outlined = [int(index) for index in np.flatnonzero(voxels.any(axis=(1, 2)))]
    gaps = [(a, b) for a, b in pairwise(outlined) if b - a > 1 and (voxels[a] & voxels[b]).any()]
    called = f"region {name!r}" if name else "the region"
    if len(gaps) > 1 and len(gaps) == len(outlined) - 1 and len({b - a for a, b in gaps}) == 1:
        step = gaps[0][1] - gaps[0][0]
        raise OutlineCombError(
            f"{called} lies on {len(outlined)} slices, each {step} from the next, and on none between"
        )
    if gaps:
        warnings.append(OutlineGapError(f"{called} has no voxel on {_slices(gaps)}, inside it"))


def _slices(gaps: list[tuple[int, int]]) -> str:
    told = [f"{a + 2}" if b - a == 2 else f"{a + 2} to {b}" for a, b in gaps[:_N_SHOWN]]
    more = f" and {len(gaps) - _N_SHOWN} more gaps" if len(gaps) > _N_SHOWN else ""
    return f"slice{'s' if len(told) > 1 or ' ' in told[0] else ''} {', '.join(told)}{more}"
