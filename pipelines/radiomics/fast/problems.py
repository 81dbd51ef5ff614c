"""What can be wrong with a case or its settings, one class a cause."""

from pipelines.radiomics.base import ExtractionError


class NotAVolumeError(ExtractionError):
    """The image is not three-dimensional and scalar."""

    code = "not_3d"
    default_remedy = "give one 3D volume with one value a voxel; split time series and color images first"


class EmptyMaskError(ExtractionError):
    """Nothing is segmented."""

    code = "empty_mask"
    default_remedy = "check the segmentation; a float mask below 1 counts as empty"


class LabelAbsentError(ExtractionError):
    """The label is not in the mask."""

    code = "label_absent"
    default_remedy = "set `label` to one of the labels present"


class GridMismatchError(ExtractionError):
    """Image and mask lie on different grids."""

    code = "grid_mismatch"
    default_remedy = "set `correctMask: true` to resample the mask, or raise `geometryTolerance`"


class RegionTooSmallError(ExtractionError):
    """The region has too few voxels or dimensions."""

    code = "roi_too_small"
    default_remedy = "check the segmentation, or lower minimumROIDimensions or minimumROISize"


class NotFiniteError(ExtractionError):
    """The region holds voxels without a finite value."""

    code = "not_finite"
    default_remedy = "repair the image, or leave those voxels out of the mask"


class FlatImageError(ExtractionError):
    """The whole image has one value, so that nothing can be normalized."""

    code = "flat_image"
    default_remedy = "check the image; without `normalize` a flat image has features"


class TooThinError(ExtractionError):
    """The image has two voxels along an axis, too few for a spline."""

    code = "too_thin"
    default_remedy = "set interpolator to sitkLinear, or do not resample"


class TooLargeError(ExtractionError):
    """The resampled region would need more memory than a case may take."""

    code = "too_large"
    default_remedy = "raise resampledPixelSpacing, or check the spacing of image and mask"


class TooManyBinsError(ExtractionError):
    """The gray levels would need more memory than a case may take."""

    code = "too_many_bins"
    default_remedy = "raise binWidth, or set binCount"


class NoNeighborError(ExtractionError):
    """No voxel can have a neighbor at the distances that are asked for."""

    code = "no_neighbor"
    default_remedy = "lower `distances`, or leave the texture classes out for this region"


class NotFlatError(ExtractionError):
    """Flat shape is asked of a region with several slices."""

    code = "not_flat"
    default_remedy = "leave shape2D out of featureClass, or give a mask of one slice"


class OutsideImageError(ExtractionError):
    """The region lies outside the image."""

    code = "roi_outside_image"
    default_remedy = "check that mask and image belong together"


class UnreadableError(ExtractionError):
    """A file cannot be read as an image."""

    code = "unreadable"
    default_remedy = "check the file; NIfTI, NRRD and whatever SimpleITK reads are taken"
