"""The way of a patient's values: raw files, series, grid, mask, crop, settings, engine, and what used them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featurestore.entities import KEY_COLUMNS, CaseKey
from featurestore.errors import InputError
from featurestore.fingerprints import file_digest
from featurestore.tables import centers_of, read_schema, read_table
from featurestore.views import BOOKKEEPING
from pipelines.execution.feature_tables import value_hash
from pipelines.execution.regions import Recipe, Region
from pipelines.lineage import uses
from pipelines.lineage.places import Room, Whose, find_patient
from pipelines.lineage.raw import RawFile, raw_files
from pipelines.params import Params
from pipelines.radiomics.engines import engine_versions
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.workspace import Workspace

Row = dict[str, Any]
ACQUISITION, CASES = "acquisition", "cases"
SAME, OTHER, GONE = "same", "differs", "gone"


class UnknownFeatureError(InputError):
    """No table of the patient has the feature."""

    default_remedy = "`radmill features describe radiomics` lists the names"


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Everything that is known of where a patient's values come from and what used them.

    Args:
        center: The patient's center.
        case_id: The patient's pseudonym.
        role: development, external or incoming.
        images: One entry a phase, region and observer, and of a hospital for each set of rules it is read under: raw
            files, series, grid, mask, crop, records, features.
        training_sets: The sets that hold him.
        models: Candidates and registered versions made from these.
        judgements: What evaluation predicted for him.
        scores: What scoring said of him.
    """

    center: str
    case_id: str
    role: str
    images: list[Row] = field(default_factory=list)
    training_sets: list[Row] = field(default_factory=list)
    models: list[Row] = field(default_factory=list)
    judgements: list[Row] = field(default_factory=list)
    scores: list[Row] = field(default_factory=list)

    def plain(self) -> Row:
        """Returns the trace as JSON types."""
        return dict(vars(self))

    @property
    def is_sound(self) -> bool:
        """Whether every raw file and stored volume that is here is the one that was used."""
        told = [file["disk"] for image in self.images for file in image["raw"]]
        told += [image["stored"][kind] for image in self.images for kind in ("image", "mask")]
        told += [one["row"] for image in self.images for one in image["features"]]
        return OTHER not in told


def trace(
    workspace: Workspace, params: Params, name: str, feature: str | None = None, center: str | None = None
) -> Trace:
    """Follows a patient, or one feature of a patient, from raw files to scores.

    Args:
        workspace: The study.
        params: Its settings.
        name: A case_id, its beginning, or the center's own patient identifier.
        feature: Only this feature's value, with or without its phase in front.
        center: Where the name could mean several.

    Raises:
        UnknownCaseError: Nobody, or several, are called so.
        UnknownFeatureError: No table has the feature.
    """
    whose = find_patient(workspace, params, name, center)
    sets = uses.training_sets(workspace, whose)
    versions = [
        {"model": v.model, "version": v.number, "state": v.state, "package": v.digest, "training_set": v.training_set}
        for v in uses.versions(workspace, sets)
    ]
    images = [image for room in whose.rooms for image in _images(whose, room, feature)]
    if feature is not None and not any(one["values"] for image in images for one in image["features"]):
        raise UnknownFeatureError(f"there is no {feature}", where=str(whose))
    return Trace(
        center=whose.center,
        case_id=whose.case_id,
        role=whose.room.role,
        images=images,
        training_sets=sets,
        models=[*uses.candidates(workspace, sets), *versions],
        judgements=uses.judgements(workspace, whose),
        scores=uses.scores(workspace, whose),
    )


def _images(whose: Whose, room: Room, feature: str | None) -> list[Row]:
    views, files, tables = room.places.views, raw_files(whose, room), _feature_tables(whose, room)
    acquisition = {_key(row): row for row in _rows(views / ACQUISITION, whose)}
    images = []
    for row in _rows(views / CASES, whose):
        if feature is not None and "." in feature and feature.split(".", 1)[0] != row["phase"]:
            continue
        key, region = _key(row), Region.of_row(row)
        series = acquisition.get(key, {})
        images.append(
            {
                **{name: row[name] for name in ("phase", "roi", "observer", "is_primary")},
                "raw": [file.plain() for file in files if _is_of(file, key)],
                "series": {name: value for name, value in series.items() if name not in KEY_COLUMNS},
                **_volume(row),
                "stored": _stored(room.places.cases, row),
                "records": json.loads(row["steps"]),
                "features": [one for root in tables for one in _features(root, whose, region, feature)],
            }
        )
    return images


