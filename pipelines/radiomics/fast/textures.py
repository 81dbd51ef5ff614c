"""All feature classes of one image of the region."""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.radiomics.fast.firstorder import firstorder_features
from pipelines.radiomics.fast.glcm import glcm_features
from pipelines.radiomics.fast.glrlm import glrlm_features
from pipelines.radiomics.fast.glszm import glszm_features
from pipelines.radiomics.fast.graylevels import GrayLevels, bin_edges, gray_levels
from pipelines.radiomics.fast.neighbors import gldm_features, neighbor_sums, ngtdm_features, surroundings
from pipelines.radiomics.fast.pairs import PAIR_LIMIT_BYTES, pair_bytes, pair_counts
from pipelines.radiomics.fast.problems import NoNeighborError, TooManyBinsError
from pipelines.radiomics.fast.region import Region
from pipelines.radiomics.fast.sweep import Sweep, sweep

ClassFeatures = dict[str, float]


class TextureClasses:
    """Computes feature classes of one image; what two classes share is computed once.

    Args:
        region: The region.
        values: Gray values of its voxels, shape (n,), in the image's own type.
        now: The settings in force.
    """

    def __init__(self, region: Region, values: NDArray[np.generic], now: dict[str, Any]) -> None:
        self.region = region
        self.values = values
        self.now = now
        self.gray: GrayLevels = gray_levels(values, bin_edges(values, now["binWidth"], now["binCount"]))
        self.box = region.spread(self.gray.ranks, len(self.gray.levels))

    def features(self, families: Iterable[str]) -> dict[str, ClassFeatures]:
        """Returns the features of the classes by class.

        Raises:
            TooManyBinsError: The gray levels would take too much memory.
            NoNeighborError: No voxel can have a neighbor.
        """
        computing: dict[str, Callable[[], ClassFeatures]] = {
            "firstorder": self._firstorder,
            "glcm": self._glcm,
            "gldm": self._gldm,
            "glrlm": self._glrlm,
            "glszm": self._glszm,
            "ngtdm": self._ngtdm,
        }
        return {family: computing[family]() for family in families}

    def _firstorder(self) -> ClassFeatures:
        z, y, x = self.region.spacing_mm
        return firstorder_features(self.values, self.gray, x * y * z, self.now["voxelArrayShift"])

    def _glcm(self) -> ClassFeatures:
        self._check_offsets()
        n_levels = len(self.gray.levels)
        needed = pair_bytes(n_levels, len(self.region.offsets))
        if needed > PAIR_LIMIT_BYTES:
            raise TooManyBinsError(
                f"{n_levels} gray levels in {len(self.region.offsets)} directions would take "
                f"{needed / 2**30:.1f} GiB for GLCM; the limit is {PAIR_LIMIT_BYTES / 2**30:.0f} GiB"
            )
        counts = pair_counts(self.region, self.gray, self.box)
        symmetric = self.now["symmetricalGLCM"]
        return glcm_features(self.region, self.gray, counts, self.now["weightingNorm"], symmetric=symmetric)

    def _glrlm(self) -> ClassFeatures:
        self._check_plane()
        return glrlm_features(self.region, self.gray, self._swept.runs, self.now["weightingNorm"])

    def _glszm(self) -> ClassFeatures:
        self._check_plane()
        return glszm_features(self.gray, self._swept.zone_ranks, self._swept.zone_sizes)

    def _gldm(self) -> ClassFeatures:
        self._check_offsets()
        is_near = self.region.distances == (1,) and self.now["gldm_a"] == 0
        return gldm_features(self.gray, self._swept.dependence if is_near else self._around[0])

    def _ngtdm(self) -> ClassFeatures:
        self._check_offsets()
        is_near = self.region.distances == (1,) and self.region.flat_axis is None
        sums = neighbor_sums(self.region, self.gray, self.box) if is_near else self._around[1]
        return ngtdm_features(self.gray, sums)

    @cached_property
    def _swept(self) -> Sweep:
        return sweep(self.region, self.gray, self.box)

    @cached_property
    def _around(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return surroundings(self.region, self.gray, self.box, self.now["gldm_a"])

    def _check_plane(self) -> None:
        if not len(self.region.near_offsets):
            raise NoNeighborError("the region is a single voxel in the plane of texture")

    def _check_offsets(self) -> None:
        if not len(self.region.offsets):
            raise NoNeighborError(
                f"no two voxels of a region of {self.region.inside.shape[::-1]} voxels can lie "
                f"{list(self.region.distances)} apart"
            )
