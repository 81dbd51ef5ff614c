"""The fast engine equals PyRadiomics on real images, in files and in memory.

`RADMILL_ENGINE_PATIENTS=20` compares as many patients of the sarcoma cohort; the quick suite takes two.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from featurestore.errors import FaultError
from pipelines.images.files import write_image
from pipelines.radiomics import FastEngine
from pipelines.radiomics.agreement import disagreements, relative_differences

N_PATIENTS = int(os.environ.get("RADMILL_ENGINE_PATIENTS", "2"))
CLASSES = dict.fromkeys(["firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm", "shape"])
FILTERS = {"Original": {}, "Wavelet": {}, "LoG": {"sigma": [1.0, 3.0]}, "Gradient": {}}
SCALED = {"Square": {}, "SquareRoot": {}, "Logarithm": {}, "Exponential": {}}
VARIANTS = {
    "plain": {},
    "normalized": {"normalize": True, "normalizeScale": 100.0, "removeOutliers": 3.0, "binWidth": 5.0},
    "resampled": {"resampledPixelSpacing": [2.0, 2.0, 2.0]},
    "resampled normalized": {
        "resampledPixelSpacing": [1.0, 1.0, 1.0],
        "normalize": True,
        "normalizeScale": 100.0,
        "interpolator": "sitkLinear",
    },
    "resegmented": {"resegmentRange": [-3.0, 3.0], "resegmentMode": "sigma"},
    "precropped": {"preCrop": True, "padDistance": 7},
    "weighted": {"weightingNorm": "euclidean", "distances": [1, 2], "gldm_a": 1, "symmetricalGLCM": False},
}


def settings(setting: dict[str, Any], image_types: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"imageType": image_types or {**FILTERS, **SCALED}, "featureClass": CLASSES, "setting": setting}


def reference(content: dict[str, Any]) -> Any:
    module = pytest.importorskip("pipelines.radiomics.reference", reason="PyRadiomics is not installed")
    return module.PyRadiomicsEngine(content)


@pytest.mark.data
@pytest.mark.parametrize(
    ("case", "variant"),
    [*(("breast1", variant) for variant in VARIANTS), *(("brain1", variant) for variant in ("plain", "resampled"))],
)
def test_pyradiomicss_own_cases_agree_on_every_image_type(test_data: Path, case: str, variant: str) -> None:
    content = settings(VARIANTS[variant])
    image, mask = (test_data / "pyradiomics" / f"{case}_{kind}.nrrd" for kind in ("image", "label"))
    expected = reference(content).execute(sitk.ReadImage(str(image)), sitk.ReadImage(str(mask)))
    assert not disagreements(expected, FastEngine(content).execute(image, mask))


@pytest.mark.data
def test_sarcomas_agree_in_ct_pet_and_mr(test_data: Path) -> None:
    content = settings({"binCount": 32}, FILTERS)
    engine, stock = FastEngine(content), reference(content)
    patients = sorted(folder for folder in (test_data / "sts_cohort").iterdir() if folder.is_dir())
    for patient in patients[:N_PATIENTS]:
        for modality in ("CT", "PET", "MR_T1"):
            image, mask = patient / f"{modality}.nii.gz", patient / f"{modality}_mask.nii.gz"
            expected = stock.execute(sitk.ReadImage(str(image)), sitk.ReadImage(str(mask)))
            assert not disagreements(expected, engine.execute(image, mask)), (patient.name, modality)


@pytest.mark.data
def test_the_same_case_gives_the_same_bytes_from_files_and_memory(test_data: Path, tmp_path: Path) -> None:
    image, mask = (test_data / "sts_cohort" / "STS_002" / name for name in ("MR_T1.nii.gz", "MR_T1_mask.nii.gz"))
    engine = FastEngine(settings({}))
    first = engine.execute(image, mask)
    held = sitk.ReadImage(str(image)), sitk.ReadImage(str(mask))
    plain = tmp_path / "image.nii"
    sitk.WriteImage(held[0], str(plain))
    write_image(tmp_path / "mask.nii.gz", held[1])
    for again in (engine.execute(image, mask), engine.execute(*held), engine.execute(plain, tmp_path / "mask.nii.gz")):
        assert np.array(list(again.values())).tobytes() == np.array(list(first.values())).tobytes()


def test_names_are_those_of_the_catalogue_and_diagnostics_come_on_request() -> None:
    rng = np.random.default_rng(5)
    image = sitk.GetImageFromArray(rng.normal(0, 60, (20, 22, 24)).astype("int16"))
    mask = sitk.GetImageFromArray((rng.random((20, 22, 24)) < 0.5).astype("uint8") * 3)
    engine = FastEngine(settings({"resampledPixelSpacing": [2.0, 2.0, 2.0]}))
    plain = engine.execute(image, mask, label=3)
    assert tuple(plain) == engine.names()
    told = engine.execute(image, mask, label=3, diagnostics=True)
    assert [name for name in told if not name.startswith("diagnostics_")] == list(plain)
    assert told["diagnostics_Mask-original_VoxelNum"] == int((sitk.GetArrayFromImage(mask) == 3).sum())
    assert told["diagnostics_Image-original_Hash"] == sitk.Hash(image)


def test_a_channel_of_a_vector_mask_is_a_mask() -> None:
    rng = np.random.default_rng(6)
    image = sitk.GetImageFromArray(rng.normal(0, 60, (8, 9, 10)))
    masks = [sitk.GetImageFromArray((rng.random((8, 9, 10)) < share).astype("uint8")) for share in (0.2, 0.7)]
    engine = FastEngine(settings({"label_channel": 1}, {"Original": {}}))
    assert engine.execute(image, sitk.Compose(masks)) == engine.execute(image, masks[1])


def test_a_reference_without_values_is_no_agreement() -> None:
    with pytest.raises(FaultError, match="no features"):
        relative_differences({}, {})
    with pytest.raises(FaultError, match="differ"):
        relative_differences({"a": 1.0}, {"b": 1.0})
    assert disagreements({"a": float("nan")}, {"a": 0.0})
