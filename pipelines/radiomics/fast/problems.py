"""What can be wrong with a case or its settings, one class a cause."""

from featurestore.errors import CaseError, InputError


class NotAVolumeError(CaseError):
    """The image is not three-dimensional and scalar."""

    code = "not_3d"
    default_remedy = "give one 3D volume with one value a voxel; split time series and color images first"


class EmptyMaskError(CaseError):
    """Nothing is segmented."""

    code = "empty_mask"
    default_remedy = "check the segmentation; a float mask below 1 counts as empty"


class LabelAbsentError(CaseError):
    """The label is not in the mask."""

    code = "label_absent"
    default_remedy = "set `label` to one of the labels present"


class GridMismatchError(CaseError):
    """Image and mask lie on different grids."""

    code = "grid_mismatch"
    default_remedy = "set `correctMask: true` to resample the mask, or raise `geometryTolerance`"


class RegionTooSmallError(CaseError):
    """The region has too few voxels or dimensions."""

    code = "roi_too_small"
    default_remedy = "check the segmentation, or lower minimumROIDimensions or minimumROISize"


class NotFiniteError(CaseError):
    """The region holds voxels without a finite value."""

    code = "not_finite"
    default_remedy = "repair the image, or leave those voxels out of the mask"


class TooManyBinsError(CaseError):
    """The gray levels would need more memory than a case may take."""

    code = "too_many_bins"
    default_remedy = "raise binWidth, or set binCount"


class NoNeighborError(CaseError):
    """No voxel can have a neighbor at the distances that are asked for."""

    code = "no_neighbor"
    default_remedy = "lower `distances`, or leave the texture classes out for this region"


class OutsideImageError(CaseError):
    """The region lies outside the image."""

    code = "roi_outside_image"
    default_remedy = "check that mask and image belong together"


class UnreadableError(CaseError):
    """A file cannot be read as an image."""

    code = "unreadable"
    default_remedy = "check the file; NIfTI, NRRD and whatever SimpleITK reads are taken"


class UnknownSettingError(InputError):
    """A setting that this engine does not know."""

    default_remedy = "correct its name, or take it out: no setting is ignored"
