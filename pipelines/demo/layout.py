"""How hospitals nest and name the files of an export; nothing in these names can be relied on."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
from pydicom.dataset import Dataset

from pipelines.demo.ct_series import Study
from pipelines.demo.patients import random_stream


def placed(study: Study, objects: Sequence[Dataset]) -> Iterator[tuple[PurePosixPath, Dataset]]:
    """Yields every object of an export with its path within the center's folder.

    The order of the names says nothing about the order of the slices.
    """
    shuffle = random_stream(study.seed, study.style, study.patient.index, 3, study.copy).permutation(len(objects))
    for n, one in zip(shuffle.tolist(), objects, strict=True):
        yield _path(study, one, n), one


def _path(study: Study, one: Dataset, n: int) -> PurePosixPath:
    """Returns the path of one object, `n` being a number that is unique in the export."""
    patient, series = study.patient, int(one.SeriesNumber)
    export = patient.index + 500 * study.copy
    match study.style.layout:
        case "pacs":
            return PurePosixPath("DICOM", f"PA{export:06d}", "ST000000", f"SE{series:06d}", f"IM{n:06d}")
        case "uid":
            folder = f"{patient.study_date}_{one.AccessionNumber}"
            return PurePosixPath(folder, str(one.SeriesInstanceUID)[-8:], f"{one.SOPInstanceUID}.dcm")
        case "flat":
            return PurePosixPath(f"{patient.patient_id}-{study.copy}", f"I{n * 3 + 7:07d}.dcm")
        case "media":
            return PurePosixPath("MEDIA", f"{export:04X}", f"{np.uint32(n * 2654435761 % 2**32):08X}")
