"""What ingest did, in counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from pipelines.ingest.center_data import CenterData
from pipelines.ingest.center_tables import CenterTables, Job
from pipelines.ingest.views import Row

STATUSES = ("ok", "warned", "refused", "failed", "excluded")


@dataclass(frozen=True, kw_only=True)
class CenterIngest:
    """Counts of one center.

    Args:
        sent: Cases attempted: patient × phase × region × observer.
        ok: Cases used without a remark.
        warned: Cases used with a remark.
        refused: Cases at fault.
        failed: Cases on which the work broke.
        excluded: Cases that a cohort rule puts aside.
        patients: Patients of whom anything was sent.
        with_images: Patients with images.
        with_row: Patients with a row in `clinical.csv`.
        with_both: Patients with both.
        ignored: Files that are neither image, mask nor table.
    """

    sent: int = 0
    ok: int = 0
    warned: int = 0
    refused: int = 0
    failed: int = 0
    excluded: int = 0
    patients: int = 0
    with_images: int = 0
    with_row: int = 0
    with_both: int = 0
    ignored: int = 0


@dataclass(frozen=True, kw_only=True)
class IngestSummary:
    """What ingest did.

    Args:
        centers: Counts by center.
        codes: How often each code stands in `qc`.
        unchanged: Cases taken from an earlier run.
        recomputed: Cases read in this run.
        waiting: Centers whose clinical table, and counts of patients whose files, are not still yet.
        arriving: The case_ids of these patients, by center.
        notes: What a person should know.
    """

    centers: dict[str, CenterIngest] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    unchanged: int = 0
    recomputed: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    arriving: dict[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def total(self, name: str) -> int:
        """Returns a count over all centers."""
        return sum(getattr(center, name) for center in self.centers.values())

    @property
    def is_clean(self) -> bool:
        """Whether nothing was refused and nothing failed."""
        return self.total("refused") + self.total("failed") == 0

    def plain(self) -> dict[str, object]:
        """Returns the summary as JSON types."""
        return asdict(self)


def summarized(
    data: Mapping[str, CenterData],
    jobs: Mapping[str, Sequence[Job]],
    tables: Mapping[str, CenterTables],
    waiting: Sequence[str] = (),
) -> IngestSummary:
    """Returns the summary of a run; `waiting` names centers that were not read."""
    every = [job for own in jobs.values() for job in own if job.source]
    return IngestSummary(
        centers={center: _center(own.qc, data.get(center)) for center, own in sorted(tables.items())},
        codes=code_counts([row for own in tables.values() for row in own.qc]),
        unchanged=sum(job.is_reused for job in every),
        recomputed=sum(not job.is_reused for job in every),
        waiting={
            **{center: len(one.restless) for center, one in sorted(data.items()) if one.restless},
            **dict.fromkeys(waiting, 0),
        },
        arriving={
            center: sorted(map(one.pseudonym, one.restless)) for center, one in sorted(data.items()) if one.restless
        },
    )


def kept(tables: Mapping[str, CenterTables], note: str) -> IngestSummary:
    """Returns the summary of a run that read nothing."""
    return IngestSummary(
        centers={center: _center(own.qc, None) for center, own in sorted(tables.items())},
        codes=code_counts([row for own in tables.values() for row in own.qc]),
        unchanged=len({(row["center"], row["case_id"], row["phase"]) for own in tables.values() for row in own.cases}),
        notes=(note,) if tables else (),
    )


def code_counts(rows: Sequence[Row]) -> dict[str, int]:
    """Returns how often each code stands in rows of `qc`, the most frequent first."""
    counts = Counter(str(row["code"]) for row in rows if row["status"] != "ok")
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _center(rows: Sequence[Row], data: CenterData | None) -> CenterIngest:
    cases = [row for row in rows if row["item"] == "" and row["case_id"] != ""]
    statuses = Counter(str(row["status"]) for row in cases)
    known = _patients(data) if data is not None else {"patients": len({row["case_id"] for row in cases})}
    return CenterIngest(sent=len(cases), **{name: statuses[name] for name in STATUSES}, **known)


def _patients(data: CenterData) -> dict[str, int]:
    everybody = set(data.patients())
    imaged, listed = everybody & set(data.found.files), everybody & set(data.clinical.patients)
    return {
        "patients": len(everybody),
        "with_images": len(imaged),
        "with_row": len(listed),
        "with_both": len(imaged & listed),
        "ignored": data.found.n_ignored,
    }
