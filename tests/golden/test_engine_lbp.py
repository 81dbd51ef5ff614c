"""Local binary patterns equal PyRadiomics's, whose values were written down where its libraries are old enough.

`benchmarks/lbp_reference.py` writes the table.
"""

import json
from pathlib import Path

import pandas as pd
import pytest

from pipelines.radiomics import FastEngine
from pipelines.radiomics.agreement import disagreements

HERE = Path(__file__).parent
STATED = json.loads((HERE / "lbp_cases.json").read_text())
CLASSES = ("firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm")


@pytest.mark.data
@pytest.mark.parametrize("name", STATED["settings"])
@pytest.mark.parametrize("case", STATED["cases"])
def test_local_binary_patterns_equal_the_golden_table(test_data: Path, case: str, name: str) -> None:
    table = pd.read_csv(HERE / "lbp_reference.csv", float_precision="round_trip")
    rows = table[(table["case"] == case) & (table["settings"] == name)]
    expected = dict(zip(rows["feature"], rows["value"], strict=True))
    content = STATED["settings"][name]
    setting = {**content.get("setting", {}), "minimumROIDimensions": 1}
    engine = FastEngine({**content, "featureClass": dict.fromkeys(CLASSES), "setting": setting})
    found = engine.execute(*(test_data / file for file in STATED["cases"][case]))
    assert not disagreements(expected, found)
