"""The work on one case, as a runner runs it: away from the tables, with everything it needs in its payload."""

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from featurestore.entities import CaseKey
from featurestore.errors import CaseError
from featurestore.fingerprints import file_digest
from pipelines.ingest.file_index import UNREADABLE, SourceFile
from pipelines.ingest.headers import DicomHeader
from pipelines.ingest.parts import CaseSettings, Plain, part_path, write_part
from pipelines.ingest.problems import UnreadableError
from pipelines.ingest.sources import ImageSource, MaskSource
from pipelines.runner import OutOfMemoryError, Receipt

BASE_MB = 50.0
"""Beside what the process holds with its libraries, which the one who gives it the case counts."""
COPIES = {"series": 6, "volume": 3}
"""Image, its slices, filters of the checks, masks and crops that are there at once, in 4 bytes a voxel."""
_GZIP_RATIO = 6.0
"""How much smaller a compressed image file is at most in practice, apart from empty ones."""


class ChangedSinceIntakeError(CaseError):
    """A file is not what intake took in."""

    code = "changed_since_intake"
    status = "failed"
    default_remedy = "run `radmill intake` (or `radmill run`) again"


class UnforeseenError(CaseError):
    """Work on the case broke in a way nobody foresaw."""

    code = "failed"
    status = "failed"
    default_remedy = "if the files open elsewhere, please report it with this message, which names nobody"


class DiskFullError(CaseError):
    """There is no room for the case."""

    code = "disk_full"
    status = "failed"
    default_remedy = "free disk space and run again; cases that are done stay done"


def plain_images(images: tuple[ImageSource, ...]) -> list[Plain]:
    """Returns images and masks as JSON types, for the way to a worker."""
    return [
        {
            "files": [_plain_file(file) for file in image.files],
            "headers": [header.plain() for header in image.headers],
            "masks": [
                {"kind": m.kind, "file": _plain_file(m.file), "observer": m.observer, "label": m.label}
                for m in image.masks
            ],
        }
        for image in images
    ]


def memory_mb(images: tuple[ImageSource, ...]) -> float:
    """Returns what reading a case is expected to need, in megabytes: a few copies of the largest image."""
    return BASE_MB + max((_bytes(image) for image in images), default=0.0) / 1e6


def ingest_case(
    *,
    key: dict[str, str],
    images: list[Plain],
    settings: Plain,
    cases: str,
    source: str,
    names: list[str],
) -> Receipt:
    """Reads one region of one phase of one patient, stores crop and mask for each outline, and returns its part.

    Args:
        key: Center, case_id, phase and region.
        images: What `plain_images` gave.
        settings: What `CaseSettings.plain` gave.
        cases: The folder of stored cases.
        source: The hash of what decides the result.
        names: What the files name; it is taken out of every message.

    Raises:
        ChangedSinceIntakeError: A file is not what intake took in; nothing is stored.
        DiskFullError: There is no room.
        OutOfMemoryError: There is no memory.
        UnforeseenError: Something else broke. What broke it may quote the file, so only its kind and place are told.
    """
    from pipelines.ingest.case_volumes import CaseWork

    sources = [_image_source(image) for image in images]
    work = CaseWork(
        key=CaseKey(**key, observer=""),
        cases=Path(cases),
        settings=CaseSettings.from_plain(settings),
        source=source,
        names=tuple(names),
    )
    with _resources():
        try:
            _verify(sources)
            rows = work.rows(sources)
        except ChangedSinceIntakeError:
            raise
        except CaseError as error:
            rows = [work.refused(error)]
        path = part_path(work.cases, work.key.center, work.key.case_id, work.key.phase, work.key.roi)
        return write_part(path, source, rows)


def _bytes(image: ImageSource) -> float:
    if image.headers:
        return COPIES["series"] * 4.0 * sum(header.rows * header.columns * header.n_frames for header in image.headers)
    file = image.files[0]
    return COPIES["volume"] * 2.0 * file.n_bytes * (_GZIP_RATIO if not file.name.lower().endswith(".nii") else 1.0)


def _verify(sources: list[ImageSource]) -> None:
    for source in sources:
        for file in (*source.files, *(mask.file for mask in source.masks)):
            if file.sha256 == UNREADABLE:
                raise UnreadableError("a file cannot be opened", remedy="give radmill's account the right to read it")
            if not file.path.is_file() or file_digest(file.path) != file.sha256:
                raise ChangedSinceIntakeError("a file changed since intake")


@contextmanager
def _resources() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFullError("no room to store the case") from error
    except MemoryError as error:
        raise OutOfMemoryError("no memory to read the case") from error
    except CaseError:
        raise
    except Exception as error:
        raise UnforeseenError(f"{type(error).__name__} in {_place(error)}") from None


def _place(error: Exception) -> str:
    """Returns the innermost place in the house's own code."""
    frames = [(Path(frame.filename).parts[-3:], frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    parts, line = [frame for frame in frames if frame[0][0] == "pipelines"][-1]
    return f"{'/'.join(parts)}, line {line}"


def _plain_file(file: SourceFile) -> Plain:
    return {"path": str(file.path), "sha256": file.sha256, "n_bytes": file.n_bytes, "name": file.name}


def _file(content: Plain) -> SourceFile:
    return SourceFile(
        relative=content["name"], path=Path(content["path"]), n_bytes=content["n_bytes"], sha256=content["sha256"]
    )


def _image_source(content: Plain) -> ImageSource:
    return ImageSource(
        files=tuple(_file(file) for file in content["files"]),
        headers=tuple(DicomHeader.from_plain(header) for header in content["headers"]),
        masks=tuple(
            MaskSource(kind=m["kind"], file=_file(m["file"]), observer=m["observer"], label=m["label"])
            for m in content["masks"]
        ),
    )
