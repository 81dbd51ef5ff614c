"""DICOM images as nobody should send them: tags missing, contradictory or absurd, pixels cut or compressed, uneven."""

import io
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from proofs.fuzz_base import (
    AXIAL,
    TILTED,
    Generator,
    Place,
    dicom_bytes,
    dicom_patient,
    opened,
)

TAGS = (
    "SOPClassUID", "SOPInstanceUID", "PatientID", "Modality", "StudyInstanceUID", "SeriesInstanceUID",
    "FrameOfReferenceUID", "SeriesDescription", "InstanceNumber", "ImageType", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "Rows", "Columns", "SamplesPerPixel",
    "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope",
    "RescaleIntercept", "PixelData", "AcquisitionNumber",
)  # fmt: skip
ABSURD: dict[str, tuple[Any, ...]] = {
    "ImagePositionPatient": (["nan"] * 3, ["inf", "0", "0"], ["1e300", "0", "0"], ["0", "0"], "", ["a", "b", "c"]),
    "ImageOrientationPatient": (["0"] * 6, ["nan"] * 6, ["1", "0", "0", "1", "0", "0"], ["2", "0", "0", "0", "2", "0"],
                                ["1", "0", "0", "0.1", "1", "0"], ["1", "0", "0"], ["1e200"] * 6),
    "PixelSpacing": (["0", "0"], ["-1", "1"], ["nan", "nan"], ["1e-30", "1"], ["1e30", "1e30"], ["1"], "x",
                     ["inf", "1"]),
    "SliceThickness": ("0", "-5", "nan", "1e99", "thick"),
    "SpacingBetweenSlices": ("0", "-2.5", "nan", "5", "1e-9"),
    "Rows": (0, 1, 15, 17, 65535),
    "Columns": (0, 1, 15, 17, 65535),
    "SamplesPerPixel": (0, 2, 3, 4),
    "BitsAllocated": (0, 1, 8, 12, 32, 64),
    "BitsStored": (0, 1, 8, 12, 17, 64),
    "HighBit": (0, 7, 11, 31, 255),
    "PixelRepresentation": (0, 2, 255),
    "NumberOfFrames": ("0", "-1", "2", "999999999", "x"),
    "RescaleSlope": ("0", "nan", "inf", "-1", "1e300", "2.5", "x"),
    "RescaleIntercept": ("nan", "-inf", "1e300", "0.3", "x"),
    "GantryDetectorTilt": ("nan", "15", "-400", "x"),
    "InstanceNumber": ("-5", "999999999999", "x", "nan"),
    "KVP": ("nan", "-1", "x"),
    "PatientID": ("", " ", "\x00", "x" * 5000, "..\\..\\evil", "a\nb", "\u202etxt"),
    "SeriesDescription": ("", "x" * 5000, "CT\n<script>", "=cmd|' /C calc'!A0", "CT \u202e", "\x00CT"),
    "PhotometricInterpretation": ("MONOCHROME1", "RGB", "PALETTE COLOR", "", "x"),
    "ContrastBolusStartTime": ("999999", "x", "12:00", "-1"),
    "SpecificCharacterSet": ("ISO_IR 999", "\\\\", "ISO 2022 IR 87", "x" * 100),
    "SOPClassUID": ("1.2.3", "", "x", "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.66.4"),
    "LossyImageCompression": ("01",),
}  # fmt: skip


def missing_tags(place: Place) -> str:
    """Takes one to three tags out of one slice or of all."""
    tags = [place.pick(TAGS) for _ in range(1 + int(place.rng.integers(3)))]

    def change(_: int, one: FileDataset) -> None:
        for tag in tags:
            if tag in one:
                del one[tag]

    return f"{_changed(place, change)} without {', '.join(tags)}"


