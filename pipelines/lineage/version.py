"""Where a registered version comes from: its training set, the patients in it, their feature rows and raw files."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from featurestore.entities import KEY_COLUMNS
from featurestore.errors import InputError
from featurestore.fingerprints import digest
from featurestore.tables import centers_of, read_frame
from featurestore.training_sets import TrainingSet
from pipelines.ingest.places import study_places
from pipelines.params import Params
from pipelines.workspace import Role, Workspace
from registry.lifecycle import Registry
from registry.states import ModelVersion

Row = dict[str, Any]
Patient = tuple[str, str]
_ROLE: Role = "development"
_OF_ROW = ("fingerprint", "value_hash")


class TrainingSetAbsentError(InputError):
    """The version's training set is not on this machine."""

    default_remedy = "fetch it with `dvc pull`"


@dataclass(frozen=True, kw_only=True)
class VersionLineage:
    """Everything that a version rests on.

    Args:
        version: Number, model, state, package, release, when and by whom it was registered, evidence.
        training_set: Digest, patients, events, how many withdrew since, and how it was made.
        members: Of a fusion: each member's package and training set.
        features: Feature set, engine, and the fingerprint of the settings of each phase.
        counts: Patients and events by center and split.
        patients: One entry a patient: center, case_id, split, label, row hash, feature rows and raw files.
    """

    version: Row
    training_set: Row
    members: dict[str, Row]
    features: Row
    counts: list[Row]
    patients: list[Row] = field(default_factory=list)

    def plain(self) -> Row:
        """Returns the lineage as JSON types."""
        return asdict(self)

    @property
    def n_raw(self) -> int:
        """How many raw files are known by their hash."""
        return len({file["path_id"] for patient in self.patients for file in patient["raw"] if file["sha256"]})


def version_lineage(workspace: Workspace, params: Params, selector: str) -> VersionLineage:
    """Follows a version down to the hashes of raw files.

    What is not on this machine is left out: a clone without tables still tells training set, patients and versions.

    Args:
        workspace: The study.
        params: Its settings.
        selector: An alias, a number, a digest's beginning or a model's name.

    Raises:
        UnknownVersionError: There is no such version.
        TrainingSetAbsentError: Its training set is not here.
        PackageAbsentError: Its package is not here.
    """
    registry = Registry(workspace.root)
    version = registry.version(selector)
    folder = registry.models / "training" / version.training_set
    if not folder.is_dir():
        where = f"version {version.number} ({version.model})"
        raise TrainingSetAbsentError(f"training set {version.training_set[:12]} is not here", where=where)
    kept, manifest = TrainingSet.load(folder), registry.package(version).manifest
    told = kept.record.get("extraction", {})
    return VersionLineage(
        version=_version(version, manifest),
        training_set={
            "digest": version.training_set,
            "patients": len(kept.y),
            "events": int(kept.y.sum()),
            "withdrawn": version.withdrawn,
            "service": kept.record.get("service", {}),
            "split": kept.record.get("split", {}),
            "label": kept.record.get("label", ""),
        },
        members=dict(kept.record.get("members", {})),
        features={
            "feature_set": manifest["feature_set"],
            "engine": told.get("engine", ""),
            "fingerprint": manifest["extraction"].get("fingerprint", ""),
            "fingerprints": dict(told.get("fingerprints", {})),
            "n": len(manifest["features"]),
        },
        counts=list(kept.record.get("counts", [])),
        patients=_patients(workspace, params, kept),
    )


def _version(version: ModelVersion, manifest: Mapping[str, Any]) -> Row:
    first = version.history[0]
    return {
        "version": version.number,
        "model": version.model,
        "state": version.state,
        "package": version.digest,
        "release": manifest["release"],
        "registered": first.when,
        "by": first.who,
        "why": first.why,
        "evidence": version.evidence,
    }


def _patients(workspace: Workspace, params: Params, kept: TrainingSet) -> list[Row]:
    raw, rows = _raw(workspace, params, set(kept.center.tolist())), _feature_rows(workspace, set(kept.center.tolist()))
    found = []
    for place, patient in enumerate(zip(kept.center.tolist(), kept.case_id.tolist(), strict=True)):
        files = raw.get(patient, [])
        found.append(
            {
                "center": patient[0],
                "case_id": patient[1],
                "split": str(kept.split[place]),
                "label": int(kept.y[place]),
                "row_hash": kept.row_hashes[place],
                "features": rows.get(patient, []),
                "raw": files,
                "raw_digest": digest(sorted(str(file["sha256"]) for file in files)) if files else "",
            }
        )
    return found


def _raw(workspace: Workspace, params: Params, centers: set[str]) -> dict[Patient, list[Row]]:
    """Returns the files that each patient's cases were read from, with the hashes that intake took."""
    places = study_places(workspace, params, _ROLE)
    root = places.views / "sources"
    own = sorted(centers & set(centers_of(root)))
    if not own:
        return {}
    listed = read_frame(places.intake, centers=sorted(set(own) & set(centers_of(places.intake))))
    taken = {(row["center"], row["path_id"]): row for row in listed.to_dict("records")}
    found: dict[Patient, list[Row]] = {}
    sources = read_frame(root, centers=own).sort_values([*KEY_COLUMNS[:4], "path_id"])
    for row in sources.to_dict("records"):
        known = taken.get((row["center"], row["path_id"]), {})
        file: Row = {name: str(row[name]) for name in ("phase", "roi", "kind", "path_id")}
        file |= {"sha256": str(known.get("sha256", "")), "bytes": int(known.get("bytes", 0))}
        found.setdefault((row["center"], row["case_id"]), []).append(file)
    return found


def _feature_rows(workspace: Workspace, centers: set[str]) -> dict[Patient, list[Row]]:
    """Returns what decided each patient's rows as they are now, and the hash of their values, by view and phase."""
    found: dict[Patient, list[Row]] = {}
    for folder in sorted(path for path in workspace.features(_ROLE).parent.glob("*") if path.name != "qc"):
        own = sorted(centers & set(centers_of(folder)))
        if not own:
            continue
        for row in read_frame(folder, centers=own, columns=[*KEY_COLUMNS, *_OF_ROW]).to_dict("records"):
            told = {"view": folder.name, **{name: str(row[name]) for name in ("phase", "roi", "observer", *_OF_ROW)}}
            found.setdefault((row["center"], row["case_id"]), []).append(told)
    return found
