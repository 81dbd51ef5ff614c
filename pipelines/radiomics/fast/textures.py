"""All feature classes of one image of the region."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.radiomics.fast.firstorder import firstorder_features
from pipelines.radiomics.fast.glcm import glcm_features
from pipelines.radiomics.fast.glrlm import glrlm_features
from pipelines.radiomics.fast.glszm import glszm_features
from pipelines.radiomics.fast.graylevels import GrayLevels, bin_edges, gray_levels
from pipelines.radiomics.fast.neighbors import gldm_features, ngtdm_features, surroundings
from pipelines.radiomics.fast.pairs import PAIR_LIMIT_BYTES, pair_bytes, pair_counts, run_counts
from pipelines.radiomics.fast.problems import NoNeighborError, TooManyBinsError
from pipelines.radiomics.fast.region import Region

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
        self.box = region.spread(self.gray.ranks)
        self._around: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def features(self, families: Iterable[str]) -> dict[str, ClassFeatures]:
        """Returns the features of the classes by class.

        Raises:
            TooManyBinsError: The gray levels would take too much memory.
            NoNeighborError: No voxel can have a neighbor.
        """
        computing: dict[str, Callable[[], ClassFeatures]] = {
            "firstorder": self._firstorder,
            "glcm": self._glcm,
            "gldm": lambda: gldm_features(self.gray, self._surroundings()[0]),
            "glrlm": self._glrlm,
            "glszm": lambda: glszm_features(self.region, self.gray, self.box),
            "ngtdm": lambda: ngtdm_features(self.gray, self._surroundings()[1]),
        }
        return {family: computing[family]() for family in families}

    def _firstorder(self) -> ClassFeatures:
        values = self.values.astype(np.float64)
        z, y, x = self.region.spacing_mm
        return firstorder_features(values, self.gray, x * y * z, self.now["voxelArrayShift"])

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
        if not len(self.region.near_offsets):
            raise NoNeighborError("the region is a single voxel in the plane of texture")
        runs = run_counts(self.region, self.gray, self.box)
        return glrlm_features(self.region, self.gray, runs, self.now["weightingNorm"])

    def _surroundings(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        self._check_offsets()
        if self._around is None:
            self._around = surroundings(self.region, self.gray, self.box, self.now["gldm_a"])
        return self._around

    def _check_offsets(self) -> None:
        if not len(self.region.offsets):
            raise NoNeighborError(
                f"no two voxels of a region of {self.region.inside.shape[::-1]} voxels can lie "
                f"{list(self.region.distances)} apart"
            )
