"""The same patient sent as DICOM with RTSTRUCT and as NIfTI gives the same voxels, and features that differ by nothing
but NIfTI's single-precision geometry."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pipelines.pairs import read_pair
from pipelines.radiomics.reference import PyRadiomicsEngine

SETTINGS = {
    "imageType": {"Original": {}},
    "featureClass": {name: [] for name in ("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")},
    "setting": {"binWidth": 25, "label": 1},
}
SINGLE_PRECISION = 1e-6
"""NIfTI keeps spacing and origin in 32 bits: 24 of mantissa, so some 6e-8, and lengths and moments multiply it."""


@pytest.mark.data
@pytest.mark.parametrize("modality", ["CT", "MR_T1", "PET"])
def test_dicom_and_nifti_of_a_patient_give_the_same_features(test_data: Path, modality: str) -> None:
    folder = test_data / "sts_original" / "STS_002" / modality
    dicom = read_pair(folder / "dicom" / "image", folder / "dicom" / "mask", "GTV_Mass")
    nifti = read_pair(folder / "nifti" / "image.nii.gz", folder / "nifti" / "mask.nii.gz", "")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(dicom[1]), sitk.GetArrayFromImage(nifti[1]))
    settings = {**SETTINGS, "setting": {"binWidth": 0.25 if modality == "PET" else 25, "label": 1}}
    engine = PyRadiomicsEngine(settings)
    first, second = engine.execute(*dicom), engine.execute(*nifti)
    assert first.keys() == second.keys()
    assert len(first) == 107
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=SINGLE_PRECISION, err_msg=name)
    if modality != "PET":  # its stored values are scaled by a slope, in double here and in single precision there
        same = [name for name in first if "_shape_" not in name and first[name] == second[name]]
        assert len(same) == len([name for name in first if "_shape_" not in name and "Total" not in name])
