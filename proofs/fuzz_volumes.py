"""NIfTI and NRRD files with headers that lie, grids that are none, and compression that explodes."""

import gzip
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from proofs.fuzz_base import SHAPE, Bytes, Generator, Place, nifti_bytes, nifti_patient, nrrd_patient, region, voxels
from proofs.fuzz_dicom import mutated

NAN, INF = float("nan"), float("inf")


def nifti_header(place: Place) -> str:
    """Overwrites one or two fields of the header of the image, of the mask, or of both."""
    files = nifti_patient(place.rng, packed=False)
    chosen = [place.pick(list(_FIELDS)) for _ in range(place.pick((1, 1, 2)))]
    which = place.pick((("ct.nii",), ("ct_mask.nii",), ("ct.nii", "ct_mask.nii")))
    told = []
    for name in chosen:
        form, offset, values = _FIELDS[name]
        value = place.pick(values)
        for file in which:
            files[file] = _with(files[file], form, offset, value)
        told.append(f"{name} = {value}")
    place.write({f"{n}.gz": gzip.compress(d, 1) for n, d in files.items()} if place.rng.random() < 0.5 else files)
    return f"{' and '.join(which)}: {', '.join(told)}"


def nifti_voxels(place: Place) -> str:
    """Stores the image or the mask in a strange type, shape or number."""
    way = place.pick(list(_VOXELS))
    files = nifti_patient(place.rng)
    files.update(_VOXELS[way](place))
    place.write(files)
    return str(way)


def nifti_gz(place: Place) -> str:
    """Spoils the compression."""
    files = nifti_patient(place.rng)
    name = place.pick(list(files))
    data = gzip.decompress(files[name])
    ways: dict[str, Callable[[], bytes]] = {
        "cut off": lambda: files[name][: int(place.rng.integers(len(files[name])))],
        "not compressed": lambda: data,
        "compressed twice": lambda: gzip.compress(files[name]),
        "two members": lambda: gzip.compress(data[:900]) + gzip.compress(data[900:]),
        "rubbish after it": lambda: files[name] + place.rng.bytes(99),
        "another checksum": lambda: files[name][:-8] + b"\1\2\3\4" + files[name][-4:],
        "empty": lambda: b"",
        "gzip of nothing": lambda: gzip.compress(b""),
        "deflate without gzip": lambda: zlib.compress(data),
        "zip": lambda: b"PK\3\4" + data,
        "too long": lambda: gzip.compress(data + bytes(5000), 1),
        "mutated": lambda: mutated(place, files[name]),
        "small bomb": lambda: gzip.compress(data + bytes(30_000_000), 1),
    }
    way = place.pick(list(ways))
    files[name] = ways[way]()
    place.write(files)
    return f"{name}: {way}"


def nrrd(place: Place) -> str:
    """Rewrites a line of the header of an NRRD file."""
    files = nrrd_patient(place, packed=bool(place.rng.random() < 0.5))
    name = place.pick(("ct.nrrd", "ct_mask.nrrd"))
    if place.rng.random() < 0.25:
        files[name] = mutated(place, files[name])
        place.write(files)
        return f"{name}: mutated"
    head, _, body = files[name].partition(b"\n\n")
    key, value = place.pick(_NRRD)
    lines = [line for line in head.split(b"\n") if not line.startswith(key + b":")]
    if value is not None:
        lines.append(key + b": " + value)
    files[name] = b"\n".join(lines) + b"\n\n" + body
    place.write(files)
    return f"{name}: {key.decode()}: {(value or b'(none)')[:40].decode('latin-1')}"


def bomb(place: Place) -> str:
    """A NIfTI of some megabytes that is gigabytes of zeros, with a header that says so or not; dear, therefore rare."""
    files = nifti_patient(place.rng, packed=False)
    is_told = place.rng.random() < 0.5
    header = files["ct.nii"][:352]
    if is_told:
        header = _with(header, "<8h", 40, (3, 20000, 20000, 8, 1, 1, 1, 1))
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    parts = [packer.compress(header), *(packer.compress(zeros) for _ in range(6500 if is_told else 3000))]
    place.write(
        {"ct.nii.gz": b"".join([*parts, packer.flush()]), "ct_mask.nii.gz": gzip.compress(files["ct_mask.nii"], 1)}
    )
    return "bomb that its header tells" if is_told else "bomb that its header hides"


def _with(data: bytes, form: str, offset: int, value: Any) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, offset, *(value if isinstance(value, tuple) else (value,)))
    return bytes(changed)


