"""What can be wrong with a case: one class, one code and one remedy per cause.

Messages name slices, positions, sizes and regions, and never a file, a UID or a patient: they end in the `qc` table.
"""

from featurestore.errors import CaseError


class SlicesMissingError(CaseError):
    """Slices are missing inside a series."""

    code = "slices_missing"
    default_remedy = "export the series again with all its slices"


class UnevenSlicesError(CaseError):
    """Slice distances differ and no multiple of one distance explains them."""

    code = "uneven_slices"
    default_remedy = "send an evenly spaced reconstruction, or raise ingest.slice_gap_tolerance with a reason"


class DuplicateSlicesError(CaseError):
    """Two different slices lie at one position."""

    code = "duplicate_slices"
    default_remedy = "keep one reconstruction of the series and remove the other"


class MixedSeriesError(CaseError):
    """Slices of different series, orientations or grids stand in for one phase."""

    code = "mixed_series"
    default_remedy = "put each series under its own SeriesInstanceUID, or narrow phases.<phase>.series_description"


class TruncatedFileError(CaseError):
    """A file ends before its pixels do."""

    code = "truncated_file"
    default_remedy = "copy the file again from where it came; its transfer was cut off"


class GantryTiltError(CaseError):
    """The slices are sheared against their normal."""

    code = "gantry_tilt"
    default_remedy = "send a reconstruction without gantry tilt; correcting it here would interpolate the texture"


class CompressionError(CaseError):
    """The pixels are compressed in a way that no installed plugin decodes."""

    code = "compression"
    default_remedy = "install the plugin named above, or export uncompressed"


class NotGrayError(CaseError):
    """The pixels are colors, or grays that programs disagree about whether to invert."""

    code = "not_gray"
    default_remedy = "export the series with the photometric interpretation MONOCHROME2"


class UnreadableError(CaseError):
    """The file is not what its kind must be."""

    code = "unreadable"
    default_remedy = "open it in a viewer; if it shows there, please report it with this message"


class TooLargeError(CaseError):
    """The image is larger, or becomes larger when unpacked, than any that can be read here."""

    code = "too_large"
    default_remedy = "send the part of the image around the region, or a coarser reconstruction"


class NotVolumeError(CaseError):
    """The image has not exactly three dimensions, or not one number a voxel."""

    code = "not_3d"
    default_remedy = "send one 3D volume per phase, such as one time point of a 4D image"


class NonfiniteVoxelsError(CaseError):
    """The image has voxels that are no number."""

    code = "nonfinite_voxels"
    default_remedy = "export the image again; if the voxels are padding, give them a number outside the body's range"


class NonorthonormalDirectionError(CaseError):
    """The image axes are not perpendicular unit vectors."""

    code = "nonorthonormal_direction"
    default_remedy = "resample the image to perpendicular axes, or raise ingest.direction_tolerance with a reason"


class EmptyMaskError(CaseError):
    """The mask has no voxel inside."""

    code = "empty_mask"
    default_remedy = "outline the region, or put the case aside in cohort.rejected"


class RoiNotFoundError(CaseError):
    """No region of the structure set or segmentation matches the rules."""

    code = "roi_not_found"
    default_remedy = "set ingest.roi.pattern or ingest.roi.number to one of its regions; private/texts/ lists them"


class LabelAbsentError(CaseError):
    """The mask lacks the expected label value."""

    code = "label_absent"
    default_remedy = "set ingest.roi.label to a label found, or to auto"


class LabelAmbiguousError(CaseError):
    """`label: auto` met several labels."""

    code = "label_ambiguous"
    default_remedy = "set ingest.roi.label to the label that is the region"


class NotMaskError(CaseError):
    """The mask file holds something other than whole-numbered labels."""

    code = "not_a_mask"
    default_remedy = "send a mask of whole numbers, 0 outside"


class ContourPlaneError(CaseError):
    """Contours do not lie on the image's slices."""

    code = "contour_plane"
    default_remedy = "send the structure set that was drawn on this series"


class ContourDamagedError(CaseError):
    """A contour's corners are no points in space, or contours contradict each other."""

    code = "contour_damaged"
    default_remedy = "export the structure set again; a contour left out would change the region unseen"


class ContourOffImageError(CaseError):
    """Contours leave the image."""

    code = "contour_off_image"
    default_remedy = "send the whole series that the structure set was drawn on"


class GridMismatchError(CaseError):
    """Image and mask lie on different grids."""

    code = "grid_mismatch"
    default_remedy = "send the mask made on this image, or allow ingest.resample_mask_within_mm with a reason"


class RoiTooSmallError(CaseError):
    """The region has fewer voxels than features need."""

    code = "roi_too_small"
    default_remedy = "check the outline; ingest.minimum_roi_voxels is the limit"


class MaskMissingError(CaseError):
    """There is an image and no mask for it."""

    code = "mask_missing"
    default_remedy = "send the mask, structure set or segmentation of this image"


class ImageMissingError(CaseError):
    """There is a mask and no image for it."""

    code = "image_missing"
    default_remedy = "send the image that the mask belongs to"


class ObserverMissingError(CaseError):
    """The observer whose mask features come from sent none."""

    code = "observer_missing"
    default_remedy = "send that observer's mask, or change ingest.observer_policy"


class PhaseMissingError(CaseError):
    """A required phase was not sent."""

    code = "phase_missing"
    default_remedy = "send the phase; if it was sent, check phases.<phase>.series_description"


class DuplicatePhaseError(CaseError):
    """Two series of one patient match one phase."""

    code = "duplicate_phase"
    default_remedy = "remove one of them, or narrow phases.<phase>.series_description"


class DuplicatePatientError(CaseError):
    """One patient was sent twice."""

    code = "duplicate_patient"
    default_remedy = "remove one copy; if they are two patients, give them two ids"


class BurntInError(CaseError):
    """Slices say that text is burnt into them; the stored part around the region, and its pictures, may show it."""

    code = "burnt_in"
    status = "warned"
    default_remedy = (
        "look at the case in the gallery before you share anything; where a text is seen, have the series sent without "
        "it, or put the case aside in cohort.rejected"
    )


class LabelMissingError(CaseError):
    """The patient has no label; features are computed and evaluation leaves the patient out."""

    code = "label_missing"
    status = "warned"
    default_remedy = "fill the label column of clinical.csv when the label is known"


class ClinicalMissingError(CaseError):
    """The patient has images and no row in `clinical.csv`."""

    code = "clinical_missing"
    status = "warned"
    default_remedy = "add the patient to clinical.csv under the patient_id of the images"


class ClinicalValueError(CaseError):
    """A clinical value is not what its column declares; it is read as missing."""

    code = "clinical_value"
    status = "warned"
    default_remedy = "correct the value in clinical.csv, or the column under ingest.clinical"
