"""The demo's files, read by programs that nobody here wrote, are the scenes that were meant."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from highdicom.seg import segread
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray
from pydicom import config, dcmread
from pydicom.dataset import Dataset

from pipelines.demo import PLANTED, DemoExistsError, DemoSizeError, write_demo
from pipelines.demo.centers import CENTERS, EAST, HARBOR, NORTH, PHASES, SOUTH, WEST, CenterStyle
from pipelines.demo.ct_series import Study
from pipelines.demo.outlines import outlines
from pipelines.demo.patients import patient_id, patients_of
from pipelines.demo.scene import Scene, draw, grid_of
from pipelines.images.grid import Grid

SEED = 20240501
N_PATIENTS = 6
DICOM_STYLES = [style for style in CENTERS if style.is_dicom]


@pytest.fixture(scope="module")
def objects(demo: Path) -> dict[str, list[Dataset]]:
    """All DICOM objects of each center without pixels, read with every value checked."""
    config.settings.reading_validation_mode = config.RAISE
    try:
        return {
            style.name: [dcmread(path, stop_before_pixels=True) for path in _files(demo / style.folder)]
            for style in DICOM_STYLES
        }
    finally:
        config.settings.reading_validation_mode = config.WARN


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "clinical.csv")


def _study(style: CenterStyle, index: int) -> Study:
    return Study(style=style, patient=list(patients_of(style, N_PATIENTS, SEED, 1.0))[index], seed=SEED)


def _scenes(style: CenterStyle, index: int) -> dict[str, Scene]:
    return draw(style, _study(style, index).patient, SEED, is_hollow=index == 5, has_second=index == 0)


def _of_series(objects: list[Dataset], uid: str) -> list[Dataset]:
    return [one for one in objects if uid == one.SeriesInstanceUID]


def _masks_of(objects: list[Dataset], uid: str) -> Callable[[str], list[Dataset]]:
    return lambda modality: [one for one in objects if one.Modality == modality and uid in str(one)]


@pytest.mark.parametrize("style", DICOM_STYLES, ids=lambda style: style.name)
@pytest.mark.parametrize("index", [0, 5])
def test_simpleitk_reads_the_voxels_and_the_grid_that_were_meant(
    demo: Path, objects: dict[str, list[Dataset]], style: CenterStyle, index: int
) -> None:
    study, scenes = _study(style, index), _scenes(style, index)
    for number, phase in enumerate(PHASES, start=2):
        uid = study.uid("series", number)
        folders = {Path(str(one.filename)).parent for one in _of_series(objects[style.name], uid)}
        assert len(folders) == 1
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folders.pop()), str(uid))
        image = sitk.ReadImage(names)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), scenes[phase].hu)
        seen, meant = Grid.of(image), scenes[phase].grid
        assert seen.size == meant.size
        for name in ("spacing_mm", "origin_mm", "direction"):
            np.testing.assert_allclose(getattr(seen, name), getattr(meant, name), atol=1e-6)


@pytest.mark.parametrize("style", [NORTH, WEST], ids=lambda style: style.name)
@pytest.mark.parametrize("index", [0, 5])
def test_contours_filled_by_matplotlib_are_the_region(
    objects: dict[str, list[Dataset]], style: CenterStyle, index: int
) -> None:
    scenes, study = _scenes(style, index), _study(style, index)
    for number, phase in enumerate(PHASES, start=102):
        (rt,) = _of_series(objects[style.name], study.uid("series", number))
        names = {roi.ROINumber: roi.ROIName for roi in rt.StructureSetROISequence}
        filled = {names[item.ReferencedROINumber]: _filled(item, scenes[phase].grid) for item in rt.ROIContourSequence}
        tumors = [mask for name, mask in filled.items() if name in style.tumor_names]
        assert len(tumors) == len(scenes[phase].lesions) == (2 if index == 0 else 1)
        np.testing.assert_array_equal(np.logical_or.reduce(tumors), scenes[phase].tumor)
        np.testing.assert_array_equal(filled["Bladder"], scenes[phase].bladder)


def _filled(item: Dataset, grid: Grid) -> NDArray[np.bool_]:
    """Fills contours by the even-odd rule, with matplotlib's own test of points in polygons."""
    x, y, z = grid.size
    filled = np.zeros((z, y, x), dtype=bool)
    columns, rows = np.meshgrid(np.arange(x), np.arange(y))
    centers = np.column_stack([columns.ravel(), rows.ravel()])
    for contour in item.ContourSequence:
        points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
        index = (points - grid.origin_mm) @ grid.matrix() / grid.spacing_mm
        plane = int(np.rint(index[0, 2]))
        np.testing.assert_allclose(index[:, 2], plane, atol=1e-3)
        filled[plane] ^= Polygon(index[:, :2]).contains_points(centers).reshape(y, x)
    return filled


def test_a_contour_has_a_hole(objects: dict[str, list[Dataset]]) -> None:
    """Protects the case that readers of structure sets most often get wrong."""
    for style in (NORTH, WEST):
        (rt,) = _of_series(objects[style.name], _study(style, 5).uid("series", 102))
        tumor = next(roi.ROINumber for roi in rt.StructureSetROISequence if roi.ROIName == style.tumor_names[0])
        contours = next(i for i in rt.ROIContourSequence if i.ReferencedROINumber == tumor).ContourSequence
        planes = [contour.ContourData[2] for contour in contours]
        assert len(planes) > len(set(planes))


