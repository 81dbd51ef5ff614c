"""Bad inputs of every kind end as a row of `qc` or as exit 2, and what is read is what other readers see.

The short form of `make prove-fuzz`.
"""

from pathlib import Path

from proofs.fuzz import faults, main
from proofs.fuzz_child import KINDS

COUNT = 3 * len(KINDS)


def test_no_bad_input_crashes_hangs_or_is_read_as_something_else(tmp_path: Path) -> None:
    rows = main(tmp_path, count=COUNT, seed=7)
    assert len(rows) == COUNT
    assert {row["kind"] for row in rows.values()} == set(KINDS)
    assert not faults(rows)
