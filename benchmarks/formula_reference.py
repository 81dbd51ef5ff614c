"""Writes tests/golden/formula_reference.csv: PyRadiomics's features of the small volumes.

Its local binary patterns need older libraries than radmill has, and give nothing with newer ones. Run it from the
repository's root in an environment of its own:

    pip install "scipy<1.15" scikit-image trimesh pyradiomics-bhklab==3.1.4
    PYTHONPATH=. python benchmarks/formula_reference.py tests/golden/formula_reference.csv
"""

import csv
import json
import logging
import sys
from pathlib import Path

import numpy as np
from radiomics.featureextractor import RadiomicsFeatureExtractor

from tests.small_volumes import volume


def main(target: Path) -> None:
    """Writes the table."""
    logging.disable(logging.CRITICAL)
    cases = json.loads(target.with_name("formula_cases.json").read_text(encoding="utf-8"))
    with target.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["case", "feature", "value"])
        for name, case in cases.items():
            content = case["content"]
            extractor = RadiomicsFeatureExtractor(
                {**content, "setting": {**content["setting"], "additionalInfo": False}}
            )
            values = extractor.execute(*volume(case["volume"]))
            if not values:
                raise SystemExit(f"{name}: PyRadiomics gave nothing; a library that the filter needs is missing")
            writer.writerows([name, feature, repr(float(np.real(value)))] for feature, value in values.items())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
