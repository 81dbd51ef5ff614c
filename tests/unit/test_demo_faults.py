"""Every planted fault is really in the files, seen by reading them without radmill's own readers."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.dataset import Dataset

from pipelines.demo import PLANTED, Planted
from pipelines.demo.centers import CENTERS, PHASES, CenterStyle

STYLES = {style.name: style for style in CENTERS}


@pytest.fixture(scope="module")
def headers(demo: Path) -> dict[tuple[str, str], list[Dataset]]:
    """The DICOM objects of each patient who has a fault, without pixels."""
    found: dict[tuple[str, str], list[Dataset]] = {}
    for style in (style for style in CENTERS if style.is_dicom):
        for path in (demo / style.folder).rglob("*"):
            if path.is_file() and path.name != "clinical.csv":
                header = dcmread(path, stop_before_pixels=True)
                found.setdefault((style.name, str(header.PatientID)), []).append(header)
    return found


def _planted(*faults: str) -> Iterator[Planted]:
    return (planted for planted in PLANTED if planted.fault in faults)


def _series(headers: dict[tuple[str, str], list[Dataset]], planted: Planted) -> list[Dataset]:
    style = STYLES[planted.center]
    description = style.descriptions[PHASES.index(planted.phase)]
    return [one for one in headers[planted.center, planted.patient] if one.SeriesDescription == description]


def _clinical(demo: Path, style: CenterStyle) -> pd.DataFrame:
    path = demo / style.folder / "clinical.csv"
    return pd.read_csv(path, dtype=str, encoding=style.encoding, keep_default_na=False).set_index("patient_id")


def test_a_slice_is_missing_inside_the_series(headers: dict[tuple[str, str], list[Dataset]]) -> None:
    for planted in _planted("missing_slice"):
        heights = sorted(float(one.ImagePositionPatient[2]) for one in _series(headers, planted))
        gaps = sorted(b - a for a, b in itertools.pairwise(heights))
        assert len(heights) == STYLES[planted.center].size[2] - 1
        assert gaps[-1] == pytest.approx(2 * gaps[0])


def test_one_file_ends_before_its_pixels(headers: dict[tuple[str, str], list[Dataset]]) -> None:
    for planted in _planted("truncated_file"):
        sizes = {Path(str(one.filename)).stat().st_size for one in _series(headers, planted)}
        lengths = [len(dcmread(one.filename).PixelData) for one in _series(headers, planted)]
        assert len(sizes) > 1
        assert lengths.count(min(lengths)) == 1
        assert min(lengths) < max(lengths)


def test_two_series_match_one_phase(headers: dict[tuple[str, str], list[Dataset]]) -> None:
    for planted in _planted("second_series"):
        series = _series(headers, planted)
        assert len({one.SeriesInstanceUID for one in series}) == 2
        assert len({one.StudyInstanceUID for one in series}) == 1
        pixels = {dcmread(one.filename).PixelData for one in series}
        assert len(pixels) == len(series)


def test_stray_slices_share_the_series_and_not_the_grid(headers: dict[tuple[str, str], list[Dataset]]) -> None:
    for planted in _planted("stray_slices"):
        series = _series(headers, planted)
        assert len({one.SeriesInstanceUID for one in series}) == 1
        assert len({tuple(one.PixelSpacing) for one in series}) == 2


def test_a_patient_was_sent_twice_under_new_uids(headers: dict[tuple[str, str], list[Dataset]]) -> None:
    for planted in _planted("sent_twice"):
        images = [one for one in headers[planted.center, planted.patient] if one.Modality == "CT"]
        assert len({one.StudyInstanceUID for one in images}) == 2
        assert len(images) == 2 * len(PHASES) * STYLES[planted.center].size[2]


def test_masks_are_empty_or_elsewhere_or_carry_another_label(
    demo: Path, headers: dict[tuple[str, str], list[Dataset]]
) -> None:
    for planted in _planted("empty_mask", "other_grid", "wrong_label_value"):
        style = STYLES[planted.center]
        if style.is_dicom:
            continue
        folder = demo / style.folder / planted.patient
        image = sitk.ReadImage(str(folder / f"{planted.phase}.nii.gz"))
        mask = sitk.ReadImage(str(folder / f"{planted.phase}_mask-a.nii.gz"))
        labels = set(sitk.GetArrayFromImage(mask).ravel().tolist())
        expected = {"empty_mask": {0}, "wrong_label_value": {0, 3}, "other_grid": {0, 1}}[planted.fault]
        assert labels == expected
        assert (mask.GetOrigin() != image.GetOrigin()) == (planted.fault == "other_grid")


def test_a_structure_set_has_a_tumor_without_contours(headers: dict[tuple[str, str], list[Dataset]]) -> None:
    for planted in (p for p in _planted("empty_mask") if STYLES[p.center].export == "rtstruct"):
        number = 102 + PHASES.index(planted.phase)
        (rt,) = (one for one in headers[planted.center, planted.patient] if one.SeriesNumber == number)
        assert [("ContourSequence" in item) for item in rt.ROIContourSequence] == [True, False]


def test_a_segmentation_has_wider_voxels_than_its_image(headers: dict[tuple[str, str], list[Dataset]]) -> None:
    for planted in (p for p in _planted("other_grid") if STYLES[p.center].is_dicom):
        number = 102 + PHASES.index(planted.phase)
        (seg,) = (one for one in headers[planted.center, planted.patient] if one.SeriesNumber == number)
        measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        assert float(measures.PixelSpacing[0]) > float(_series(headers, planted)[0].PixelSpacing[0])


def test_a_phase_was_not_sent(headers: dict[tuple[str, str], list[Dataset]]) -> None:
    for planted in _planted("phase_not_sent"):
        assert _series(headers, planted) == []
        assert {one.Modality for one in headers[planted.center, planted.patient]} >= {"CT"}


def test_the_clinical_tables_have_their_faults(demo: Path) -> None:
    tables = {style.name: _clinical(demo, style) for style in CENTERS}
    for planted in _planted("no_label"):
        assert tables[planted.center].loc[planted.patient, "ihc"] == ""
    for planted in _planted("minor"):
        assert tables[planted.center].loc[planted.patient, "age"] == "17"
    for planted in _planted("typing_error"):
        assert tables[planted.center].loc[planted.patient, "sex"] == "male"
    assert "ihc" not in tables["harbor"]


def test_faults_stand_in_every_role() -> None:
    """Protects the promise that scoring and validation also meet dirt."""
    assert {planted.center for planted in PLANTED} == set(STYLES)
    assert len({planted.code for planted in PLANTED if planted.center == "harbor"}) >= 2
    assert len({planted.code for planted in PLANTED if planted.center == "west"}) >= 2
