"""A package as one file, to be carried to a hospital: a zip without compression, the same bytes every time.

Without compression a zip cannot unfold into more than it is; every size is checked before anything is read.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from featurestore.files import write_bytes
from registry.errors import DamagedPackageError
from registry.package import FILES, MAX_BYTES, ModelPackage, load_package, parse_package
from registry.signing import Signature, sign

SIGNATURE = "signature.json"
"""Beside the package's own files, which it signs."""
_MAX_SIGNATURE = 4096
SUFFIX = ".radmill"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_OVERHEAD = 1 << 16
"""A zip's own structures around four files; far less than this."""


@dataclass(frozen=True, kw_only=True)
class CarriedPackage:
    """What one file held.

    Args:
        package: The package, checked against itself.
        signature: The signature that came with it, unchecked; none when it is not signed.
    """

    package: ModelPackage
    signature: Signature | None


def export_package(folder: Path, target: Path, digest: str | None = None, key_file: Path | None = None) -> str:
    """Writes a package into one file and returns its digest.

    Args:
        folder: The package's folder.
        target: The file to write.
        digest: The digest it must have.
        key_file: The private key to sign it with; unsigned when left out.

    Raises:
        PackageAbsentError: The package's bytes are not here.
        DamagedPackageError: They are not what was saved.
        KeyFileError: The key cannot be used.
    """
    package = load_package(folder, digest)
    contents = {name: (folder / name).read_bytes() for name in FILES}
    if key_file is not None:
        contents[SIGNATURE] = sign(package.digest, key_file).to_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in contents.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix everywhere, so that the bytes do not tell where they were written
            archive.writestr(entry, data)
    write_bytes(target, buffer.getvalue())
    return package.digest


def import_package(source: Path, digest: str | None = None) -> CarriedPackage:
    """Reads a package from one file; nothing is unpacked to disk.

    Args:
        source: A file that `export_package` wrote.
        digest: The digest it must have; left out, the package is only checked against itself.

    Raises:
        DamagedPackageError: It is no such file, or a size, name, digest or rule does not hold.
        SignatureError: What should be its signature is none.
    """
    if not source.is_file() or source.stat().st_size > sum(MAX_BYTES.values()) + _OVERHEAD:
        raise DamagedPackageError("is no file of a package's size", where=source.name)
    try:
        with zipfile.ZipFile(source) as archive:
            _check_entries(archive.infolist(), source.name)
            contents = {name: archive.read(name) for name in FILES}
            signature = archive.read(SIGNATURE) if SIGNATURE in archive.namelist() else None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise DamagedPackageError(f"is no package file: {error}", where=source.name) from error
    package = parse_package(contents, digest, where=source.name)
    return CarriedPackage(package=package, signature=None if signature is None else Signature.from_bytes(signature))


def _check_entries(entries: list[zipfile.ZipInfo], where: str) -> None:
    names = [entry.filename for entry in entries]
    if sorted(set(names) - {SIGNATURE}) != sorted(FILES) or len(names) != len(set(names)):
        raise DamagedPackageError(f"holds {', '.join(map(repr, names[:6]))}, not {', '.join(FILES)}", where=where)
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise DamagedPackageError(f"{entry.filename} is compressed; packages never are", where=where)
        if entry.file_size > MAX_BYTES.get(entry.filename, _MAX_SIGNATURE):
            raise DamagedPackageError(f"{entry.filename} claims {entry.file_size >> 20} MiB", where=where)
