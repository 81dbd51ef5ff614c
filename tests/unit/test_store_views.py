"""Feature views become one row a patient, the same for training, evaluation and scoring."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from featurestore.schemas import Column, TableSchema
from featurestore.tables import write_center
from featurestore.views import (
    FeatureService,
    FeatureView,
    MissingColumnsError,
    SeveralRegionsError,
    feature_names,
    lacking,
    service_columns,
    wide_frame,
)

SERVICE = FeatureService(name="both", view="radiomics", phases=("late", "early"))


def row(case: str, phase: str, mean: float = 1.0, range_: float = 2.0, roi: str = "tumor") -> dict[str, object]:
    key = {"center": "north", "case_id": case, "phase": phase, "roi": roi, "observer": ""}
    return {**key, "firstorder_Mean": mean, "shape_Range": range_, "fingerprint": "f", "value_hash": "v"}


def table(*rows: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def test_columns_follow_the_services_phases_and_rows_the_patients() -> None:
    wide = wide_frame(
        table(row("b", "early", 3), row("a", "late", 2), row("a", "early", 1), row("b", "late", 4)), SERVICE
    )
    assert list(wide.columns) == [
        "center",
        "case_id",
        "late.firstorder_Mean",
        "late.shape_Range",
        "early.firstorder_Mean",
        "early.shape_Range",
    ]
    assert wide["case_id"].tolist() == ["a", "b"]
    assert wide["late.firstorder_Mean"].tolist() == [2.0, 4.0]
    assert wide["early.firstorder_Mean"].tolist() == [1.0, 3.0]


def test_a_patient_without_a_phase_is_left_out_and_named() -> None:
    long = table(row("a", "early"), row("a", "late"), row("b", "early"))
    assert wide_frame(long, SERVICE)["case_id"].tolist() == ["a"]
    assert lacking(long, SERVICE).to_dict("records") == [{"center": "north", "case_id": "b", "phases": "late"}]


def test_a_row_without_any_value_counts_as_absent() -> None:
    long = table(row("a", "early"), row("a", "late"), row("b", "early"), row("b", "late", np.nan, np.nan))
    assert wide_frame(long, SERVICE)["case_id"].tolist() == ["a"]
    assert lacking(long, SERVICE)["case_id"].tolist() == ["b"]


def test_infinite_values_become_missing() -> None:
    wide = wide_frame(
        table(row("a", "early", np.inf), row("b", "early", 1.0)), FeatureService(name="e", view="r", phases=("early",))
    )
    assert np.isnan(wide["early.firstorder_Mean"][0])


def test_a_column_that_a_phase_does_not_have_is_left_out() -> None:
    wide = wide_frame(table(row("a", "early"), row("a", "late", 2.0, np.nan)), SERVICE)
    assert "late.shape_Range" not in wide
    assert "early.shape_Range" in wide


def test_the_pattern_is_searched_in_names() -> None:
    service = FeatureService(name="s", view="r", phases=("early",), pattern="^shape_")
    assert list(wide_frame(table(row("a", "early")), service).columns) == ["center", "case_id", "early.shape_Range"]


def test_exact_columns_keep_their_order_even_when_empty() -> None:
    """A new hospital's first patient may lack a value; the package's columns must stay."""
    columns = ["early.shape_Range", "late.firstorder_Mean"]
    wide = wide_frame(table(row("a", "early", 1.0, np.nan), row("a", "late")), SERVICE, columns)
    assert list(wide.columns) == ["center", "case_id", *columns]
    assert np.isnan(wide["early.shape_Range"][0])


def test_a_column_the_table_lacks_is_named() -> None:
    with pytest.raises(MissingColumnsError, match=r"late\.glcm_Contrast"):
        wide_frame(table(row("a", "early"), row("a", "late")), SERVICE, ["late.glcm_Contrast"])


def test_several_regions_of_a_patient_are_refused() -> None:
    with pytest.raises(SeveralRegionsError, match="left, right"):
        wide_frame(table(row("a", "early", roi="left"), row("a", "early", roi="right"), row("a", "late")), SERVICE)


def test_an_empty_table_gives_no_rows() -> None:
    assert wide_frame(pd.DataFrame(), SERVICE, ["early.shape_Range"]).empty
    assert lacking(pd.DataFrame(), SERVICE).empty


def test_service_survives_json() -> None:
    assert FeatureService.from_plain(SERVICE.plain()) == SERVICE


def test_units_follow_the_feature_into_every_phase(tmp_path: Path) -> None:
    columns = (
        Column(name="firstorder_Mean", unit="HU", description="mean", code="Q4LE"),
        Column(name="shape_Range"),
        Column(name="fingerprint", kind="string"),
        Column(name="value_hash", kind="string"),
    )
    write_center(tmp_path / "radiomics", "north", table(row("a", "early")), TableSchema(name="r", columns=columns))
    view = FeatureView.of(tmp_path / "radiomics")
    assert view.name == "radiomics"
    assert [column.name for column in view.columns] == ["firstorder_Mean", "shape_Range"]
    assert service_columns(view, SERVICE)["late.firstorder_Mean"].unit == "HU"


def test_bookkeeping_is_no_feature() -> None:
    assert feature_names(table(row("a", "early"))) == ["firstorder_Mean", "shape_Range"]