def absurd_tags(place: Place) -> str:
    """Gives one or two tags values that cannot be, in one slice or in all."""
    chosen = [
        (tag, place.pick(ABSURD[tag])) for tag in (place.pick(list(ABSURD)) for _ in range(place.pick((1, 1, 2))))
    ]

    def change(_: int, one: FileDataset) -> None:
        for tag, value in chosen:
            _force(one, tag, value)

    told = ", ".join(f"{tag} = {str(value)[:30]!r}" for tag, value in chosen)
    return f"{_changed(place, change)}: {told}"


def contradictory_tags(place: Place) -> str:
    """Makes slices or their parts say different things."""
    changes: dict[str, Callable[[int, FileDataset], None]] = {
        "two series": lambda n, one: setattr(one, "SeriesInstanceUID", uid_of("series", n % 2)),
        "two patients": lambda n, one: setattr(one, "PatientID", f"{place.name}{'x' * (n % 2)}"),
        "two orientations": lambda n, one: setattr(one, "ImageOrientationPatient", list((AXIAL, TILTED)[n % 2])),
        "two spacings": lambda n, one: setattr(one, "PixelSpacing", [1.0, 1.0 + n % 2]),
        "all at one place": lambda _, one: setattr(one, "ImagePositionPatient", [0, 0, 0]),
        "one instance": lambda _, one: setattr(one, "SOPInstanceUID", "1.2.3.4"),
        "slopes differ": lambda n, one: setattr(one, "RescaleSlope", str(1 + n)),
        "intercepts differ": lambda n, one: setattr(one, "RescaleIntercept", str(-1000 + 3 * n)),
        "signs differ": lambda n, one: setattr(one, "PixelRepresentation", n % 2),
        "inverted colors": lambda n, one: setattr(one, "PhotometricInterpretation", f"MONOCHROME{1 + n % 2}"),
        "two modalities": lambda n, one: setattr(one, "Modality", ("CT", "MR")[n % 2]),
        "numbered backwards": lambda n, one: setattr(one, "InstanceNumber", 100 - n),
        "meta tells another class": lambda _, one: setattr(one.file_meta, "MediaStorageSOPClassUID", "1.2.3"),
        "syntax of implicit VR": lambda _, one: setattr(one.file_meta, "TransferSyntaxUID", ImplicitVRLittleEndian),
        "told apart wrongly": lambda _, one: setattr(one, "SpacingBetweenSlices", "1.25"),
        "a localizer among them": lambda n, one: setattr(one, "ImageType", ["LOCALIZER"] if n == 3 else ["AXIAL"]),
        "12 bits of 16": _twelve_bits,
        "rows and columns exchanged": lambda n, one: (setattr(one, "Rows", 8), setattr(one, "Columns", 32))[0],
        "padding told": lambda _, one: one.add_new(0x00280120, "SS", -200),
    }
    name = place.pick(list(changes))
    return f"{_changed(place, changes[name], whole=True)}: {name}"


def pixels(place: Place) -> str:
    """Cuts, stretches or compresses the pixels."""
    files = dicom_patient(place.name, place.rng, orientation=place.pick((AXIAL, TILTED)))
    way = place.pick(list(_PIXELS))
    one_only = place.rng.random() < 0.5
    for number in range(8):
        if number == 3 or not one_only:
            files[f"IM{number}"] = _PIXELS[way](place, files[f"IM{number}"])
    place.write(files)
    return f"{'slice 4' if one_only else 'all slices'}: {way}"


