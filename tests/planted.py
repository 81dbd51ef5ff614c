"""Plants secrets into all that a hospital sends: tags, names of files and folders, tables, headers, pixels."""

import csv
import gzip
import io
import re
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from pydicom import config, dcmread
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from tests.leaks import BIRTH_YEAR, BURNT_IN, DIGITS, MARKER, STUDY_YEAR, Leak

FAULTY = "reader breaks"
"""Stands in the series description of the case whose reader raises what nobody foresaw."""

HOSTILE = "<script>radmill</script>"
"""A name that would be a program in a page that does not escape it."""

_TEXTS = {"AE": 16, "LO": 64, "LT": 200, "SH": 16, "ST": 200, "UC": 200, "UT": 200, "CS": 16}
_TELLING = {  # what decides how a file is read, or leaves by design
    "SpecificCharacterSet", "Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "CodeValue", "PatientID",
    "CodingSchemeDesignator", "PatientSex", "SoftwareVersions", "Units", "SegmentationType", "FrameOfReferenceUID",
    "DirectoryRecordType", "PixelPresentation", "VolumetricProperties", "ImageType", "PixelRepresentation",
    "Modality", "TransferSyntaxUID", "SOPClassUID", "TimezoneOffsetFromUTC", "PhotometricInterpretation",
}  # fmt: skip
_KEPT = {"SeriesDescription", "ROIName", "SegmentLabel"}
_EXCRETORY = (4,)
"""How the series numbers of the phase end that is used; of other phases one patient's are enough."""

_NIFTI_TEXTS = {4: 10, 14: 18, 148: 80, 228: 24, 328: 16}
"""Offsets and lengths of data_type, db_name, descrip, aux_file and intent_name."""


@dataclass
class Planter:
    """Gives every planted thing a text of its own, and the same thing always the same."""

    number: int = 0
    uids: dict[str, str] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)

    def text(self, length: int = 64) -> str:
        """Returns a text that nothing else has."""
        self.number += 1
        return f"{MARKER.title()}{self.number:06d} Jana Müller"[:length].rstrip()

    def date(self, year: int = STUDY_YEAR) -> str:
        """Returns a date as DICOM writes it."""
        self.number += 1
        return f"{year}{self.number % 12 + 1:02d}{self.number % 28 + 1:02d}"

    def uid(self, old: str = "") -> str:
        """Returns what a UID is replaced by; those of the standard stay."""
        if old.startswith("1.2.840.10008."):
            return old
        self.number += 1
        return self.uids.setdefault(old or str(self.number), f"1.2.826.0.1.{DIGITS}.{self.number}")

    def folder(self, patient: str) -> str:
        """Returns the folder above a patient's."""
        return self.folders.setdefault(patient, f"{self.text()} 14.07.{BIRTH_YEAR}")

    def patient(self, old: str) -> str:
        """Returns what a patient is called instead: by a name, or by a number alone."""
        n = len(self.patients)
        name = f"{MARKER.title()}-{n}" if n % 2 else f"{DIGITS}{n:03d}"
        return self.patients.setdefault(old, name)


def plant(center: Path, planter: Planter) -> None:
    """Replaces a center's files by the same with secrets in them, and adds broken ones."""
    fresh = center.with_name(f".planted-{center.name}")
    for path in sorted(center.rglob("*")):
        if path.name == "clinical.csv":
            _write(fresh / path.name, _clinical(path.read_bytes(), planter))
        elif path.name.endswith(".nii.gz"):
            name = f"{planter.folder(path.parent.name)}/{planter.patient(path.parent.name)}/{path.name}"
            _write(fresh / name, _nifti(path, planter))
    _plant_dicom(center, fresh, planter)
    for name, content in _broken(planter):
        _write(fresh / name, content)
    shutil.rmtree(center)
    fresh.rename(center)


def add_labels(center: Path, planter: Planter, column: str) -> None:
    """Lets a hospital's labels come, one of which is a free text."""
    rows = list(csv.reader(io.StringIO((center / "clinical.csv").read_text(encoding="utf-8"))))
    for number, row in enumerate(rows):
        row.append(column if number == 0 else planter.text() if number == 1 else ("0", "3+")[number % 2])
    _write(center / "clinical.csv", _csv(rows))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _clinical(content: bytes, planter: Planter) -> bytes:
    """Adds columns that nobody declared; one declared value is a birth date, another a sentence."""
    text = content.decode("utf-8-sig", "replace")
    rows = list(csv.reader(io.StringIO(text), delimiter=";" if text.split("\n")[0].count(";") else ","))
    header, *patients = rows
    header += [f"Name {planter.text()}", "birth_date", "physician", "notes"]
    for number, row in enumerate(patients):
        row[0] = planter.patient(row[0])
        row += [planter.text(), planter.date(BIRTH_YEAR), planter.text(), f"call {planter.text()}, {DIGITS}"]
        if number == len(patients) - 1:
            row[header.index("age")] = planter.date(BIRTH_YEAR)
            row[header.index("sex")] = planter.text()
        elif number == len(patients) - 2:
            row[header.index("node_status")] = HOSTILE
    return _csv([header, *patients])


