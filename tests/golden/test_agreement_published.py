"""Intraclass correlation against the numbers printed by Shrout and Fleiss and by another program."""

import csv
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from featurestore.stability import Kind, icc

ROWS = list(
    csv.DictReader((Path(__file__).parent / "agreement_published.csv").read_text(encoding="utf-8").splitlines())
)

TABLES = {
    # six targets, four judges: Shrout and Fleiss 1979, table 2
    "shrout_fleiss": [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]],
    "three_readers": [
        [4.649, 4.364, 3.868],
        [-3.956, -4.084, -5.855],
        [0.263, 1.859, 2.533],
        [-1.796, -0.897, -0.372],
        [-2.183, -0.715, -0.261],
        [-0.242, 0.142, 0.0],
        [-7.259, -2.537, -5.238],
        [-2.523, 0.295, -0.002],
        [-2.566, -2.325, -1.943],
        [6.202, 8.534, 7.155],
        [0.255, 2.045, 0.007],
        [-2.022, 0.361, -0.361],
        [-1.168, -0.863, -0.572],
        [-4.221, -0.164, -1.083],
        [-4.14, -1.567, -3.313],
    ],
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['table']}-{row['kind']}-{row['statistic']}-{row['value']}")
def test_printed_number_is_reproduced(row: dict[str, str]) -> None:
    ratings = np.array(TABLES[row["table"]], dtype=np.float64)[:, :, None]
    found = icc(ratings, cast(Kind, row["kind"]))
    assert getattr(found, row["statistic"])[0] == pytest.approx(float(row["value"]), abs=float(row["tolerance"]))
