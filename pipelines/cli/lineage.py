"""Commands about one patient: where his values come from, and how he is taken out again."""

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.terminal import print_facts, print_table
from pipelines.params import load_params
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from pipelines.lineage.trace import Trace
    from pipelines.lineage.version import VersionLineage


@click.command()
@click.argument("case")
@click.argument("feature", required=False)
@click.option("--center", help="Where CASE could mean patients of several centers.")
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
def trace(case: str, feature: str | None, center: str | None, as_json: bool) -> None:
    """Follow a patient from raw files to scores.

    CASE is a case_id, its first characters, or the center's own patient identifier; FEATURE (with or without its phase
    in front) shows that value alone. Exits 1 when a raw file, a stored volume or a row is not what was used.
    """
    from pipelines.lineage.trace import trace as follow

    workspace = Workspace.find()
    found = follow(workspace, load_params(workspace.params), case, feature, center)
    if as_json:
        click.echo(json.dumps(found.plain(), indent=2))
    else:
        _show(found)
    raise SystemExit(0 if found.is_sound else 1)


@click.command()
@click.argument("patient")
@click.option("--center", help="Where PATIENT could mean patients of several centers.")
@click.option("--why", default="", help="The reason, for the ledger.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def withdraw(patient: str, center: str | None, why: str, as_json: bool) -> None:
    """Take a patient out of every table and kept training set, and see to it that he does not come back.

    PATIENT is a case_id or the center's own patient identifier. The models that had him are named and marked as not
    reproducible; who still holds him is named with the commands that clean it. Then `radmill run`.
    """
    from pipelines.ingest.pseudonyms import without_identity
    from pipelines.lineage.withdraw import withdraw as step

    workspace = Workspace.find()
    with workspace.lock("radmill withdraw"), workspace.lock("radmill withdraw", name="deployment"):
        told = without_identity(why, (patient,))
        done = step(workspace, load_params(workspace.params), patient, center=center, why=told)
    if as_json:
        click.echo(json.dumps(done.plain(), indent=2))
        return
    print_facts(
        {
            "withdrawn": f"{done.center} / {done.case_id}, now in cohort.withdrawn",
            "rows taken out": f"{sum(done.rows.values())} of {len(done.rows)} files",
            "volumes deleted": done.volumes,
            "candidates that had him": ", ".join(done.candidates) or "none",
        }
    )
    rows = [{"version": v.number, "model": v.model, "state": v.state, "reproducible": False} for v in done.versions]
    print_table("Registered versions that had him", rows)
    print_table("Still holding him", [one.plain() for one in done.holders])


def show_version(found: "VersionLineage") -> None:
    """Prints where a registered version comes from."""
    own, kept, features = found.version, found.training_set, found.features
    prints = ", ".join(f"{phase} {one[:12]}" for phase, one in features["fingerprints"].items())
    members = {f"member {name}": f"package {one['package'][:12]}" for name, one in found.members.items()}
    print_facts(
        {
            "version": f"{own['version']}, {own['model']}, {own['state']}; package {own['package'][:12]}",
            "registered": f"{own['registered']} by {own['by']}, radmill {own['release']}; {own['why']}",
            **members,
            "training set": f"{kept['digest'][:12]}: {kept['patients']} patients, {kept['events']} events"
            + (f"; {kept['withdrawn']} withdrew since" if kept["withdrawn"] else ""),
            "features": f"{features['n']}, feature set {features['feature_set']}, engine {features['engine']}",
            "settings": prints or features["fingerprint"][:12],
            "raw files": f"{found.n_raw} known by hash",
        }
    )
    print_table("Patients by center and split", found.counts)
    names = ("center", "case_id", "split", "label", "row_hash")
    rows = [
        {name: patient[name] for name in names}
        | {"feature rows": len(patient["features"]), "raw files": len(patient["raw"]), "raw": patient["raw_digest"]}
        for patient in found.patients
    ]
    print_table("Patients", [_short(row) for row in rows])


def _show(found: "Trace") -> None:
    print_facts({"patient": f"{found.center} / {found.case_id}", "role": found.role})
    for image in found.images:
        click.echo()
        _show_image(image)
    click.echo()
    print_table("Training sets", [_short(row) for row in found.training_sets])
    print_table("Models", [{"version": "candidate", "state": "", **_short(row)} for row in found.models])
    print_table("Predictions of evaluation", found.judgements)
    names = ("model", "version", "package", "sequence", "probability", "positive")
    print_table("Scores", [{name: row[name] for name in names} for row in map(_short, found.scores)])


def _show_image(image: dict[str, Any]) -> None:
    name = " / ".join(part for part in (image["phase"], image["roi"], image["observer"]) if part)
    kinds = Counter(f"{file['kind']}, {file['disk']}" for file in image["raw"])
    series = {key: value for key, value in image["series"].items() if value is not None}
    grid, crop = image["grid"], image["crop"]
    print_facts(
        {
            name: "features come from it" if image["is_primary"] else "serves agreement",
            "  raw files": "; ".join(f"{count} × {kind} as intake took it" for kind, count in sorted(kinds.items()))
            or "not recorded: run `radmill ingest` once",
            **{f"  {file['kind']} file": f"{file['sha256']}  {file['disk']}" for file in image["raw"][:1]},
            "  series": ", ".join(f"{key} {value}" for key, value in series.items()),
            "  grid": f"{grid['full_size']} voxels of {grid['spacing_mm']} mm",
            "  crop": f"{crop['size']} from {crop['lower']}",
            "  mask": f"{image['mask']['n_voxels']} voxels, {image['mask']['volume_ml']:.3f} ml, "
            f"{image['mask']['mask_hash'][:12]}",
            "  stored": f"image {image['stored']['image']}, mask {image['stored']['mask']}",
            "  steps": ", ".join(_step(record) for record in image["records"]),
        }
    )
    for one in image["features"]:
        _show_features(one)


def _show_features(one: dict[str, Any]) -> None:
    versions = one["versions"]
    told = ", ".join(f"{k} {v}" for k, v in versions.items()) if isinstance(versions, dict) else versions
    print_facts(
        {
            f"  {one['view']}": f"{one['n_features']} features, row {one['row']}, made from {one['fingerprint'][:12]}",
            "  engine": f"{one['engine']} ({told}), feature set {one['feature_set']}",
            "  settings": json.dumps(one["settings"])[:200],
            **{
                f"  {name}": f"{value['value']} {value.get('unit', '')} {value.get('code', '')}".rstrip()
                for name, value in one["values"].items()
            },
        }
    )


def _step(record: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return f"{record['step']} ({versions})" if versions else str(record["step"])


def _short(row: dict[str, Any]) -> dict[str, Any]:
    hashes = ("digest", "package", "training_set", "row_hash", "inputs", "raw")
    return {name: str(value)[:12] if name in hashes else value for name, value in row.items()}
