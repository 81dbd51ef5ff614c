"""Writes tests/golden/lbp_reference.csv: PyRadiomics's features of local binary patterns.

PyRadiomics's LBP3D needs scipy below 1.17 and trimesh, its LBP2D scikit-image; newer ones give nothing, silently.
Run it in an environment of its own:

    pip install "scipy<1.15" scikit-image trimesh pyradiomics-bhklab==3.1.4
    python benchmarks/lbp_reference.py FOLDER_OF_TEST_DATA tests/golden/lbp_reference.csv
"""

import csv
import json
import logging
import sys
from pathlib import Path

import numpy as np
from radiomics.featureextractor import RadiomicsFeatureExtractor

CLASSES = ("firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm")


def main(data: Path, target: Path) -> None:
    logging.disable(logging.CRITICAL)
    stated = json.loads(target.with_name("lbp_cases.json").read_text())
    cases, settings = stated["cases"], stated["settings"]
    with target.open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["case", "settings", "feature", "value"])
        for case, (image, mask) in cases.items():
            for name, content in settings.items():
                setting = {**content.get("setting", {}), "minimumROIDimensions": 1, "additionalInfo": False}
                extractor = RadiomicsFeatureExtractor(
                    {**content, "featureClass": dict.fromkeys(CLASSES), "setting": setting}
                )
                values = extractor.execute(str(data / image), str(data / mask))
                if not values:
                    raise SystemExit("PyRadiomics gave nothing: a library that the filter needs is missing or too new")
                rows = [(case, name, feature, repr(float(np.real(value)))) for feature, value in values.items()]
                writer.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