def uneven_slices(place: Place) -> str:
    """Moves, drops, doubles or shears slices."""
    files = dicom_patient(place.name, place.rng, orientation=place.pick((AXIAL, TILTED)))
    way = place.pick(("gap", "two gaps", "every second", "moved", "jitter", "doubled", "sheared", "ends", "single",
                      "same place", "tiny steps", "flipped", "tail far"))  # fmt: skip
    dropped = {"gap": (4,), "two gaps": (2, 5), "every second": (1, 3, 5, 7), "ends": (0, 7),
               "single": (1, 2, 3, 4, 5, 6, 7)}.get(way, ())  # fmt: skip
    for number in dropped:
        del files[f"IM{number}"]
    moves: dict[str, Callable[[int], tuple[float, float, float]]] = {
        "moved": lambda n: (0, 0, 0.9 * (n == 3)),
        "jitter": lambda _: (0, 0, float(place.rng.normal(0, place.pick((0.001, 0.02, 0.2))))),
        "sheared": lambda n: (0, 0.4 * n, 0),
        "same place": lambda n: (0, 0, -2.5 * (n == 4)),
        "tiny steps": lambda n: (0, 0, -2.499 * n),
        "flipped": lambda n: (0, 0, -5.0 * n),
        "tail far": lambda n: (0, 0, 1e6 * (n == 7)),
    }
    for number in range(8) if way in moves else ():
        one = opened(files[f"IM{number}"])
        at = np.asarray(one.ImagePositionPatient, float) + moves[way](number)
        one.ImagePositionPatient = [f"{value:.6f}" for value in at]
        files[f"IM{number}"] = dicom_bytes(one)
    if way == "doubled":
        one = opened(files["IM4"])
        one.SOPInstanceUID = uid_of("copy", 4)
        one.PixelData = place.pick((one.PixelData, one.PixelData[::-1]))
        files["IM4b"] = dicom_bytes(one)
    place.write(files)
    return way


def mutated(place: Place, data: bytes) -> bytes:
    """Returns bytes with some flipped, cut out, doubled or cut off."""
    changed, rng = bytearray(data), place.rng
    way = place.pick(("flip", "flip", "header", "cut", "zeros", "insert", "remove"))
    if way == "cut" or len(changed) < 4:
        return bytes(changed[: int(rng.integers(len(changed) + 1))])
    at = int(rng.integers(len(changed)))
    match way:
        case "flip":
            for _ in range(1 + int(rng.integers(20))):
                changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
        case "header":
            for _ in range(1 + int(rng.integers(6))):
                changed[int(rng.integers(min(len(changed), 700)))] = int(rng.integers(256))
        case "zeros":
            changed[at : at + 64] = bytes(len(changed[at : at + 64]))
        case "insert":
            changed[at:at] = rng.bytes(1 + int(rng.integers(16)))
        case _:
            del changed[at : at + 1 + int(rng.integers(16))]
    return bytes(changed)


def _changed(place: Place, change: Callable[[int, FileDataset], None], *, whole: bool = False) -> str:
    files = dicom_patient(place.name, place.rng, orientation=place.pick((AXIAL, TILTED)))
    is_whole = whole or place.rng.random() < 0.5
    for number in range(8) if is_whole else (int(place.rng.integers(8)),):
        one = opened(files[f"IM{number}"])
        change(number, one)
        try:
            files[f"IM{number}"] = dicom_bytes(one)
        except Exception:  # pydicom does not write every nonsense
            one.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            files[f"IM{number}"] = mutated(place, files[f"IM{number}"])
    place.write(files)
    return "all slices" if is_whole else "one slice"


def _force(one: FileDataset, tag: str, value: Any) -> None:
    """Sets a value that pydicom would refuse."""
    from pydicom import config

    with config.disable_value_validation():
        try:
            setattr(one, tag, value)
        except Exception:
            raw = "\\".join(value) if isinstance(value, list) else str(value)
            one.add_new(tag, "LO", raw)


def _twelve_bits(_: int, one: FileDataset) -> None:
    """Stores 12 bits with rubbish above them, as some scanners overlay graphics."""
    stored = np.frombuffer(one.PixelData, "<i2").astype(np.int32)
    one.BitsStored, one.HighBit, one.PixelRepresentation = 12, 11, 0
    one.PixelData = ((np.abs(stored) & 0x0FFF) | 0xA000).astype("<u2").tobytes()


