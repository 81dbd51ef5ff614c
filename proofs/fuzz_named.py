"""What bad files there must be, each by a pattern on how the fuzzer tells its inputs; and the results as a file."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featurestore.files import write_json

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "fuzz.json"

NAMED = {
    "DICOM with missing tags": r"DICOM tags missing",
    "DICOM with contradictory tags": r"DICOM tags contradictory",
    "DICOM with absurd tags": r"DICOM tags absurd",
    "truncated pixel data": r"DICOM pixels.*(cut off|too few)",
    "compressed pixel data": r"DICOM pixels.*(RLE|JPEG|deflated|claims)",
    "non-uniform slices": r"DICOM slices uneven",
    "RTSTRUCT with open contours": r"RTSTRUCT: (open contours|points|two corners)",
    "RTSTRUCT with self-crossing contours": r"RTSTRUCT: (crossing itself|random polygon|no area)",
    "RTSTRUCT with contours out of the image": r"RTSTRUCT: (off the image|beyond one edge|far above|huge)",
    "RTSTRUCT with a wrong reference": r"RTSTRUCT: (wrong series|no series|no reference|another frame|another patient)",
    "SEG with missing frames": r"DICOM-SEG: (frame missing|frames told|no frames|negative frames|no places)",
    "NIfTI with an affine that is no number": r"NIfTI headers.*(srow|qoffset|quaternion|pixdim).*(nan|inf)",
    "NIfTI of a wrong size": r"NIfTI headers.*(dim\[|dims|bitpix|datatype|sizeof_hdr)",
    "gzip bombs": r"small bomb|bomb that its header|csv\.gz",
    "deflate bombs": r"deflate bomb",
    "CSV in odd encodings": r"(csv|truth kept).*(UTF-|latin-1|EBCDIC|half a character|BOM|CR alone)",
    "CSV with decimal commas": r"decimal commas|= '1,5'|1\.234,5",
    "CSV with formulas": r"= '(=1\+1|=cmd|@SUM|\+49)",
    "YAML bombs": r"settings.*(laughs|maps of maps|merges|contains itself|is itself|brackets|indents|dashes)",
    "names with path traversal": r"(\.\./|\.\.\\|/etc/passwd|%2e%2e)",
    "names with line breaks": r"(names of folders|PatientIDs|DICOM tags absurd|cases\.csv).*\\[nr]",
    "names with bidirectional controls": r"\\u202e",
    "names of 300 characters": r"PatientIDs.*x{30}|x{100}|long observer|long bidi|= 'x{20}",
    "links, pipes and devices among files": r"files among them: (link|dangling|fifo)",
    "pydicom's own test files": r"pydicom's test files",
}


def named(rows: Mapping[int, Mapping[str, Any]]) -> dict[str, int]:
    """Returns how many inputs there are of each kind that must be there."""
    told = [f"{row['kind']}: {row['what']}" for row in rows.values()]
    return {name: sum(re.search(pattern, text) is not None for text in told) for name, pattern in NAMED.items()}


def readers(rows: Mapping[int, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Returns by image, mask, table and settings how many accepted inputs were compared with whom."""
    found: dict[str, Counter[str]] = {}
    for row in rows.values():
        for what, verdict in row["compared"].items() if row["ending"] == "read" else ():
            how, _, who = verdict.partition(": ")
            found.setdefault(what, Counter())[who if how == "equal" else how] += 1
    return {what: dict(sorted(counts.items())) for what, counts in sorted(found.items())}


def store(rows: Mapping[int, Mapping[str, Any]], seed: int, counts: Mapping[str, Any], seconds: float) -> None:
    """Writes what was found where pages and notes take it from."""
    files = Counter(name for row in rows.values() for name in re.findall(r"files as they are: (.*)", row["what"]))
    content = {
        "inputs": len(rows),
        "seed": seed,
        "minutes": round(seconds / 60, 1),
        "kinds": counts,
        "compared_with": readers(rows),
        "named": named(rows),
        "pydicom_files_as_they_are": len({name for told in files for name in told.split(", ")}),
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS, json.loads(json.dumps(content)))