def _is_of(file: RawFile, key: CaseKey) -> bool:
    # several lesions of one outline have names of their own behind the region's
    return file.phase == key.phase and (key.roi == file.roi or key.roi.startswith(file.roi))


def _volume(row: Row) -> Row:
    axes = ("x", "y", "z")
    grid = {name: [row[f"{name}_{a}"] for a in axes] for name in ("size", "full_size")}
    grid |= {f"{name}_mm": [row[f"{name}_{a}_mm"] for a in axes] for name in ("spacing", "origin")}
    crop = {"lower": [row[f"crop_{a}"] for a in axes], "size": grid["size"]}
    mask = {name: row[name] for name in ("n_voxels", "volume_ml", "mask_hash")}
    image = {name: row[name] for name in ("image_hash", "image_mean", "image_sd", "image_min", "image_max")}
    return {"grid": {**grid, "direction": json.loads(row["direction"])}, "image": image, "mask": mask, "crop": crop}


def _stored(cases: Path, row: Row) -> Row:
    """Returns how the stored volumes compare with what ingest wrote."""
    return {kind: _compared(cases / row[kind], row[f"{kind}_bytes_hash"]) for kind in ("image", "mask")}


def _compared(path: Path, sha256: str) -> str:
    if not path.is_file():
        return GONE
    return SAME if file_digest(path) == sha256 else OTHER


def _feature_tables(whose: Whose, room: Room) -> list[Path]:
    tables = [root for folder in room.features for root in sorted(folder.glob("*")) if root.name != "qc"]
    return [root for root in tables if whose.center in centers_of(root)]


def _features(root: Path, whose: Whose, region: Region, feature: str | None) -> list[Row]:
    rows = [row for row in _rows(root, whose) if _key(row) == region.key and set(BOOKKEEPING) <= row.keys()]
    return [_feature_row(root, row, region, feature) for row in rows]


def _feature_row(root: Path, row: Row, region: Region, feature: str | None) -> Row:
    schema = read_schema(root)
    notes = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    settings = json.loads(notes.get("settings", "{}")).get(region.key.phase)
    values = {name: value for name, value in row.items() if name not in (*KEY_COLUMNS, *BOOKKEEPING)}
    whole = {name: float("nan") if value is None else value for name, value in values.items()}
    own = _names_of(settings, whole)
    mark = value_hash(region.key, row["fingerprint"], {name: whole[name] for name in own})
    versions = _versions(notes, settings, region, row["fingerprint"])
    bare = None if feature is None else feature.split(".", 1)[-1]
    return {
        "view": root.name,
        "engine": notes.get("engine", ""),
        "feature_set": notes.get("feature_set", ""),
        "versions": versions,
        "settings": settings,
        "fingerprint": row["fingerprint"],
        "value_hash": row["value_hash"],
        "row": SAME if mark == row["value_hash"] else OTHER,
        "n_features": len(own),
        "values": {name: {"value": values[name], **_meaning(schema, name)} for name in values if name == bare},
    }


def _names_of(settings: Mapping[str, object] | None, values: Row) -> list[str]:
    """Returns the features that the phase's settings ask for: the table has those of all phases."""
    from pipelines.radiomics.catalog import names

    if settings is None:
        return list(values)
    return [name for name in names(ExtractionSettings.from_mapping(settings)) if name in values]


def _versions(notes: Mapping[str, str], settings: object, region: Region, fingerprint: str) -> Row | str:
    """Returns the versions that computed a row: those installed, if they give the row's fingerprint."""
    if settings is None or "engine" not in notes:
        return "not recorded"
    by_phase = {region.key.phase: ExtractionSettings.from_mapping(settings)}
    recipe = Recipe(by_phase=by_phase, engine=notes["engine"], feature_set=notes.get("feature_set", ""))
    if recipe.fingerprint(region) != fingerprint:
        return "other than those installed, or another image, mask or setting: `radmill extract` computes the row again"
    return dict(engine_versions(notes["engine"]))


def _meaning(schema: Any, name: str) -> dict[str, str]:
    found = schema.field(name).metadata or {}
    return {key.decode(): value.decode() for key, value in found.items()}


def _rows(root: Path, whose: Whose) -> list[Row]:
    if whose.center not in centers_of(root):
        return []
    rows = read_table(root, centers=[whose.center]).to_pylist()
    return [row for row in rows if row["case_id"] == whose.case_id]


def _key(row: Row) -> CaseKey:
    return CaseKey(**{name: row[name] for name in KEY_COLUMNS})