# Field of the NIfTI-1 header: struct format, offset, values.
_FIELDS: dict[str, tuple[str, int, tuple[Any, ...]]] = {
    "sizeof_hdr": ("<i", 0, (0, 540, 347, -1, 1543569408)),
    "dim[0]": ("<h", 40, (0, 1, 2, 4, 5, 7, 8, -1, 300)),
    "dim[1]": ("<h", 42, (0, 1, -16, 17, 15, 32767)),
    "dim[3]": ("<h", 46, (0, 1, -8, 9, 7, 32767)),
    "dim[4]": ("<4h", 40, ((4, 16, 16, 4),)),
    "dims": ("<8h", 40, ((3, 32767, 32767, 32767, 1, 1, 1, 1), (4, 16, 16, 8, 2, 1, 1, 1), (3, 8, 16, 16, 1, 1, 1, 1),
                         (5, 16, 16, 8, 1, 3, 1, 1), (4, 16, 16, 8, 1, 1, 1, 1), (3, 0, 0, 0, 0, 0, 0, 0))),
    "intent": ("<h", 68, (1007, 2003, 1001, -1)),
    "datatype": ("<h", 70, (0, 1, 2, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304, 9999)),
    "bitpix": ("<h", 72, (0, 1, 8, 32, -16)),
    "pixdim[0]": ("<f", 76, (0.0, -1.0, 2.0, NAN)),
    "pixdim[1]": ("<f", 80, (0.0, -1.25, NAN, INF, 1e-30, 1e30)),
    "pixdim[3]": ("<f", 88, (0.0, -2.5, NAN, INF, 1e-30, 1e30)),
    "vox_offset": ("<f", 108, (0.0, 348.0, 356.0, -352.0, 1e9, NAN, INF, 352.5)),
    "scl_slope": ("<f", 112, (0.0, 1.0, 2.0, -1.0, NAN, INF, 1e30, 1e-30)),
    "scl_inter": ("<f", 116, (0.0, -1024.0, 0.5, NAN, INF, 1e30)),
    "slope and intercept": ("<2f", 112, ((2.0, -1000.0), (0.0, 100.0), (NAN, 5.0))),
    "units": ("<B", 123, (0, 1, 2, 3, 255)),
    "qform": ("<h", 252, (0, 1, 2, -1, 99)),
    "sform": ("<h", 254, (0, 1, 2, -1, 99)),
    "no form": ("<2h", 252, ((0, 0),)),
    "qform alone": ("<2h", 252, ((1, 0),)),
    "quaternion": ("<3f", 256, ((NAN, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (INF, 0.0, 0.0), (0.0, 0.0, 1.0))),
    "qform and quaternion": ("<2h3f", 252, ((1, 0, 0.5, 0.5, 0.5), (1, 0, NAN, 0.0, 0.0), (1, 0, 1.0, 1.0, 1.0))),
    "qoffset": ("<3f", 268, ((NAN, 0.0, 0.0), (1e30, 0.0, 0.0), (INF, 0.0, 0.0))),
    "qform and qoffset": ("<2h6f", 252, ((1, 0, 0.0, 0.0, 0.0, NAN, 0.0, 0.0), (1, 0, 0.0, 0.0, 1.0, INF, 1.0, 1.0))),
    "srow_x": ("<4f", 280, ((NAN, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0), (-1.25, 0.4, 0.0, 20.0), (INF, 0.0, 0.0, 0.0),
                            (-1.25, 0.0, 0.0, NAN), (-1.25, 0.0, 0.0, INF), (1.25, 0.0, 0.0, -20.0),
                            (-1.25, 5e-5, 0.0, 20.0), (-2.0, 0.0, 0.0, 20.0), (1e30, 0.0, 0.0, 0.0))),
    "srow_z": ("<4f", 312, ((0.0, 0.0, NAN, 0.0), (0.0, 0.0, -2.5, 0.0), (0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1e-20, 0.0),
                            (0.0, 0.0, 2.5, -INF), (0.0, 0.0, 2.5, 1e20))),
    "magic": ("<4s", 344, ((b"ni1\0",), (b"n+2\0",), (b"\0\0\0\0",), (b"n+1x",))),
}  # fmt: skip


def _image(array: Any) -> Bytes:
    return {"ct.nii.gz": nifti_bytes(array)}


def _mask(array: Any) -> Bytes:
    return {"ct_mask.nii.gz": nifti_bytes(array)}


def _spoiled(place: Place, value: float, at: tuple[int, int, int]) -> Any:
    array = voxels(place.rng).astype(np.float32)
    array[at] = value
    return array


_VOXELS: dict[str, Callable[[Place], Bytes]] = {
    **{
        f"image of {kind}": lambda place, kind=kind: _image(np.abs(voxels(place.rng)).astype(kind))  # type: ignore[misc]
        for kind in ("u1", "i1", "u2", "i4", "u4", "f4", "f8", ">i2", ">f4")
    },
    **{
        f"mask of {kind}": lambda _, kind=kind: _mask(region().astype(kind))  # type: ignore[misc]
        for kind in ("i1", "i4", "f4", "f8", ">u2")
    },
    "fractions of HU": lambda place: _image(voxels(place.rng) / np.float64(3)),
    "numbers beyond single precision": lambda place: _image(voxels(place.rng) * 1e300),
    "integers beyond single precision": lambda place: _image(voxels(place.rng).astype("i8") * (2**40 + 1)),
    "NaN inside": lambda place: _image(_spoiled(place, NAN, (3, 7, 8))),
    "NaN outside": lambda place: _image(_spoiled(place, NAN, (0, 0, 0))),
    "infinite": lambda place: _image(_spoiled(place, INF, (3, 7, 8))),
    "constant": lambda _: _image(np.full(SHAPE, 7, np.int16)),
    "complex": lambda place: _image(voxels(place.rng).astype("c8")),
    "two dimensions": lambda place: _image(voxels(place.rng)[:1]),
    "empty mask": lambda _: _mask(np.zeros(SHAPE, "u1")),
    "full mask": lambda _: _mask(np.ones(SHAPE, "u1")),
    "mask of another label": lambda _: _mask(region() * 255),
    "mask of a large label": lambda _: _mask(region().astype("i4") * 100_000),
    "mask of minus one": lambda _: _mask(region().astype("i2") * -1),
    "mask of many labels": lambda _: _mask(np.arange(region().size, dtype="i4").reshape(SHAPE)),
    "mask of fractions": lambda _: _mask(region() * np.float32(0.7)),
    "mask with NaN": lambda _: _mask(np.where(region(), 1, NAN).astype("f4")),
    "mask of one voxel": lambda _: _mask((np.arange(region().size) == 900).reshape(SHAPE).astype("u1")),
    "mask of another shape": lambda _: _mask(region()[:-1]),
    "mask is the image": lambda place: _mask(voxels(place.rng)),
    "no image": lambda _: {"ct.nii.gz": b"not an image at all"},
}

_NRRD: tuple[tuple[bytes, bytes | None], ...] = (
    (b"type", b"block"), (b"type", b"double"), (b"type", b"x"), (b"type", None), (b"dimension", b"2"),
    (b"dimension", b"4"), (b"dimension", b"99"), (b"dimension", b"-3"), (b"sizes", b"16 16 9"), (b"sizes", b"16 16"),
    (b"sizes", b"0 0 0"), (b"sizes", b"-16 16 8"), (b"sizes", b"99999999 99999999 99999999"), (b"sizes", b"16 16 x"),
    (b"sizes", b"1" * 400), (b"space", b"right-anterior-superior"), (b"space", b"scanner-xyz"), (b"space", None),
    (b"space directions", b"(nan,0,0) (0,1,0) (0,0,1)"), (b"space directions", b"(1,0,0) (1,0,0) (0,0,1)"),
    (b"space directions", b"(0,0,0) (0,1,0) (0,0,1)"), (b"space directions", b"none (0,1,0) (0,0,1)"),
    (b"space directions", b"(1,0.2,0) (0,1,0) (0,0,1)"), (b"space directions", None),
    (b"space directions", b"(inf,0,0) (0,1,0) (0,0,1)"), (b"space directions", b"(1e-300,0,0) (0,1,0) (0,0,1)"),
    (b"space origin", b"(nan,0,0)"), (b"space origin", b"(inf,0,0)"), (b"space origin", b"(1,2)"),
    (b"space origin", None), (b"space origin", b"(1e300,0,0)"), (b"encoding", b"raw"), (b"encoding", b"gzip"),
    (b"encoding", b"ascii"), (b"encoding", b"hex"), (b"encoding", b"bzip2"), (b"encoding", b"x"),
    (b"endian", b"big"),
    (b"endian", None), (b"byte skip", b"-1"), (b"byte skip", b"5"), (b"line skip", b"3"),
    (b"kinds", b"domain vector x"),
    (b"kinds", b"vector domain domain"), (b"data file", b"/etc/passwd"), (b"data file", b"../../../outside.raw"),
    (b"data file", b"LIST"), (b"content", b"\xff\xfe\x00bad"), (b"old min", b"nan"),
    (b"measurement frame", b"(nan,0,0) (0,1,0) (0,0,1)"), (b"spacings", b"nan 1 1"), (b"thicknesses", b"-1 nan 0"),
)  # fmt: skip

KINDS: dict[str, Generator] = {
    "NIfTI headers": nifti_header,
    "NIfTI voxels": nifti_voxels,
    "NIfTI compression": nifti_gz,
    "NRRD": nrrd,
}
