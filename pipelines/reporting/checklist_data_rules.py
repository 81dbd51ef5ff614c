"""Answers about patients, images, outlines and extraction."""

from typing import Any

import pandas as pd

from pipelines.params.data import Rule as CohortRule
from pipelines.reporting.checklist_records import Evidence, Records, Rule, by_phase, listed
from pipelines.reporting.flow import flow_rows

ACQUIRED = {
    "manufacturer": "scanners",
    "kvp": "tube voltage (kV)",
    "kernel": "kernels",
    "slice_thickness_mm": "slice thickness (mm)",
    "spacing_x_mm": "pixel spacing (mm)",
    "contrast_delay_s": "delay (s)",
}
INTERPOLATOR = "sitkBSpline"
"""PyRadiomics's own default."""


def eligibility(records: Records) -> Evidence | None:
    """The rules of the cohort flow."""
    cohort = records.params.cohort
    parts = [f"included: {listed(map(_condition, cohort.include))}"] if cohort.include else []
    parts += [f"excluded: {listed(map(_condition, cohort.exclude))}"] if cohort.exclude else []
    parts += ["cases put aside by hand with their reasons"] if cohort.rejected else []
    return Evidence(record="params.yaml: cohort", value="; ".join(parts)) if parts else None


def flow(records: Records) -> Evidence | None:
    """From sent to used, with the reasons between."""
    rows = flow_rows(records.files.qc)
    if not rows:
        return None
    words = [f"{row.words.lower()} {row.reason}".strip() + f" {row.total.patients}" for row in rows]
    return Evidence(record="data/views/*/qc, data/features/*/qc", value=f"patients: {listed(words)}")


def centers(records: Records) -> Evidence | None:
    """Which centers give which part."""
    known = records.params.centers
    parts = [f"development: {listed(known.development)}"] if known.development else []
    parts += [f"external validation: {listed(known.external)}"] if known.external else []
    return Evidence(record="params.yaml: centers", value="; ".join(parts)) if parts else None


def multicenter(records: Records) -> Evidence | None:
    """Whether patients of more than one center count."""
    if records.files.predictions.empty:
        return None
    found = sorted(set(records.files.predictions["center"]))
    value = f"{len(found)} center{'' if len(found) == 1 else 's'}: {listed(found)}"
    return Evidence(record="data/evaluation/predictions.parquet: center", value=value, is_done=len(found) > 1)


def quality_checks(records: Records) -> Evidence | None:
    """How many cases were checked, and what the checks found."""
    qc = records.files.qc
    if qc.empty:
        return None
    cases = qc[(qc["item"] == "") & (qc["case_id"] != "")]
    counts = cases["status"].value_counts()
    value = f"{len(cases)} cases: {listed(f'{name} {n}' for name, n in counts.sort_index().items())}"
    return Evidence(record="data/views/*/qc, data/features/*/qc", value=value)


def acquisition(records: Records) -> Evidence | None:
    """What the files say of the images."""
    frame = records.acquisition
    found = [f"{words} {_spread(frame[name])}" for name, words in ACQUIRED.items() if _is_known(frame, name)]
    return Evidence(record="data/views/*/acquisition", value="; ".join(found)) if found else None


def outlines(records: Records) -> Evidence | None:
    """Regions, observers and formats."""
    cases = records.cases
    if cases.empty:
        return None
    rules = records.params.ingest
    observers = sorted({str(name) for name in cases["observer"]} - {""})
    form = sorted(set(records.acquisition["format"].dropna())) if _is_known(records.acquisition, "format") else []
    parts = [f"{len(cases)} outlines of {rules.roi.name}", f"several lesions: {rules.roi_policy}"]
    parts += [f"observers {listed(observers)}, features from {rules.observer_policy}"] if observers else []
    parts += [f"read from {listed(form)}"] if form else []
    return Evidence(record="data/views/*/cases; params.yaml: ingest", value="; ".join(parts))


def label(records: Records) -> Evidence | None:
    """The outcome's column and values."""
    own = records.params.label
    value = f"{own.name}: {own.column}, positive {listed(own.positive)}, negative {listed(own.negative)}"
    return Evidence(record="params.yaml: label", value=value)


def clinical_columns(records: Records) -> Evidence | None:
    """The declared clinical columns."""
    columns = records.params.ingest.clinical
    said = [f"{name} ({column.unit or column.kind})" for name, column in columns.items()]
    return Evidence(record="params.yaml: ingest.clinical", value=listed(said, 20)) if said else None


def image_processing(records: Records) -> Evidence | None:
    """Normalization, cropping and discretization of the training images."""
    if not records.settings:
        return None
    margin = records.params.margin
    crop = f"cropped to the region and {margin.mm:g} mm or {margin.voxels} voxels around it, which changes no value"
    value = f"{by_phase(records.settings, _normalization)}; {crop}"
    return Evidence(record=records.training_path("extraction.by_phase.<phase>.setting"), value=value)


def resampling(records: Records) -> Evidence | None:
    """Voxel size and interpolation."""
    if not records.settings:
        return None
    value = by_phase(records.settings, _resampling)
    return Evidence(record=records.training_path("extraction.by_phase.<phase>.setting"), value=value)


def isotropy(records: Records) -> Evidence | None:
    """Whether voxels have equal sides where features are three-dimensional."""
    if not records.settings:
        return None
    uneven = [phase for phase, own in records.settings.items() if not _is_even(own)]
    value = "every phase is resampled to equal sides, or read slice by slice"
    if uneven:
        value = f"3D features of voxels as acquired, whose sides differ: {listed(uneven)}"
    path = records.training_path("extraction.by_phase.<phase>.setting")
    return Evidence(record=path, value=value, is_done=not uneven)


