"""Files and patients with names that break paths, tables and screens."""

import os
from collections.abc import Callable

from proofs.fuzz_base import Bytes, Generator, Place, dicom_patient, nifti_patient

_NAMES = (
    "a\nb", "a\rb", "a\tb", " leading", "trailing ", "..hidden", "...", "-rf", "~", "*", "?", "%s%n", "${HOME}",
    "$(id)",
    "`id`", "a;b", "a|b", "a&b", "'", '"', "<script>alert(1)</script>", "=1+1", "@SUM(A1)", "+1",
    "\u202egpj.exe",
    "\u200b", "\ufeffx", "e\u0301", "\u00e9", "I\u0307", "\u0130", "\ud55c\uae00", "\U0001f600", "nul",
    "con.nii.gz",
    "\x01\x02", "\x1b[31mred", "a\\b", "..\\..\\evil", "%2e%2e%2f", "x" * 200, "\u4e2d" * 60, "a,b", 'a"b,c', "a b  c",
    "0", "00", "1e5", "nan", "None", "true", "2024-01-01", "#comment", "{{x}}", "{x}", "!!python/object", "&a", "*a",
)  # fmt: skip
_IDS = ("../../evil", "/etc/passwd", "a/b", "..", ".", "C:\\x", "x" * 300, "\u202e" * 300, "a\x00b", "a\\b")


def folders(place: Place) -> str:
    """A patient whose folder has a strange name."""
    name = f"{place.pick(_NAMES)}{place.name}"
    if place.rng.random() < 0.3:
        name = f"{place.name}{place.pick(_NAMES)}"
    _rename(place, name)
    place.write(nifti_patient(place.rng))
    return f"folder {name[:40]!r}"


def ids(place: Place) -> str:
    """A DICOM patient whose PatientID is a path, too long, or worse; the folder may be strange as well."""
    name = f"{place.pick((*_IDS, *_NAMES))}{place.name}"
    place.patients = [name.split("\\")[0] if "\\" in name else name]
    place.write(dicom_patient(name, place.rng))
    return f"PatientID {name[:40]!r}"


def files(place: Place) -> str:
    """Image and mask with strange names beside the sound ones, deep folders, links and devices."""
    way = place.pick(("deep", "not UTF-8", "link loop", "link out", "dangling link", "fifo", *_BESIDE, *_BESIDE))
    if way == "deep":
        place.folder = place.folder.parent.joinpath(place.folder.name, *["d" * 100] * 12, place.name)
    sound = nifti_patient(place.rng)
    place.write(sound)
    folder = place.folder
    match way:
        case "not UTF-8":
            folder.joinpath(os.fsdecode(b"ct\xe9\xff.nii.gz")).write_bytes(sound["ct.nii.gz"])
        case "link loop":
            folder.joinpath("again").symlink_to(folder)
        case "link out":
            folder.joinpath("out").symlink_to("/proc/self/environ")
        case "dangling link":
            folder.joinpath("mr.nii.gz").symlink_to("/nowhere")
        case "fifo":
            os.mkfifo(folder / "mr.nii.gz")
        case "deep":
            pass
        case _:
            place.write(_BESIDE[way](place, sound["ct.nii.gz"], sound["ct_mask.nii.gz"]))
    return str(way)


_BESIDE: dict[str, Callable[[Place, bytes, bytes], Bytes]] = {
    "odd file": lambda place, image, _: {f"{place.pick(_NAMES)}.nii.gz": image},
    "empty files": lambda *_: {"IM1": b"", "IM2.dcm": b"", "x.nrrd": b""},
    "hidden": lambda _, image, __: {".ct.nii.gz": image, "~$x.csv": b"x", "a.part": b"x"},
    "folder named as image": lambda *_: {"mr.nii.gz/x.txt": b"x", "clinical.csv/x": b"x"},
    "mask of nobody": lambda _, __, mask: {"late_mask.nii.gz": mask, "_mask.nii.gz": mask, "ct_mask-.nii.gz": mask},
    "long observer": lambda place, _, mask: {f"ct_mask-{place.pick(('x' * 150, chr(0x202E), 'a|b'))}.nii.gz": mask},
    "case folded": lambda _, image, __: {"CT.NII.GZ": image},
}


def _rename(place: Place, name: str) -> None:
    place.folder = place.folder.parent / name
    place.patients = [name]


KINDS: dict[str, Generator] = {"names of folders": folders, "PatientIDs": ids, "files among them": files}
