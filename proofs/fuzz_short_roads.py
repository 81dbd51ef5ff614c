"""Roads of a single input: one image and mask, one table, one settings file."""

import csv
import os
import shutil
from functools import cache
from pathlib import Path

import numpy as np

from featurestore.tables import read_frame
from pipelines.cli.features import DEFAULT_SETTINGS
from pipelines.imports.importing import ImportRequest, import_table
from pipelines.pairs import read_pair
from pipelines.params import load_params
from pipelines.radiomics import FastEngine
from pipelines.radiomics.compute import compute
from pipelines.radiomics.fast.reading import open_picture
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.scoring.house import read_house_rules
from pipelines.workspace import Workspace
from proofs.fuzz_base import Place
from proofs.fuzz_readers import NoOtherReaderError, Seen, differences, seen_by_others, seen_volume
from proofs.fuzz_roads import LEFT, WRONG, Ending, bounded, left, tree
from tests.ct_settings import ROOT

VOLUMES = (".nii.gz", ".nii", ".nrrd")


def fresh(sandbox: Path) -> None:
    """Empties the sandbox and turns what would be written elsewhere into it."""
    shutil.rmtree(sandbox, ignore_errors=True)
    for name in ("tmp", "cwd", "study"):
        (sandbox / name).mkdir(parents=True)
    os.environ["TMPDIR"] = str(sandbox / "tmp")
    os.chdir(sandbox / "cwd")


def pair(sandbox: Path, place: Place) -> Ending:
    """Computes features of one image and mask, as `radmill compute` does, and once more by the engine's own reading."""
    ending = Ending()
    image, mask = _pair(place.folder)
    before = tree(place.folder)
    with bounded(ending):
        picture, outline = read_pair(image, mask, "(?i)gtv")
        _compare(place.folder, picture, ending)
        compute(picture, outline, DEFAULT_SETTINGS)
        ending.ending = "read"
    if image.is_file():
        own = Ending()
        with bounded(own):
            _compare_engine(image, own)
            FastEngine(ExtractionSettings.from_mapping({"featureClass": {"firstorder": ["Mean"]}})).execute(image, mask)
        ending.faults += own.faults
    ending.faults += left(sandbox, {"study", "tmp", "cwd"})
    ending.faults += [f"{LEFT}: files changed"] if tree(place.folder) != before else []
    return ending


def table(sandbox: Path, place: Place) -> Ending:
    """Imports a table of features."""
    ending = Ending()
    study = _study(sandbox)
    path = next(path for path in sorted(place.folder.iterdir()) if path.name.startswith("table"))
    before = tree(study.root)
    request = ImportRequest(view="ct", id_column="id", center="east", role="development", label="outcome")
    with bounded(ending):
        import_table(study, path, request)
        ending.ending = "read"
    if ending.ending == "read":
        _compare_table(study, place.folder / "truth.csv", ending)
    elif tree(study.root) != before:
        ending.faults.append(
            f"{LEFT}: {', '.join(sorted(set(tree(study.root)) - set(before))[:3]) or 'a changed file'}"
        )
    ending.faults += left(sandbox, {"study", "tmp", "cwd"})
    return ending


def settings(sandbox: Path, place: Place) -> Ending:
    """Reads a settings file as what its name says."""
    ending = Ending()
    path = next(place.folder.iterdir())
    with bounded(ending):
        match path.name:
            case "params.yaml":
                load_params(path)
            case "rules.yaml":
                read_house_rules(path)
            case _:
                ExtractionSettings.from_file(path).fingerprint()
        ending.ending = "read"
    ending.faults += left(sandbox, {"study", "tmp", "cwd"})
    return ending


def _pair(folder: Path) -> tuple[Path, Path]:
    volumes = {path.name.split(".")[0]: path for path in sorted(folder.iterdir()) if path.name.endswith(VOLUMES)}
    masks = [volumes.get("ct_mask"), folder / "RS", folder / "SEG"]
    mask = next((path for path in masks if path is not None and path.is_file()), folder)
    return volumes.get("ct", folder), mask


def _compare(folder: Path, picture: object, ending: Ending) -> None:
    import SimpleITK as sitk

    assert isinstance(picture, sitk.Image)
    try:
        seen = seen_by_others(folder)
    except NoOtherReaderError as error:
        ending.compared = f"no other reader: {str(error)[:120]}"
        return
    voxels = sitk.GetArrayFromImage(picture)
    found = differences(seen, voxels, picture.GetSpacing(), picture.GetOrigin(), picture.GetDirection())
    ending.compared = "equal" if not found else "different"
    ending.faults += [f"{WRONG}: {text}" for text in found]


def _compare_engine(image: Path, ending: Ending) -> None:
    picture = open_picture(image, "image")
    x, y, z = picture.size
    voxels = picture.load((0, 0, 0), (z, y, x))
    try:
        seen: Seen = seen_volume(image)
    except NoOtherReaderError:
        return
    grid = picture.header
    found = differences(seen, voxels, grid.GetSpacing(), grid.GetOrigin(), grid.GetDirection())
    ending.faults += [f"{WRONG}: engine: {text}" for text in found]


@cache
def _templates() -> dict[str, bytes]:
    template = ROOT / "pipelines" / "template" / "tables.yaml"
    return {"params.yaml": template.read_bytes(), "dvc.yaml": (ROOT / "dvc.yaml").read_bytes()}


def _study(sandbox: Path) -> Workspace:
    for name, data in _templates().items():
        (sandbox / "study" / name).write_bytes(data)
    (sandbox / "study" / "data" / "raw").mkdir(parents=True)
    return Workspace(sandbox / "study")


def _compare_table(study: Workspace, truth: Path, ending: Ending) -> None:
    if not truth.is_file():
        return
    with truth.open(encoding="utf-8", newline="") as handle:
        header, *rows = csv.reader(handle)
    frame = read_frame(study.imported("ct"))
    for name in header[2:]:
        wanted = sorted(float(row[header.index(name)]) for row in rows)
        if name not in frame or not np.array_equal(np.sort(frame[name].to_numpy(float)), wanted):
            ending.faults.append(f"{WRONG}: {name} has other values than the table")
    ending.compared = "equal" if not ending.faults else "different"
