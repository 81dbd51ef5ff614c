"""A patient whom two centers sent is found by content, before any model is judged on whom it learned from."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from featurestore.schemas import Column, TableSchema
from featurestore.tables import write_center
from pipelines.evaluation.evaluate import evaluate
from pipelines.evaluation.repeated import REPEATED, RepeatedPatientsError, findings, repeated_patients, stop_on_repeated
from pipelines.params.reading import parse_params
from pipelines.reporting.cautions import _repeated
from pipelines.training.validate import examine
from pipelines.workspace import ROLES


@pytest.fixture
def two(cohort):
    """A development and an external center; the same scan lies in both, under other names, axes, format and mask."""
    cohort.settings["centers"]["external"] = {"beta": {}}
    cohort.save()
    cohort.nifti("alpha", "P-0001", ("ct",))
    own = cohort.nifti("alpha", "P-0002", ("ct",))
    cohort.nifti("beta", "X-1", ("ct",))
    copy = cohort.nifti("beta", "X-2", ("ct",))
    image = sitk.Flip(sitk.ReadImage(str(own / "ct.nii.gz")), [True, False, False])
    sitk.WriteImage(image, str(copy / "ct.nrrd"))
    mask = np.zeros((12, 20, 24), np.uint8)
    mask[2:9, 3:12, 10:20] = 1
    outline = sitk.GetImageFromArray(mask)
    outline.CopyInformation(image)
    sitk.WriteImage(outline, str(copy / "ct_mask.nrrd"))
    for name in ("ct.nii.gz", "ct_mask.nii.gz"):
        (copy / name).unlink()
    cohort.take_in()
    for role in ("development", "external"):
        cohort.read(role)
    return cohort


def test_the_same_scan_in_two_centers_is_found_in_any_format_and_stops_the_judging(two) -> None:
    (row,) = repeated_patients(two.workspace, two.params)
    assert (row["role"], row["center"], row["other_role"], row["other_center"]) == (
        "development", "alpha", "external", "beta",
    )  # fmt: skip
    assert row["seen_in"] == "image"
    ids = {c: set(two.table("cases", r)["case_id"]) for c, r in (("alpha", "development"), ("beta", "external"))}
    assert row["case_id"] in ids["alpha"]
    assert row["other_case_id"] in ids["beta"]
    assert repeated_patients(two.workspace, two.params, ("development",)) == []
    assert repeated_patients(two.workspace, two.params, ("external",)) == []
    with pytest.raises(RepeatedPatientsError, match="one patient is two") as told:
        evaluate(two.workspace, two.params)
    assert "cohort.rejected" in told.value.remedy
    assert not two.workspace.evaluation.exists()
    _told_only_and_on_the_page(two)


def _told_only_and_on_the_page(two) -> None:
    two.settings["validation"]["severity"] = {"repeated_patients": "warning"}
    two.save()
    rows = repeated_patients(two.workspace, two.params)
    stop_on_repeated(rows, two.params)
    frame = pd.DataFrame(rows, columns=list(REPEATED))
    (caution,) = _repeated(SimpleNamespace(tables={"repeated": frame}), {})  # type: ignore[arg-type]
    assert caution.level == "serious"
    assert "1 external patients are patients whom the models were made with" in caution.text
    assert not list(_repeated(SimpleNamespace(tables={"repeated": frame[:0]}), {}))  # type: ignore[arg-type]


def test_two_development_centers_with_one_patient_stop_before_anybody_learns(two) -> None:
    keys = {name: {"key_id": one.key_id} for role in ROLES for name, one in two.params.centers.of(role).items()}
    two.settings["centers"] = {"development": keys, "external": {}}
    two.save()
    two.take_in()
    two.read()
    rows = repeated_patients(two.workspace, two.params, ("development",))
    assert [(row["center"], row["other_center"]) for row in rows] == [("alpha", "beta")]
    assert findings(rows)[0].severity == "error"
    found = [finding for finding in examine(two.workspace, two.params).findings if finding.rule == "repeated_patients"]
    assert len(found) == 1


def test_rows_of_a_foreign_table_with_the_same_numbers_are_one_patient(tmp_path, cohort) -> None:
    settings = cohort.settings
    settings["centers"] = {"development": {"east": {}}, "external": {"west": {}}}
    settings["imported"] = {"ct": {"phases": ["ct"]}}
    params = parse_params(settings)
    names = [f"original_f{n}" for n in range(6)]
    schema = TableSchema(name="ct", columns=tuple(Column(name=name) for name in names))
    rng = np.random.default_rng(4)
    values = rng.normal(size=(2, 6))
    whole = np.arange(6.0)
    for center, rows in (("east", [values[0], whole]), ("west", [values[0], values[1], whole])):
        keys = {"center": center, "phase": "ct", "roi": "", "observer": ""}
        made = pd.DataFrame(np.array(rows), columns=names)
        made = made.assign(case_id=[f"{center}{n}" for n in range(len(rows))], **keys)
        write_center(cohort.workspace.imported("ct"), center, made, schema)
    (row,) = repeated_patients(cohort.workspace, params)
    assert (row["case_id"], row["other_case_id"], row["seen_in"]) == ("east0", "west0", "row of ct")
