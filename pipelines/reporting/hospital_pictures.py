"""A handful of a hospital's cases to look at: highest, lowest, nearest to the threshold, and most in doubt."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from pipelines.images.files import DamagedImageError
from pipelines.reporting.gallery_cases import ct_phases
from pipelines.reporting.gallery_pictures import Picture, case_picture
from pipelines.reporting.hospital_files import HospitalFiles

MOST_DOUBTED = 2


@dataclass(frozen=True, kw_only=True)
class Example:
    """A case with its pictures.

    Args:
        case_id: Which.
        why: Why it is shown.
        probability: As the policy lets it be seen.
        doubt: In words.
        shots: Phase, region and picture; no picture where the stored image cannot be read.
    """

    case_id: str
    why: str
    probability: float | None
    doubt: str
    shots: tuple[tuple[str, str, Picture | None], ...]


def examples(files: HospitalFiles) -> list[Example]:
    """Returns a handful of cases whose images are stored; none of a hospital that sends tables."""
    if files.cases.empty or files.seen.empty:
        return []
    is_ct = ct_phases(files.acquisition)
    stored = dict(list(files.cases.groupby("case_id")))
    found = []
    for case_id, why in _chosen(files):
        if case_id not in stored:
            continue
        row = files.seen[files.seen["case_id"] == case_id].iloc[0]
        probability = None if pd.isna(row["probability"]) else float(row["probability"])
        shots = tuple(_shots(files, stored[case_id], is_ct))
        doubt = str(row.get("doubt", ""))
        found.append(Example(case_id=case_id, why=why, probability=probability, doubt=doubt, shots=shots))
    return found


def _chosen(files: HospitalFiles) -> Iterator[tuple[str, str]]:
    """Yields each case once with all that it is an example of."""
    told: dict[str, list[str]] = {}
    known = files.seen.dropna(subset=["probability"])
    p = pd.to_numeric(known["probability"])
    if len(p):
        gap = (p - pd.to_numeric(known["threshold"])).abs()
        kinds = {"highest": p.argmax(), "nearest to the threshold": gap.argmin(), "lowest": p.argmin()}
        for why, number in kinds.items():
            told.setdefault(str(known["case_id"].iloc[int(number)]), []).append(why)
    doubts = pd.DataFrame({"case_id": files.scores["case_id"], "n": list(map(len, files.codes))})
    doubts["distance"] = files.scores["distance"].to_numpy()
    most = doubts[doubts["n"] > 0].sort_values(["n", "distance", "case_id"], ascending=[False, False, True])
    for case_id in most["case_id"].head(MOST_DOUBTED):
        told.setdefault(str(case_id), []).append("most in doubt")
    yield from ((case_id, ", ".join(whys)) for case_id, whys in told.items())


def _shots(files: HospitalFiles, rows: pd.DataFrame, is_ct: set[str]) -> Iterator[tuple[str, str, Picture | None]]:
    for (phase, roi), own in rows.groupby(["phase", "roi"], sort=True):
        first = own.sort_values(["is_primary", "observer"], ascending=[False, True])
        try:
            picture = case_picture(files.folder, first.to_dict("records"), is_ct=phase in is_ct)
        except DamagedImageError:
            picture = None
        yield str(phase), str(roi), picture
