"""Writes small CT series slice by slice, so that a test can change one tag of one file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

from pipelines.ingest.dicom_series import DicomHeader, read_header

SERIES_UID = generate_uid(entropy_srcs=["series"])
SHAPE = (6, 5)
Change = Callable[[int, FileDataset], None]


def stored(index: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    return np.random.default_rng(index).integers(0, 3000, SHAPE, dtype=np.uint16)


def ct_slice(index: int, spacing_mm: float = 2.5) -> FileDataset:
    """A CT slice of 6 rows and 5 columns; HU = stored − 1024."""
    dataset = blank(CTImageStorage, f"slice {index}")
    dataset.SeriesDescription = "venous"
    dataset.PatientID = " P1 "
    dataset.Manufacturer, dataset.ManufacturerModelName = "ACME", "One"
    dataset.ConvolutionKernel, dataset.KVP = ["B30f", "2"], "120"
    dataset.SliceThickness, dataset.InstanceNumber = "2.5", index + 1
    dataset.ContrastBolusStartTime, dataset.AcquisitionTime = "235950", "000100.5"
    dataset.ImagePositionPatient = [-10, 20, -325 + spacing_mm * index]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.7, 0.8]
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", "-1024"
    set_pixels(dataset, stored(index))
    return dataset


def blank(sop_class: str, name: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name])
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID = SERIES_UID
    dataset.StudyInstanceUID = dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=["study"])
    dataset.Modality = "CT"
    return dataset


def set_pixels(dataset: FileDataset, pixels: np.ndarray[Any, Any]) -> None:
    *_, dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = pixels.astype("<u2").tobytes()


def written(folder: Path, indices: list[int], change: Change = lambda _, __: None) -> list[DicomHeader]:
    """Writes slices and returns their headers, in the order of random file names."""
    folder.mkdir(exist_ok=True)
    for index in indices:
        dataset = ct_slice(index)
        change(index, dataset)
        dataset.save_as(folder / f"{hash((index * 7919) % 101)}-{index}.dcm", enforce_file_format=True)
    return headers_of(folder)


def headers_of(folder: Path) -> list[DicomHeader]:
    headers = [read_header(path) for path in sorted(folder.iterdir())]
    return [header for header in headers if header is not None]


def itk_series(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def largest_difference(first: sitk.Image, second: sitk.Image) -> float:
    arrays = [sitk.GetArrayFromImage(image).astype(np.float64) for image in (first, second)]
    return float(np.abs(arrays[0] - arrays[1]).max())


def assert_same_grid(first: sitk.Image, second: sitk.Image, tolerance: float) -> None:
    assert first.GetSize() == second.GetSize()
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(first, name)(), getattr(second, name)(), atol=tolerance, rtol=0)
