"""No name, identifier, birth date, UID or raw file name is in any output."""

import gzip
import os
import re
from pathlib import Path

import pyarrow.parquet as pq
from pydicom import dcmread

NAMES = ("hrdlicka", "jana", "19580417", "rc580417")
UID = re.compile(r"\b[12]\.\d+\.\d+(?:\.\d+){2,}\b")


def texts(path: Path) -> str:
    """Returns all that a file says, decoded."""
    content = path.read_bytes()
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return f"{table.to_pylist()} {table.schema} {table.schema.metadata}"
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("latin-1")


def planted(cohort):
    """Names in ids, folders, file names, tags, columns, region names, and in files at fault."""
    cohort.settings["ingest"]["observer_policy"] = "majority"
    cohort.save()
    cohort.nifti("alpha", "Hrdlicka_Jana_RC580417")
    shapes = cohort.nifti("alpha", "RC580417-2")
    (shapes / "ct_mask.nii.gz").write_bytes(b"Hrdlicka is no gzip")
    (shapes / "Hrdlicka MR.nii.gz").write_bytes(b"x")
    good = cohort.dicom("alpha", "RC580417-3", "CT RC580417-3", folder="Hrdlicka, Jana")
    cut = cohort.dicom("alpha", "RC580417-4", folder="Hrdlicka Jana 4")
    path = cut / "IM0006"
    path.write_bytes(path.read_bytes()[:-100])
    odd = cohort.dicom("alpha", "RC580417-5")
    one = dcmread(odd / "RS")
    one.StructureSetROISequence[0].ROIName = "RC580417-5 lesion"
    one.save_as(odd / "RS")
    cohort.dicom("alpha", "RC580417-6", "Scout Hrdlicka^Jana", pixels="s")
    (good.parent.parent / "Hrdlicka.dcm").write_bytes(b"\0" * 128 + b"DICM\x02\x00")
    cohort.row("alpha", "RC580417-6", age="19580417")
    for path in (cohort.root / "data" / "raw").rglob("*"):
        os.utime(path, (1e9, 1e9))
    return cohort


def test_no_identity_in_any_output(cohort) -> None:
    summary = planted(cohort).run()
    assert summary.total("ok") >= 2
    assert summary.total("refused") >= 4
    files = [path for path in cohort.root.rglob("*") if path.is_file()]
    outputs = [p for p in files if not {"raw", "private"} & set(p.relative_to(cohort.root).parts)]
    assert len(outputs) > 10
    for path in outputs:
        said = f"{path.relative_to(cohort.root)} {texts(path)}".lower()
        assert not [name for name in NAMES if name in said], path.name
        assert not UID.search(said), path.name
        assert str(cohort.root) not in said, path.name
    assert not [name for name in NAMES if name in str(summary).lower()]


def test_the_scan_would_find_a_name(cohort) -> None:
    """The scan itself works: the private index does hold names."""
    planted(cohort).run()
    index = cohort.root / "private" / "index" / "alpha.json"
    assert "hrdlicka" in texts(index).lower()
    assert index.stat().st_mode & 0o777 == 0o600
    assert (cohort.root / "private" / "keys" / "alpha.key").stat().st_mode & 0o777 == 0o600
