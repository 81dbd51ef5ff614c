"""Rows hashed together have the hashes that they have one by one."""

import numpy as np

from featurestore.fingerprints import row_digest
from featurestore.row_digests import row_digests


def test_many_rows_have_the_hashes_of_each() -> None:
    names = ["wavelet_Mean", "original_é", "aaa", "observer_2", "zz", "log-1"]
    values = np.random.default_rng(0).normal(size=(150, len(names)))
    values[0, 0], values[1, 1], values[2, 2], values[3] = np.nan, np.inf, -np.nan, -0.0
    texts = {
        "center": ["north"] * 150,
        "case_id": [f"{number:x}" for number in range(150)],
        "observer": ["", "ä"] * 75,
        "phase": ["late"] * 150,
    }
    rows = [
        {**{name: column[row] for name, column in texts.items()}, **dict(zip(names, values[row].tolist(), strict=True))}
        for row in range(150)
    ]
    assert row_digests(texts, names, values) == [row_digest(row) for row in rows]
    assert row_digests(texts, names, np.asfortranarray(values)) == [row_digest(row) for row in rows]


def test_no_rows_and_no_numbers() -> None:
    assert row_digests({"center": []}, ["a"], np.empty((0, 1))) == []
    assert row_digests({"center": ["x", "y"]}, [], np.empty((2, 0))) == [row_digest({"center": c}) for c in "xy"]
