"""The gallery: every case that was sent is there, with its outline where there is one, and nobody's name."""

import re

import numpy as np
import pytest
import SimpleITK as sitk

from pipelines.reporting import gallery as pages
from pipelines.reporting.gallery import gallery
from pipelines.reporting.gallery_cases import patients_of
from pipelines.reporting.gallery_pictures import case_picture, edge_path
from pipelines.workspace import Workspace
from tests.page_structure import faults


@pytest.fixture
def sent(cohort):  # type: ignore[no-untyped-def]
    """Two patients with two phases each, one of whose masks is empty."""
    cohort.nifti("alpha", "P-0001")
    folder = cohort.nifti("alpha", "P-0002")
    empty = np.zeros((12, 20, 24), np.uint8)
    cohort.write_volume(folder / "mr_mask.nii.gz", empty)
    cohort.run()
    return cohort


def page(workspace: Workspace) -> str:
    return (workspace.reports / "gallery.html").read_text(encoding="utf-8")


def test_every_case_is_shown_with_its_status_and_remedy(sent) -> None:
    summary = gallery(sent.workspace, sent.params)
    assert (summary.patients, summary.pictures, summary.to_look_at) == (2, 3, 1)
    text = page(sent.workspace)
    assert text.count("data:image/webp;base64,") == 3
    for words in (*set(sent.table("qc")["case_id"]), "empty_mask", "outline the region, or put the case aside"):
        assert words in text


def test_gallery_is_accessible_and_names_nobody(sent) -> None:
    gallery(sent.workspace, sent.params)
    assert faults(sent.workspace.reports / "gallery.html") == []
    assert not re.search(r"P-000\d|Hrdlicka", page(sent.workspace))


def test_same_cases_give_the_same_bytes(sent) -> None:
    gallery(sent.workspace, sent.params)
    first = page(sent.workspace)
    gallery(sent.workspace, sent.params)
    assert page(sent.workspace) == first


def test_a_case_id_from_the_gallery_puts_a_case_aside(sent) -> None:
    """The page knows no patient_id, so the table of rejections takes what the page shows."""
    case_id = sent.table("cases")["case_id"].iloc[0]
    sent.settings["cohort"]["rejected"] = "rejected.csv"
    sent.save()
    table = sent.root / "rejected.csv"
    table.write_text(f"center,patient_id,phase,reason\nalpha,{case_id},mr,outline leaves the tumor\n")
    sent.run()
    excluded = sent.table("qc").query("status == 'excluded'")
    assert excluded[["case_id", "phase", "message"]].to_numpy().tolist() == [
        [case_id, "mr", "outline leaves the tumor"]
    ]
    gallery(sent.workspace, sent.params)
    assert "has-excluded" in page(sent.workspace)


def test_a_lost_image_is_one_lost_image(sent) -> None:
    stored = sorted(sent.workspace.cases("development").rglob("*_image.nii.gz"))
    stored[0].write_bytes(b"nothing")
    summary = gallery(sent.workspace, sent.params)
    assert (summary.pictures, summary.lost) == (2, 1)
    assert "the stored image cannot be read" in page(sent.workspace)


def test_many_cases_get_pages_by_center(sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PICTURES_A_PAGE", 2)
    monkeypatch.setattr(pages, "PATIENTS_A_PAGE", 1)
    gallery(sent.workspace, sent.params)
    folder = sent.workspace.reports / "gallery"
    written = sorted(path.name for path in folder.iterdir())
    assert written == ["alpha-1.html", "alpha-2.html"]
    assert all(faults(folder / name) == [] for name in written)
    assert 'href="gallery/alpha-1.html"' in page(sent.workspace)
    assert "data:image" not in page(sent.workspace)
    monkeypatch.undo()
    gallery(sent.workspace, sent.params)
    assert list(folder.iterdir()) == []


def test_study_without_images_has_a_gallery_that_says_so(cohort) -> None:
    gallery(cohort.workspace, cohort.params)
    assert "nothing was read yet" in page(cohort.workspace)
    assert faults(cohort.workspace.reports / "gallery.html") == []


def test_outline_runs_along_the_edges_of_voxels() -> None:
    """A 2 x 2 square: four runs of two; a hole has an outline of its own."""
    inside = np.zeros((4, 5), np.bool_)
    inside[1:3, 2:4] = True
    assert edge_path(inside) == "M2 1h2M2 3h2M2 1v2M4 1v2"
    ring = np.ones((3, 3), np.bool_)
    ring[1, 1] = False
    assert sum(int(n) for n in re.findall(r"[hv](\d+)", edge_path(ring))) == 12 + 4


def test_patient_is_shown_as_radiologists_do_however_voxels_are_stored(sent) -> None:
    """An image stored from left to right and back to front shows the same picture as one stored the usual way."""
    rows = sent.table("cases").sort_values(["case_id", "phase"]).head(1).to_dict("records")
    folder = sent.workspace.cases("development")
    usual = case_picture(folder, rows, is_ct=True)
    for kind in ("image", "mask"):
        path = folder / rows[0][kind]
        image = sitk.Flip(sitk.ReadImage(str(path)), (True, True, False))
        sitk.WriteImage(image, str(path))
    turned = case_picture(folder, rows, is_ct=True)
    assert (turned.data, turned.outline) == (usual.data, usual.outline)


def test_further_observers_are_drawn_in_the_same_slice(cohort) -> None:
    folder = cohort.nifti("alpha", "P-0001", phases=("ct",))
    (folder / "ct_mask.nii.gz").rename(folder / "ct_mask-a.nii.gz")
    other = np.zeros((12, 20, 24), np.uint8)
    other[2:7, 7:13, 8:16] = 1
    cohort.write_volume(folder / "ct_mask-b.nii.gz", other)
    cohort.settings["ingest"]["observer_policy"] = "a"
    cohort.save()
    cohort.run()
    patient = next(patients_of(cohort.workspace, "development", ["ct"]))
    (shot,) = patient.shots
    assert shot.picture is not None
    own, further = (
        {tuple(map(int, start)) for start in re.findall(r"M(\d+) (\d+)", path)}
        for path in (shot.picture.outline, shot.picture.others["b"])
    )
    assert min(own) == (min(further)[0] + 1, min(own)[1])
    assert min(y for _, y in own) == min(y for _, y in further) + 1
