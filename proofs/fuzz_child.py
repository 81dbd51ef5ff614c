"""The process that takes the blows: sends inputs down their roads and writes how each ended.

`python -m proofs.fuzz_child FOLDER WORK`: WORK is a JSON file with `seed` and `groups`, lists of numbers of inputs that
go together. Before each group its numbers are written to `current.json`, so that the parent knows whom to blame.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from proofs import (
    fuzz_dicom,
    fuzz_masks,
    fuzz_names,
    fuzz_pydicom,
    fuzz_settings,
    fuzz_short_roads,
    fuzz_tables,
    fuzz_volumes,
)
from proofs.fuzz_base import Generator, Place, dicom_patient, nifti_patient, nrrd_patient
from proofs.fuzz_cells import load_other_readers
from proofs.fuzz_judge import judge_center, judge_patient
from proofs.fuzz_roads import GOOD, CenterRun, Ending, limit_this_process

BOMB_EVERY = 250
GROUP = 8


def mutated_files(place: Place) -> str:
    """Spoils the bytes of one file of a sound patient, in any format."""
    way = place.pick(("rtstruct", "seg", "nii", "nii.gz", "nrrd"))
    files = {
        "rtstruct": lambda: dicom_patient(place.name, place.rng),
        "seg": lambda: dicom_patient(place.name, place.rng, "seg"),
        "nii": lambda: nifti_patient(place.rng, packed=False),
        "nii.gz": lambda: nifti_patient(place.rng),
        "nrrd": lambda: nrrd_patient(place),
    }[way]()
    name = place.pick([*files, *([list(files)[-1]] * 4)])
    files[name] = fuzz_dicom.mutated(place, files[name])
    place.write(files)
    return f"{way}: {name}"


def bombs(place: Place) -> str:
    """Spends a file that is small and becomes huge."""
    return str(place.pick((fuzz_volumes.bomb, fuzz_dicom.deflate_bomb))(place))


PATIENTS: dict[str, Generator] = {
    **fuzz_dicom.KINDS,
    **fuzz_pydicom.KINDS,
    **fuzz_masks.KINDS,
    **fuzz_volumes.KINDS,
    **fuzz_names.KINDS,
    "bytes flipped, cut, added": mutated_files,
}
SHORT: dict[str, Generator] = {**fuzz_tables.TABLES, **fuzz_settings.KINDS}
READ = {**fuzz_dicom.KINDS, "pydicom": fuzz_pydicom.pydicoms_own, **fuzz_masks.KINDS, **fuzz_volumes.KINDS}
KINDS = (*PATIENTS, *fuzz_tables.KINDS, *SHORT, "radmill compute")


def kind_of(number: int) -> str:
    """Returns the kind of an input."""
    return "bombs" if number % BOMB_EVERY == BOMB_EVERY - 1 else KINDS[number % len(KINDS)]


def groups_of(numbers: Sequence[int], alone: set[int]) -> list[list[int]]:
    """Returns which inputs go together: bad patients share a center, everything else is alone."""
    shared = [n for n in numbers if kind_of(n) in PATIENTS and n not in alone]
    rest = [[n] for n in numbers if n not in set(shared)]
    return [*(shared[at : at + GROUP] for at in range(0, len(shared), GROUP)), *rest]


def main(folder: Path, todo: Path) -> None:
    """Works through the groups."""
    content = json.loads(todo.read_text(encoding="utf-8"))
    load_other_readers()
    limit_this_process()
    for group in content["groups"]:
        (folder / "current.json").write_text(json.dumps(group), encoding="utf-8")
        for number, told, ending in _group(folder, content["seed"], group):
            line = {"n": number, "kind": kind_of(number), "what": told, **vars(ending)}
            with (folder / "results.jsonl").open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(line) + "\n")


def _group(folder: Path, seed: int, group: Sequence[int]) -> list[tuple[int, str, Ending]]:
    if kind_of(group[0]) in PATIENTS or kind_of(group[0]) == "bombs":
        return _patients(folder, seed, group)
    return [_single(folder, seed, group[0])]


def _patients(folder: Path, seed: int, group: Sequence[int]) -> list[tuple[int, str, Ending]]:
    run = CenterRun(folder / "sandbox")
    run.hurt(all_there=False)  # reads the sound patients alone, once
    run.prepare()
    told = []
    for number in group:
        name = f"B-{number:05d}"
        run.places.append(
            Place(run.folder / name, name, np.random.default_rng([seed, number]), turn=number // len(KINDS))
        )
        make = {**PATIENTS, "bombs": bombs}[kind_of(number)]
        told.append(make(run.places[-1]))
    run.clinical()
    whole = Ending()
    run.run(whole)
    whole.faults += run.hurt(all_there=True)
    if whole.ending != "read" or whole.faults:
        if len(group) > 1:
            return [result for number in group for result in _patients(folder, seed, [number])]
        if whole.ending.startswith("exit 2"):
            whole.faults.append(f"others hurt: one patient stopped the center: {whole.ending}")
        return [(group[0], told[0], whole)]
    return [(n, t, judge_patient(run, p)) for n, t, p in zip(group, told, run.places, strict=True)]


def _single(folder: Path, seed: int, number: int) -> tuple[int, str, Ending]:
    kind, rng = kind_of(number), np.random.default_rng([seed, number])
    sandbox = folder / "sandbox"
    if kind in fuzz_tables.KINDS:
        run = CenterRun(sandbox)
        run.hurt(all_there=False)
        run.prepare()
        run.clinical()
        told = fuzz_tables.KINDS[kind](Place(run.folder, "", rng, patients=list(GOOD)))
        ending = Ending()
        run.run(ending)
        ending.faults += run.hurt(all_there=False)
        ending.faults += [f"unforeseen: {row['message']}" for row in run.table("qc") if row["code"] == "failed"]
        judge_center(run, kind, ending)
        return number, told, ending
    fuzz_short_roads.fresh(sandbox)
    place = Place(sandbox / "study" / "P", "P", rng, turn=number // len(KINDS))
    if kind == "radmill compute":
        told = place.pick(list(READ.values()))(place)
        return number, told, fuzz_short_roads.pair(sandbox, place)
    place.folder = folder / "input"
    for path in place.folder.glob("*"):
        path.unlink()
    told = SHORT[kind](place)
    road = fuzz_short_roads.settings if kind == "settings" else fuzz_short_roads.table
    return number, told, road(sandbox, place)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