def _cut(place: Place, data: bytes) -> bytes:
    return data[: int(len(data) - 1 - place.rng.integers(600))]


def _stretched(_: Place, data: bytes) -> bytes:
    return data + bytes(777)


def _odd(place: Place, data: bytes) -> bytes:
    one = opened(data)
    one.PixelData = one.PixelData[: int(place.rng.integers(256)) * 2]
    return dicom_bytes(one)


def _compressed(syntax: str) -> Callable[[Place, bytes], bytes]:
    def change(place: Place, data: bytes) -> bytes:
        one = opened(data)
        one.compress(syntax, generate_instance_uid=False)
        packed = dicom_bytes(one)
        return mutated(place, packed) if place.rng.random() < 0.4 else packed

    return change


def _claimed(syntax: str) -> Callable[[Place, bytes], bytes]:
    def change(_: Place, data: bytes) -> bytes:
        one = opened(data)
        return dicom_bytes(one).replace(b"1.2.840.10008.1.2.1\0", syntax.encode().ljust(20, b"\0")[:20], 1)

    return change


def _deflated(place: Place, data: bytes) -> bytes:
    one = opened(data)
    one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    packed = dicom_bytes(one)
    return mutated(place, packed) if place.rng.random() < 0.4 else packed


def _deflate_bomb(data: bytes) -> bytes:
    """Returns a file of some megabytes that becomes 1.5 gigabytes."""
    one = opened(data)
    one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    meta_end = 144 + int(one.file_meta.FileMetaInformationGroupLength)
    head, packer, zeros = dicom_bytes(one)[:meta_end], zlib.compressobj(1, zlib.DEFLATED, -15), bytes(1 << 20)
    last = b"\xe1\x7f\x10\x10OB\0\0" + (1500 << 20).to_bytes(4, "little")
    parts = [packer.compress(data[144 + int(opened(data).file_meta.FileMetaInformationGroupLength) :] + last)]
    parts += [packer.compress(zeros) for _ in range(1500)]
    return b"".join([head, *parts, packer.flush()])


def _big_endian(_: Place, data: bytes) -> bytes:
    one = opened(data)
    pixels_ = np.frombuffer(one.PixelData, "<i2").astype(">i2")
    one.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    one.PixelData = pixels_.tobytes()
    one["PixelData"].VR = "OW"
    buffer = io.BytesIO()
    dcmwrite(buffer, one, implicit_vr=False, little_endian=False, force_encoding=True)
    return buffer.getvalue()


_PIXELS: dict[str, Callable[[Place, bytes], bytes]] = {
    "cut off": _cut,
    "bytes after the end": _stretched,
    "too few pixels": _odd,
    "RLE": _compressed(RLELossless),
    "JPEG-LS": _compressed(JPEGLSLossless),
    "claims JPEG": _claimed(JPEGBaseline8Bit),
    "claims JPEG 2000": _claimed(JPEG2000Lossless),
    "claims an unknown syntax": _claimed("1.2.3.4.5"),
    "claims big endian": _claimed(ExplicitVRBigEndian),
    "deflated": _deflated,
    "big endian": _big_endian,
    "mutated": lambda place, data: mutated(place, data),
}


def deflate_bomb(place: Place) -> str:
    """A slice that is a deflate bomb; dear, therefore rare."""
    files = dicom_patient(place.name, place.rng)
    files["IM3"] = _deflate_bomb(files["IM3"])
    place.write(files)
    return "deflate bomb"


def uid_of(*parts: object) -> str:
    """Returns a UID that the same words always give."""
    return str(generate_uid(entropy_srcs=[str(part) for part in parts]))


KINDS: dict[str, Generator] = {
    "DICOM tags missing": missing_tags,
    "DICOM tags contradictory": contradictory_tags,
    "DICOM tags absurd": absurd_tags,
    "DICOM pixels": pixels,
    "DICOM slices uneven": uneven_slices,
}
