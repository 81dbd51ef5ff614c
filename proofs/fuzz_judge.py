"""How an input ended after its center was read: what `qc` says, and whether other readers see what was stored."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from pipelines.ingest.pseudonyms import case_id
from pipelines.ingest.volume_cases import observer_name
from proofs.fuzz_base import Place
from proofs.fuzz_cells import clinical_differences, listed_files
from proofs.fuzz_outlines import Flags, OtherOutline, outline_differences, outline_seen
from proofs.fuzz_readers import NoOtherReaderError, Seen, differences, seen_by_others, seen_volume
from proofs.fuzz_roads import GOOD, KEY, UNFORESEEN, CenterRun, Ending

_VOLUMES = (".nii.gz", ".nii", ".nrrd")


def judge_patient(run: CenterRun, place: Place) -> Ending:
    """Returns how one bad patient ended, after the center was read."""
    ending = Ending()
    ids = {case_id(KEY, name) for name in place.patients or [place.name]}
    rows = [row for row in run.table("qc") if row["case_id"] in ids]
    spoken = [row for row in rows if row["status"] in ("refused", "failed", "warned")]
    if not rows:
        ending.faults.append(f"{UNFORESEEN}: no row of qc")
    elif any(not (row["code"] and row["remedy"]) for row in spoken):
        ending.faults.append(f"{UNFORESEEN}: a row without code or remedy")
    ending.faults += [f"{UNFORESEEN}: {row['message'][:200]}" for row in rows if row["code"] == "failed"]
    cases = [row for row in run.table("cases") if row["case_id"] in ids]
    codes = sorted({row["code"] for row in rows if row["code"] and row["code"] != "clinical_missing"})
    ending.ending = "read" if cases else ", ".join(codes) or "ok without a case"
    masks = outlines_in(place.folder)
    for row in cases:
        compare_case(run, row, ending, place.folder, masks)
    return ending


def judge_center(run: CenterRun, name: str, ending: Ending) -> None:
    """Compares what was stored of a center whose `clinical.csv` or `cases.csv` is odd."""
    if ending.ending != "read":
        return
    ending.compare("table", lambda: clinical_differences(run.study, run.folder / "clinical.csv", KEY))
    for row in run.table("cases"):
        patient = next((name for name in GOOD if case_id(KEY, name) == row["case_id"]), "")
        if name == "cases.csv":
            _compare_listed(run, row, ending)
        else:
            compare_case(run, row, ending, run.folder / patient, outlines_in(run.folder / patient))


def outlines_in(folder: Path) -> dict[str, Path]:
    """Returns the files of outlines in a patient's folder by observer."""
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        lower = path.name.lower()
        stem = next((lower.removesuffix(suffix) for suffix in _VOLUMES if lower.endswith(suffix)), "")
        if path.name in ("RS", "SEG") or stem == "ct_mask":
            found[""] = path
        elif stem.startswith("ct_mask-"):
            found[observer_name(stem.removeprefix("ct_mask-"))] = path
    return found


def compare_case(run: CenterRun, row: dict[str, Any], ending: Ending, source: Path, masks: dict[str, Path]) -> None:
    """Compares image and mask of a stored case with what other readers see in `source`, a folder or a volume."""
    seen: list[Seen] = []

    def image() -> tuple[list[str], str]:
        seen.append(seen_by_others(source) if source.is_dir() else seen_volume(source))
        return _image_differences(run, row, seen[0]), seen[0].reader

    def mask() -> tuple[list[str], str]:
        if not seen:
            raise NoOtherReaderError("no other reader takes the image")
        other = _outline(masks, row["observer"], seen[0])
        return outline_differences(other, _whole_mask(run, row)), other.reader

    ending.compare("image", image)
    ending.compare("mask", mask)


def _compare_listed(run: CenterRun, row: dict[str, Any], ending: Ending) -> None:
    try:
        images, masks = listed_files(run.folder, lambda patient: case_id(KEY, patient) == row["case_id"])
    except NoOtherReaderError as error:
        reason = str(error)
        ending.compared["image"] = f"no other reader: {reason}"
        return
    named = {str(number): run.folder / name for number, name in enumerate(masks) if name}
    compare_case(run, row, ending, run.folder / images[0], named)


def _image_differences(run: CenterRun, row: dict[str, Any], seen: Seen) -> list[str]:
    size = _size(row)
    if seen.voxels.shape != size:
        return [f"size {size}, others see {seen.voxels.shape}"]
    crop = sitk.GetArrayFromImage(sitk.ReadImage(str(run.study.cases("development") / row["image"])))
    whole = seen.voxels.astype(np.float64).copy()
    whole[_crop(row, crop.shape)] = crop
    numbers = [[float(row[f"{name}_{a}_mm"]) for a in "xyz"] for name in ("spacing", "full_origin")]
    return differences(seen, whole, *numbers, json.loads(row["direction"]))


def _whole_mask(run: CenterRun, row: dict[str, Any]) -> Flags:
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(run.study.cases("development") / row["mask"]))) > 0
    whole = np.zeros(_size(row), np.bool_)
    whole[_crop(row, stored.shape)] = stored
    return whole


def _outline(masks: dict[str, Path], observer: str, seen: Seen) -> OtherOutline:
    """Returns one observer's outline, or what more than half of several have in common."""
    chosen = [masks[observer]] if observer in masks and observer else list(masks.values())
    if not chosen:
        raise NoOtherReaderError("no mask file is known by name")
    others = [outline_seen(path, seen) for path in chosen]
    if len({other.inside.shape for other in others}) > 1:
        raise NoOtherReaderError("masks of several shapes")
    votes = np.sum([other.inside for other in others], axis=0)
    undecided = np.any([other.undecided for other in others], axis=0)
    readers = " and ".join(dict.fromkeys(other.reader for other in others))
    return OtherOutline(inside=2 * votes > len(others), undecided=undecided, reader=readers)


def _size(row: dict[str, Any]) -> tuple[int, int, int]:
    z, y, x = (int(row[f"full_size_{a}"]) for a in "zyx")
    return z, y, x


def _crop(row: dict[str, Any], shape: tuple[int, ...]) -> tuple[slice, ...]:
    lower = [int(row[f"crop_{a}"]) for a in "zyx"]
    return tuple(slice(at, at + n) for at, n in zip(lower, shape, strict=True))
