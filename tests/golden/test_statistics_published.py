"""Own statistics against numbers printed in papers; the numbers stand in `statistics_published.csv`."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pipelines.evaluation.discrimination import auc
from pipelines.evaluation.estimates import wilson

TABLE = Path(__file__).parent / "statistics_published.csv"
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))

# Ratings 1-5 of 58 normal and 51 abnormal CT images: Hanley and McNeil 1982, table I.
NORMAL, ABNORMAL = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)


def _computed(row: dict[str, str]) -> float:
    if row["statistic"] == "auc":
        rating = np.concatenate([np.repeat(np.arange(1.0, 6.0), NORMAL), np.repeat(np.arange(1.0, 6.0), ABNORMAL)])
        return auc(np.repeat([0, 1], [sum(NORMAL), sum(ABNORMAL)]), rating)
    successes, n = (int(part) for part in row["case"].split("/"))
    found = wilson(successes, n, 0.95)
    value = found.low if row["statistic"] == "wilson_low" else found.high
    assert value is not None
    return value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['statistic']}-{row['case']}")
def test_printed_number_is_reproduced(row: dict[str, str]) -> None:
    assert _computed(row) == pytest.approx(float(row["value"]), abs=float(row["tolerance"]))
