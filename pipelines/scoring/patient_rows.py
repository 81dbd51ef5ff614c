"""One row a patient of a new hospital: the features that a package needs, of images and of the clinical table."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from featurestore.entities import PATIENT_COLUMNS
from featurestore.fingerprints import digest
from featurestore.joining import joined_frame
from featurestore.tables import read_frame
from featurestore.views import FeatureService, part_frame
from pipelines.params.data import ClinicalColumn
from pipelines.scoring.scores import inputs_by_patient
from pipelines.stored_views import clinical_numbers
from registry.package import ModelPackage
from registry.parts import Part
from registry.stacking import RENORMALIZE, phases_absent

PATIENT = list(PATIENT_COLUMNS)
SERVED = ("radiomics", "clinical")
"""Views that radmill makes of a hospital's images and clinical table; others are tables that were made elsewhere."""


def patient_rows(
    package: ModelPackage,
    features: Path,
    views: Path,
    declared: Mapping[str, ClinicalColumn],
    foreign: Mapping[str, Path] | None = None,
) -> pd.DataFrame:
    """Returns `center`, `case_id`, `inputs` and the package's features of every patient who has what it needs.

    Args:
        package: A package whose views are among `SERVED`, or are imported ones.
        features: The hospital's features under the package's settings.
        views: What ingest made of its files.
        declared: The clinical columns by the package's rules.
        foreign: By imported view, where the hospital's rows are.
    """
    service = FeatureService.from_plain(package.manifest["service"])
    tables = {"radiomics": read_frame(features / "radiomics"), "clinical": read_frame(views / "clinical")}
    tables |= {view: read_frame(root) for view, root in (foreign or {}).items()}
    if len(tables["clinical"].columns):
        tables["clinical"] = clinical_numbers(tables["clinical"], declared)
    is_spared = package.is_fusion and package.absent_member == RENORMALIZE
    wide = _of_anybody(tables, service, package) if is_spared else joined_frame(tables, service, package.features)
    if wide.empty:
        return pd.DataFrame(columns=[*PATIENT, "inputs", *package.features])
    return wide.merge(_inputs(tables, service), on=PATIENT, validate="one_to_one")


def _of_anybody(tables: Mapping[str, pd.DataFrame], service: FeatureService, package: ModelPackage) -> pd.DataFrame:
    """Returns every patient of whom one of the views has something; members who say nothing are told apart later."""
    parts = [
        part_frame(tables[part.view], replace(part, fills=True), keep_empty=True)
        for part in service.parts
        if len(tables[part.view])
    ]
    if not parts:
        return pd.DataFrame(columns=[*PATIENT, *package.features])
    return pd.concat(parts, axis=1, join="outer").sort_index().reindex(columns=list(package.features)).reset_index()


def of_part(rows: pd.DataFrame, package: Part, part: Part) -> pd.DataFrame:
    """Returns `center`, `case_id` and a part's features; of a fusion's member only who has something in each phase."""
    own = rows[[*PATIENT, *part.features]]
    if not package.is_fusion:
        return own
    return own[~phases_absent(part.features, own[list(part.features)].to_numpy(float))]


def _inputs(tables: Mapping[str, pd.DataFrame], service: FeatureService) -> pd.DataFrame:
    """Returns, for each patient, one hash of all that his score rests on."""
    views = {part.view: part for part in service.parts}
    found: list[pd.Series] = []
    for view in (view for view in tables if view in views and view != "clinical"):
        rows = tables[view]
        found.append(inputs_by_patient(rows[rows["phase"].isin(views[view].phases)]))
    if "clinical" in views:
        rows = tables["clinical"].set_index(PATIENT).sort_index()
        wanted = views["clinical"].wanted([name for name in rows.columns if rows[name].dtype.kind == "f"])
        known = rows[wanted].astype(object).where(rows[wanted].notna(), None)
        found.append(pd.Series([digest(row) for row in known.to_dict("records")], index=known.index))
    if len(found) == 1:  # a model of images alone keeps the hashes it always had
        return found[0].rename("inputs").reset_index()
    both = pd.concat(found, axis=1, join="outer").fillna("")
    return both.apply(lambda row: digest(row.tolist()), axis=1).rename("inputs").reset_index()
