"""Roads of a single input: one image and mask, one table, one settings file."""

import os
import shutil
from functools import cache
from pathlib import Path

import SimpleITK as sitk

from pipelines.cli.features import DEFAULT_SETTINGS
from pipelines.imports.importing import ImportRequest, import_table
from pipelines.ingest.pseudonyms import load_key
from pipelines.pairs import read_pair
from pipelines.params import load_params
from pipelines.params.plain_yaml import read_plain_yaml
from pipelines.radiomics import FastEngine
from pipelines.radiomics.compute import compute
from pipelines.radiomics.fast.reading import open_picture
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.scoring.house import read_house_rules
from pipelines.workspace import Workspace
from proofs.fuzz_base import Place
from proofs.fuzz_cells import feature_differences, settings_differences
from proofs.fuzz_outlines import outline_differences, outline_seen
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
        _compare(place.folder, picture, outline, mask, ending)
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
        truth = place.folder / "truth.csv"
        key = load_key(study.keys, "east")
        ending.compare("table", lambda: feature_differences(study, truth if truth.is_file() else path, key))
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
    if ending.ending == "read":
        ending.compare("settings", lambda: settings_differences(path, read_plain_yaml(path)))
    ending.faults += left(sandbox, {"study", "tmp", "cwd"})
    return ending


def _pair(folder: Path) -> tuple[Path, Path]:
    volumes = {path.name.split(".")[0]: path for path in sorted(folder.iterdir()) if path.name.endswith(VOLUMES)}
    masks = [volumes.get("ct_mask"), folder / "RS", folder / "SEG"]
    mask = next((path for path in masks if path is not None and path.is_file()), folder)
    return volumes.get("ct", folder), mask


def _compare(folder: Path, picture: sitk.Image, outline: sitk.Image, mask: Path, ending: Ending) -> None:
    seen: list[Seen] = []

    def image() -> tuple[list[str], str]:
        seen.append(seen_by_others(folder))
        voxels = sitk.GetArrayFromImage(picture)
        place = (picture.GetSpacing(), picture.GetOrigin(), picture.GetDirection())
        return differences(seen[0], voxels, *place), seen[0].reader

    def region() -> tuple[list[str], str]:
        voxels = sitk.GetArrayFromImage(outline)
        if mask.name.endswith(VOLUMES):
            other = seen_volume(mask)
            place = (outline.GetSpacing(), outline.GetOrigin(), outline.GetDirection())
            return differences(other, voxels, *place), other.reader
        if not seen:
            raise NoOtherReaderError("no other reader takes the image")
        drawn = outline_seen(mask, seen[0])
        return outline_differences(drawn, voxels > 0), drawn.reader

    ending.compare("image", image)
    ending.compare("mask", region)


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
