"""Settings of the smallest study that reads images: one phase, one model."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent


def ct_settings() -> dict[str, Any]:
    """Returns those of the template for one CT phase and no center yet."""
    settings: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return settings | {
        "centers": {"development": {}, "external": {}},
        "phases": {"ct": {"series_description": "(?i)ct"}},
        "cohort": {},
        "ingest": {
            "roi": {"name": "tumor", "pattern": "(?i)gtv", "label": 1},
            "clinical": {"age": {"kind": "number", "minimum": 0, "maximum": 120}, "sex": {"kind": "text"}},
        },
        "margin": {"mm": 2.0, "voxels": 2},
        "services": {"ct": {"phases": ["ct"]}},
        "models": {"model": {"service": "ct", "estimator": "lr"}},
        "deep": {},
        "fusion": {},
    }