def discretization(records: Records) -> Evidence | None:
    """Bin width or count."""
    if not records.settings:
        return None
    value = by_phase(records.settings, _bins)
    return Evidence(record=records.training_path("extraction.by_phase.<phase>.setting"), value=value)


def image_types(records: Records) -> Evidence | None:
    """Filters and their parameters."""
    if not records.settings:
        return None
    value = by_phase(records.settings, _image_types)
    return Evidence(record=records.training_path("extraction.by_phase.<phase>.imageType"), value=value)


def feature_classes(records: Records) -> Evidence | None:
    """Feature classes with how many features each has."""
    if not records.settings:
        return None
    value = by_phase(records.settings, lambda own: listed(f"{k} {len(v)}" for k, v in own["featureClass"].items()))
    return Evidence(record=records.training_path("extraction.by_phase.<phase>.featureClass"), value=value)


def extractor(records: Records) -> Evidence | None:
    """Which engine and version computed."""
    engine = records.training.get("extraction", {}).get("engine")
    if not engine:
        return None
    feature_set = records.training.get("feature_set", records.params.radmill.feature_set)
    value = (
        f"hand-crafted 3D features under PyRadiomics's names and definitions, engine {engine} of radmill, feature set "
        f"{feature_set}; checked against the IBSI reference values (radmill doctor --ibsi)"
    )
    return Evidence(record=records.training_path("extraction.engine"), value=value)


def defaults(records: Records) -> Evidence | None:
    """That everything not named is PyRadiomics's default, with the settings' fingerprint."""
    fingerprint = records.training.get("extraction", {}).get("fingerprint")
    if not fingerprint:
        return None
    value = f"every setting not named is PyRadiomics 3.1's default; fingerprint of all settings {fingerprint[:16]}"
    return Evidence(record=records.training_path("extraction.fingerprint"), value=value)


def pipeline(records: Records) -> Evidence | None:
    """The flowchart of the steps."""
    if not (records.workspace.root / "dvc.yaml").is_file():
        return None
    value = "figure “pipeline” of radmill report --paper; the graph itself by dvc dag"
    return Evidence(record="dvc.yaml: stages", value=value)


def has_handcrafted(records: Records) -> Evidence | None:
    """Whether hand-crafted features are in some training set."""
    if not records.files.records:
        return None
    found = [name for name, record in records.files.records.items() if _inner(record).get("extraction")]
    value = f"services with extracted features: {listed(found) or 'none'}"
    return Evidence(record="data/training/*/record.json: extraction", value=value, is_done=bool(found))


def has_tabular(records: Records) -> Evidence | None:
    """Whether there are training sets in tables."""
    found = list(records.files.records)
    if not found:
        return None
    return Evidence(record="data/training/*/record.json", value=f"training sets in tables: {listed(found)}")


def batch_effects(records: Records) -> Evidence | None:
    """How much features tell of center and scanner, and whether the best model harmonizes."""
    rows = records.files.validation.get("associations", [])
    if not rows:
        return None
    worst: dict[str, float] = {}
    for row in rows:
        worst[row["batch"]] = max(worst.get(row["batch"], 0.0), row["before"])
    told = listed(f"{batch} up to {100 * share:.0f} % of features" for batch, share in sorted(worst.items()))
    model = records.params.models.get(records.files.best or "")
    steps = "ComBat in each training fold" if model is not None and model.harmonization else "no harmonization"
    return Evidence(
        record="data/validation.json: associations", value=f"associated with {told}; the chosen model: {steps}"
    )


def _inner(record: dict[str, Any]) -> dict[str, Any]:
    return dict(record.get("record", record))


def _condition(rule: CohortRule) -> str:
    return rule.reason


def _is_known(frame: pd.DataFrame, name: str) -> bool:
    return name in frame and bool(frame[name].notna().any())


def _spread(column: "pd.Series[Any]") -> str:
    known = column.dropna()
    if pd.api.types.is_numeric_dtype(known):
        low, high = float(known.min()), float(known.max())
        return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    return listed(sorted(set(known.astype(str))))


def _normalization(own: dict[str, Any]) -> str:
    setting = own.get("setting", {})
    if not setting.get("normalize"):
        return "gray values as sent, not normalized"
    return f"normalized to mean 0 and sd {setting.get('normalizeScale', 1):g}"


def _resampling(own: dict[str, Any]) -> str:
    setting = own.get("setting", {})
    spacing = setting.get("resampledPixelSpacing")
    if not spacing or not any(spacing):
        return "not resampled: voxels as acquired"
    return f"to {' × '.join(f'{size:g}' for size in spacing)} mm, {setting.get('interpolator', INTERPOLATOR)}"


def _is_even(own: dict[str, Any]) -> bool:
    setting = own.get("setting", {})
    spacing = [size for size in setting.get("resampledPixelSpacing") or [] if size]
    return bool(setting.get("force2D")) or (len(spacing) == 3 and len(set(spacing)) == 1)


def _bins(own: dict[str, Any]) -> str:
    setting = own.get("setting", {})
    if setting.get("binCount"):
        return f"{setting['binCount']:g} bins of equal width"
    return f"fixed bin width {setting.get('binWidth', 25):g}"


def _image_types(own: dict[str, Any]) -> str:
    return listed(
        f"{name} ({listed(f'{key} {value}' for key, value in keys.items())})" if keys else name
        for name, keys in own.get("imageType", {}).items()
    )


DATA_RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        eligibility, flow, centers, multicenter, quality_checks, acquisition, outlines, label, clinical_columns,
        pipeline, image_processing, resampling, isotropy, discretization, image_types, feature_classes, extractor,
        defaults, has_handcrafted, has_tabular, batch_effects,
    )
}  # fmt: skip