def _nifti(path: Path, planter: Planter) -> bytes:
    """Fills the texts of the header, adds a comment, burns a name into images, and names the packed file."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    for offset, length in _NIFTI_TEXTS.items():
        content[offset : offset + length] = planter.text().encode("latin-1")[:length].ljust(length, b"\0")
    if "_mask" not in path.name:
        content[352 : 352 + 2 * len(BURNT_IN)] = BURNT_IN.tobytes()
    comment = planter.text().encode().ljust(40, b"\0")
    content[108:112] = np.float32(352 + 48).tobytes()
    content[348:352] = b"\1\0\0\0" + (48).to_bytes(4, "little") + (6).to_bytes(4, "little") + comment
    packed = io.BytesIO()
    with gzip.GzipFile(f"{planter.text()}.nii", "wb", fileobj=packed) as file:
        file.write(bytes(content))
    return packed.getvalue()


def _plant_dicom(center: Path, fresh: Path, planter: Planter) -> None:
    seen: set[str] = set()
    names: dict[str, tuple[str, str]] = {}
    for path in (path for path in sorted(center.rglob("*")) if path.is_file() and path.suffix not in (".csv", ".gz")):
        with config.disable_value_validation():
            dataset = dcmread(path)
            old = str(dataset.PatientID)
            if len(names) > 1 and old != next(iter(names)) and int(dataset.SeriesNumber) % 10 not in _EXCRETORY:
                continue
            if old not in names:
                names[old] = (planter.text(), planter.date(BIRTH_YEAR))
            is_first = str(dataset.SeriesInstanceUID) not in seen
            seen.add(str(dataset.SeriesInstanceUID))
            _fill(dataset, planter, names[old], is_first=is_first)
            folder = f"{names[old][0]}, {names[old][1]}/{dataset.SeriesInstanceUID}"
            target = fresh / folder / f"{planter.text(14)} {dataset.SOPInstanceUID}.dcm"
            target.parent.mkdir(parents=True, exist_ok=True)
            dataset.save_as(target, enforce_file_format=True)


def _fill(dataset: FileDataset, planter: Planter, person: tuple[str, str], *, is_first: bool) -> None:
    old = str(dataset.PatientID)
    _replace(dataset, planter)
    dataset.PatientName = f"{person[0].replace(' ', '^')}"
    dataset.PatientBirthDate, dataset.PatientID = person[1], planter.patient(old)
    if dataset.get("Modality") == "CT" and dataset.InstanceNumber == 1:  # the corner of a volume is in no crop
        stored = (BURNT_IN.astype(np.int32) - int(dataset.RescaleIntercept)).astype("<u2").tobytes()
        dataset.PixelData = stored + dataset.PixelData[len(stored) :]
    if len(planter.patients) % 3 == 0:
        dataset.ManufacturerModelName = f"Model of {person[0].split()[0]}"
        dataset.ConvolutionKernel = f"B30f {planter.patient(old)}"
    if list(planter.patients).index(old) % 5 == 3 and dataset.get("Modality") == "CT":
        dataset.SeriesDescription = f"{dataset.SeriesDescription} {FAULTY}"
    if is_first:
        _add_every_tag(dataset, planter)
    dataset.preamble = planter.text().encode().ljust(128, b"\0")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.SourceApplicationEntityTitle = planter.text(16)


def _replace(dataset: Dataset, planter: Planter) -> None:
    for tag in list(dataset.keys()):
        if tag in (0x7FE00010, 0x30060050):  # pixels, contour points
            continue
        element = dataset[tag]
        if element.VR == "SQ":
            for item in element.value:
                _replace(item, planter)
        elif element.VR == "UI" and element.value and not isinstance(element.value, list):
            element.value = planter.uid(str(element.value))
        elif element.VR == "DA":
            element.value = planter.date()
        elif element.keyword in _KEPT:
            element.value = f"{element.value} {planter.text(40)}"
        elif element.VR == "PN" or (element.VR in _TEXTS and element.VR != "CS" and element.keyword not in _TELLING):
            element.value = planter.text(_TEXTS.get(element.VR, 64))


def _add_every_tag(dataset: Dataset, planter: Planter) -> None:
    """Adds every text, name, date, time and UID that the standard knows and the file has not, and private ones."""
    for tag, (kind, _, _, _, keyword) in DicomDictionary.items():
        if tag in dataset or tag >> 16 in (0x0000, 0x0002, 0x0004) or tag >> 16 >= 0x5400 or keyword in _TELLING:
            continue
        if value := _value(kind, planter):
            dataset.add_new(tag, kind, value)
    for group in (0x0009, 0x0099):
        block = dataset.private_block(group, f"{MARKER.upper()} PRIVATE", create=True)
        block.add_new(1, "LO", planter.text())
        block.add_new(2, "UN", planter.text().encode("utf-16-le"))
        block.add_new(3, "SQ", Sequence([_nested(planter)]))
    dataset.OtherPatientIDsSequence = Sequence([_nested(planter)])
    dataset.RequestAttributesSequence = Sequence([_nested(planter)])
    dataset.BurnedInAnnotation = "YES"


def _value(kind: str, planter: Planter) -> str:
    match kind:
        case "DA":
            return planter.date()
        case "DT":
            return f"{planter.date()}120000"
        case "UI":
            return planter.uid()
        case "PN":
            return planter.text().replace(" ", "^")
        case "UR":
            return f"https://{MARKER}.example/{planter.number}"
        case _ if kind in _TEXTS:
            text = planter.text(_TEXTS[kind])
            return text.upper() if kind == "CS" else text
    return ""


def _nested(planter: Planter) -> Dataset:
    inner = Dataset()
    inner.PatientName, inner.PatientID, inner.PatientBirthDate = planter.text(), planter.text(), planter.date()
    inner.RequestedProcedureDescription = planter.text()
    outer = Dataset()
    outer.PatientComments, outer.OtherPatientIDsSequence = planter.text(), Sequence([inner])
    return outer


def _broken(planter: Planter) -> Iterator[tuple[str, bytes]]:
    """Yields files at fault whose content, name and folder tell secrets, each of them of nobody or of a patient."""
    for suffix in ("dcm", "nii.gz", "nrrd", "txt"):
        yield f"{planter.text()}/{planter.text()}.{suffix}", f"{planter.text()} is none".encode()
    yield f"{planter.text()}.dcm", b"\0" * 128 + b"DICM\x02\x00" + planter.text().encode()
    who = planter.text()
    yield f"{who}/excretory.nii.gz", gzip.compress(planter.text().encode() * 40)
    yield f"{who}/excretory_mask.nii.gz", gzip.compress(planter.text().encode() * 40)[:-9]
    yield f"{planter.text()}/excretory_mask-a.nrrd", f"NRRD0004\n# {planter.text()}\ntype: {planter.text()}\n".encode()


def break_masks(center: Path) -> None:
    """Damages one structure set or segmentation of each kind of fault: cut off, without numbers, of another region."""
    masks = [path for path in sorted(center.rglob("*.dcm")) if _modality(path) in ("RTSTRUCT", "SEG")]
    for number, path in enumerate(masks[:3]):
        if number == 0:
            path.write_bytes(path.read_bytes()[:-200])
            continue
        with config.disable_value_validation():
            dataset = dcmread(path)
            for item in dataset.get("StructureSetROISequence", dataset.get("SegmentSequence", ())):
                name = "ROIName" if "ROIName" in item else "SegmentLabel"
                setattr(item, name, re.sub("(?i)tumou?r|gtv", "lesion", str(item.get(name))))
                if number == 2 and "ROINumber" in item:
                    item.add_new(0x30060022, "LO", f"{MARKER}{number}")
            dataset.save_as(path)


def _modality(path: Path) -> str:
    try:
        with warnings.catch_warnings(action="ignore"):
            return str(dcmread(path, specific_tags=["Modality"], stop_before_pixels=True).get("Modality"))
    except Exception:  # a planted broken file
        return ""


def besides_whole_images(leaks: list[Leak], root: Path) -> list[Leak]:
    """Returns the leaks but for voxels of stored images that reach the corner with the burnt-in name.

    Voxels around a region are what is stored; a region near three edges of a small image leaves nothing out.
    """
    whole: set[str] = set()
    for path in root.rglob("cases/center=*/*.parquet"):
        rows = pd.read_parquet(path)
        if "crop_x" not in rows:
            continue
        at_corner = (rows[["crop_x", "crop_y", "crop_z"]] == 0).all(axis=1)
        whole |= set(rows.loc[at_corner, "image"])
    return [leak for leak in leaks if not (leak.is_burnt_in and any(name in leak.place for name in whole))]
