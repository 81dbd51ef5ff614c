"""The tables that intake and ingest write: their keys, columns, units and descriptions."""

from collections.abc import Mapping
from typing import Literal

from featurestore.entities import KEY_COLUMNS, PATIENT_COLUMNS, CaseKey
from featurestore.schemas import Column, Kind, TableSchema
from pipelines.params.data import ClinicalColumn, LabelSection

Status = Literal["ok", "warned", "refused", "failed", "excluded"]
Row = dict[str, object]

QC_KEYS = (*KEY_COLUMNS, "stage", "item")
AXES = ("x", "y", "z")

INTAKE = TableSchema(
    name="intake",
    keys=("center", "path_id"),
    columns=(
        Column(name="bytes", kind="integer", unit="B", description="size of the file as it was taken"),
        Column(name="sha256", kind="string", description="hash of the file as it was taken"),
    ),
)

CASES = TableSchema(
    name="cases",
    columns=(
        Column(name="image", kind="string", description="stored image, relative to the cases folder"),
        Column(name="mask", kind="string", description="stored mask, relative to the cases folder"),
        Column(name="image_hash", kind="string", description="voxels and grid of the stored image"),
        Column(name="mask_hash", kind="string", description="voxels and grid of the stored mask"),
        Column(name="image_bytes_hash", kind="string", description="bytes of the stored image file"),
        Column(name="mask_bytes_hash", kind="string", description="bytes of the stored mask file"),
        Column(name="source_hash", kind="string", description="source files and rules; decides whether to read again"),
        *(Column(name=f"size_{a}", kind="integer", unit="voxels", description="stored size") for a in AXES),
        *(Column(name=f"spacing_{a}_mm", unit="mm", description="distance of voxel centers") for a in AXES),
        *(Column(name=f"origin_{a}_mm", unit="mm", description="first stored voxel in the patient") for a in AXES),
        Column(name="direction", kind="string", description="nine direction cosines, row by row, as JSON"),
        *(Column(name=f"full_size_{a}", kind="integer", unit="voxels", description="size as sent") for a in AXES),
        *(Column(name=f"full_origin_{a}_mm", unit="mm", description="first voxel as sent") for a in AXES),
        *(Column(name=f"crop_{a}", kind="integer", unit="voxels", description="first stored voxel") for a in AXES),
        Column(name="n_voxels", kind="integer", unit="voxels", description="size of the region"),
        Column(name="volume_ml", unit="ml", description="volume of the region"),
        Column(name="image_mean", description="mean of the whole image, which normalization needs"),
        Column(name="image_sd", description="standard deviation (n - 1) of the whole image"),
        Column(name="image_min", description="smallest value of the whole image, which filters need"),
        Column(name="image_max", description="largest value of the whole image, which filters need"),
        Column(name="is_primary", kind="boolean", description="whether features come from this outline"),
        Column(name="steps", kind="string", description="step records as JSON"),
    ),
)

ACQUISITION = TableSchema(
    name="acquisition",
    columns=(
        Column(name="manufacturer", kind="string", description="maker of the scanner"),
        Column(name="model", kind="string", description="model of the scanner"),
        Column(name="kernel", kind="string", description="reconstruction kernel"),
        Column(name="kvp", unit="kV", description="tube voltage"),
        Column(name="slice_thickness_mm", unit="mm", description="nominal slice thickness"),
        *(Column(name=f"spacing_{a}_mm", unit="mm", description="distance of voxel centers") for a in AXES),
        Column(name="contrast_delay_s", unit="s", description="from contrast start to acquisition"),
        Column(name="format", kind="string", description="dicom+rtstruct, dicom+seg, nifti or nrrd"),
    ),
)

SOURCES = TableSchema(
    name="sources",
    keys=(*KEY_COLUMNS[:4], "path_id"),
    columns=(Column(name="kind", kind="string", description="image, or the kind of file that holds the outline"),),
)
"""Which files, by their pseudonyms in intake's table, the images and outlines of a case were read from."""

QC = TableSchema(
    name="qc",
    keys=QC_KEYS,
    columns=(
        Column(name="status", kind="string", description="ok, warned, refused, failed or excluded"),
        Column(name="code", kind="string", description="one word for the cause; empty when ok"),
        Column(name="message", kind="string", description="what was seen"),
        Column(name="remedy", kind="string", description="what to do about it"),
    ),
)
"""One row with an empty `item` says how a case ended; rows with an `item` (the pseudonym of a file or series, or a
column's name) say something about that item alone."""

_KINDS: dict[str, Kind] = {
    "number": "float",
    "integer": "integer",
    "category": "string",
    "boolean": "boolean",
    "text": "string",
}


def clinical_schema(columns: Mapping[str, ClinicalColumn]) -> TableSchema:
    """Returns the schema of the clinical table: the declared columns, typed."""
    return TableSchema(
        name="clinical",
        keys=PATIENT_COLUMNS,
        columns=tuple(
            Column(name=name, kind=_KINDS[column.kind], unit=column.unit, description=column.description)
            for name, column in columns.items()
        ),
    )


def outcomes_schema(label: LabelSection) -> TableSchema:
    """Returns the schema of the outcomes table."""
    return TableSchema(
        name="outcomes",
        keys=PATIENT_COLUMNS,
        columns=(
            Column(name="label", kind="integer", description=f"{label.name}: 1 positive, 0 negative, null not known"),
            Column(name="value", kind="string", description=f"{label.column} as sent"),
        ),
    )


def qc_row(
    key: CaseKey,
    status: Status,
    *,
    code: str = "",
    message: str = "",
    remedy: str = "",
    stage: str = "ingest",
    item: str = "",
) -> Row:
    """Returns one row of the quality-control table."""
    return {
        **key.columns(),
        "stage": stage,
        "item": item,
        "status": status,
        "code": code,
        "message": message,
        "remedy": remedy,
    }


def patient_key(center: str, case_id: str, phase: str = "", roi: str = "") -> CaseKey:
    """Returns the key of something that concerns a patient, a phase, or (without `case_id`) a file alone."""
    return CaseKey(center=center, case_id=case_id, phase=phase, roi=roi, observer="")
