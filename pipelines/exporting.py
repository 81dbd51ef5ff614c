"""Writes a view as CSV in PyRadiomics's own layout: whose row it is, what made it, then the features in their order."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from featurestore.entities import KEY_COLUMNS
from featurestore.errors import InputError
from featurestore.files import write_text
from featurestore.sheets import csv_frame
from featurestore.views import BOOKKEEPING
from pipelines.params import Params
from pipelines.record import installed
from pipelines.stored_views import view_frame, view_notes
from pipelines.workspace import Role, Workspace

PYRADIOMICS = "pyradiomics-bhklab"
_VERSIONS = {"numpy": "numpy", "SimpleITK": "SimpleITK", "PyWavelet": "PyWavelets"}
"""Under PyRadiomics's names, the distributions."""


class NothingToExportError(InputError):
    """The view has no rows."""

    default_remedy = "`radmill features list` shows the views and their rows"


def export_csv(workspace: Workspace, params: Params, view: str, role: Role, path: Path) -> int:
    """Writes a view's rows of a role's centers and returns how many there are.

    Raises:
        NothingToExportError: There are none.
    """
    frame = view_frame(workspace, params, role, view)
    if frame.empty:
        raise NothingToExportError("no rows", where=f"view {view}, {role}")
    notes = view_notes(workspace, params, role, view)
    made = pd.DataFrame(
        [_diagnostics(notes.get(c, {}), p) for c, p in zip(frame["center"], frame["phase"], strict=True)]
    )
    features = frame.drop(columns=[*KEY_COLUMNS, *(name for name in BOOKKEEPING if name in frame)])
    table = pd.concat([frame[list(KEY_COLUMNS)], made, features], axis=1)
    write_text(path, csv_frame(table))
    return len(table)


def _diagnostics(notes: Mapping[str, str], phase: str) -> dict[str, str]:
    """Returns what PyRadiomics calls diagnostics, as far as a row tells: versions, settings and image types."""
    settings = json.loads(notes["settings"]) if notes.get("settings") else {}
    if "feature_set" not in notes:
        version = notes.get("version", "")
        told = {"Settings": settings.get("Settings", ""), "EnabledImageTypes": settings.get("EnabledImageTypes", "")}
        return {"diagnostics_Versions_PyRadiomics": version, **_configuration(told)}
    own = settings.get(phase, {})
    versions = installed(PYRADIOMICS, *_VERSIONS.values())
    return {
        "diagnostics_Versions_PyRadiomics": versions[PYRADIOMICS],
        **{f"diagnostics_Versions_{name}": versions[package] for name, package in _VERSIONS.items()},
        **_configuration({"Settings": own.get("setting", {}), "EnabledImageTypes": own.get("imageType", {})}),
        "diagnostics_Versions_radmill_feature_set": notes["feature_set"],
        "diagnostics_Configuration_Engine": notes.get("engine", ""),
    }


def _configuration(told: Mapping[str, object]) -> dict[str, str]:
    return {f"diagnostics_Configuration_{name}": str(value) for name, value in told.items()}