@pytest.mark.parametrize("style", [EAST, HARBOR], ids=lambda style: style.name)
@pytest.mark.parametrize("index", [0, 5])
def test_highdicom_reads_the_segments_that_were_meant(
    objects: dict[str, list[Dataset]], style: CenterStyle, index: int
) -> None:
    scenes, study = _scenes(style, index), _study(style, index)
    for number, phase in enumerate(PHASES, start=102):
        (header,) = _of_series(objects[style.name], study.uid("series", number))
        seg = segread(header.filename)
        assert seg.segmentation_type.value == ("BINARY" if style is EAST else "FRACTIONAL")
        labels = {seg.get_segment_description(n).segment_label: n for n in seg.segment_numbers}
        tumors = [n for label, n in labels.items() if label in style.tumor_names]
        images = [image.SOPInstanceUID for image in _of_series(objects[style.name], study.uid("series", number - 100))]
        images.sort(key=lambda uid: next(o.InstanceNumber for o in objects[style.name] if o.SOPInstanceUID == uid))
        voxels = seg.get_pixels_by_source_instance(images, segment_numbers=tumors, assert_missing_frames_are_empty=True)
        np.testing.assert_array_equal((voxels >= 0.5).any(axis=-1), scenes[phase].tumor)


def test_nifti_has_both_readers(demo: Path) -> None:
    scenes = _scenes(SOUTH, 5)
    folder = demo / SOUTH.folder / patient_id(SOUTH, 5)
    for phase in PHASES:
        image, a, b = (sitk.ReadImage(str(folder / f"{phase}{end}.nii.gz")) for end in ("", "_mask-a", "_mask-b"))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), scenes[phase].hu)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(a), scenes[phase].tumor)
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(a, b)
        assert 0.8 < overlap.GetDiceCoefficient() < 1.0
        np.testing.assert_allclose(image.GetSpacing(), SOUTH.spacing_mm, rtol=1e-6)
        np.testing.assert_allclose(image.GetOrigin(), SOUTH.origin_mm, rtol=1e-6)


def test_every_object_has_an_identity_of_its_own_and_refers_to_what_was_sent(objects: dict[str, list[Dataset]]) -> None:
    everything = [one for center in objects.values() for one in center]
    uids = [str(one.SOPInstanceUID) for one in everything]
    assert len(uids) == len(set(uids))
    for one in everything:
        assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
        assert str(one.PatientName).startswith("Fictitious^")
        assert one.PatientBirthDate < one.StudyDate
    series = {str(one.SeriesInstanceUID) for one in everything if one.Modality == "CT"}
    for seg in (one for one in everything if one.Modality == "SEG"):
        assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID in series


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    """Protects against the clock and the chance that libraries put into headers."""
    for name in ("first", "second"):
        write_demo(tmp_path / name, patients=1, seed=3)
    first, second = (
        {p.relative_to(r): p.read_bytes() for p in r.rglob("*") if p.is_file()}
        for r in (tmp_path / "first", tmp_path / "second")
    )
    assert first == second


def test_a_smaller_demo_is_the_beginning_of_a_larger_one(demo: Path, tmp_path: Path) -> None:
    write_demo(tmp_path, patients=1, seed=SEED)
    for path in (p for p in tmp_path.rglob("*") if p.is_file() and p.name != "clinical.csv"):
        assert path.read_bytes() == (demo / path.relative_to(tmp_path)).read_bytes()


def test_existing_data_are_never_overwritten(tmp_path: Path) -> None:
    kept = tmp_path / "data" / "raw" / "west" / "mine.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    with pytest.raises(DemoExistsError, match="data/raw/west"):
        write_demo(tmp_path, patients=1)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [kept]


def test_a_demo_needs_patients(tmp_path: Path) -> None:
    with pytest.raises(DemoSizeError, match="0 a center"):
        write_demo(tmp_path, patients=0)


def test_outlines_of_touching_corners_stay_apart() -> None:
    region = np.zeros((5, 5), dtype=bool)
    region[1, 1] = region[2, 2] = True
    found = sorted(outlines(region), key=lambda outline: outline.min())
    assert [outline.mean(axis=0).tolist() for outline in found] == [[1.0, 1.0], [2.0, 2.0]]


def test_planted_faults_name_patients_that_exist() -> None:
    ids = {(style.name, patient_id(style, index)) for style in CENTERS for index in range(N_PATIENTS)}
    assert {(planted.center, planted.patient) for planted in PLANTED} <= ids
    assert len({(p.center, p.patient, p.phase) for p in PLANTED}) == len(PLANTED)


def test_grids_of_the_centers_are_right_handed() -> None:
    for style in CENTERS:
        assert np.linalg.det(grid_of(style).matrix()) == pytest.approx(1.0)


def test_deliveries_together_are_the_hospital_and_labels_come_last(tmp_path: Path) -> None:
    """Copied one after the other they give the bytes of a demo at once; the label is in the last table alone."""
    write_demo(tmp_path / "at_once", patients=2)
    write_demo(tmp_path / "by_bit", patients=2, deliveries=2)
    sent = tmp_path / "by_bit" / "deliveries" / "harbor"
    assert sorted(path.name for path in sent.iterdir()) == ["1", "2", "labels"]
    assert not (tmp_path / "by_bit" / "incoming").exists()
    received = tmp_path / "received"
    for number in ("1", "2"):
        shutil.copytree(sent / number, received, dirs_exist_ok=True)
    at_once = tmp_path / "at_once" / "incoming" / "harbor"
    assert contents_of(received) == contents_of(at_once)
    assert len((sent / "1" / "clinical.csv").read_text().splitlines()) == 2
    before, after = ((sent / part / "clinical.csv").read_text().splitlines() for part in ("2", "labels"))
    assert "ihc" not in before[0]
    assert "ihc" in after[0]
    assert [row.split(",")[0] for row in before] == [row.split(",")[0] for row in after]


def contents_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
