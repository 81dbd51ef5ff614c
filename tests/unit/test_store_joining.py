"""Services that join views, and the refusal of rows that were made differently."""

import numpy as np
import pandas as pd
import pytest

from featurestore.histograms import histogram, lines, sparkline
from featurestore.joining import MixedSettingsError, joined_frame, joined_lacking, refuse_mixed
from featurestore.views import FeatureService, ServicePart

SERVICE = FeatureService(
    name="both", view="a", phases=("early", "late"), joins=(ServicePart(view="b", phases=("scan",), pattern="^kvp$"),)
)


def long(phases: tuple[str, ...], patients: tuple[str, ...], **columns: float) -> pd.DataFrame:
    rows = [
        {"center": "east", "case_id": p, "phase": phase, "roi": "", "observer": "", **columns}
        for p in patients
        for phase in phases
    ]
    return pd.DataFrame(rows)


def test_a_patient_needs_a_row_in_each_view() -> None:
    tables = {"a": long(("early", "late"), ("p1", "p2"), x=1.0), "b": long(("scan",), ("p2", "p3"), kvp=120.0, mas=9.0)}
    wide = joined_frame(tables, SERVICE)
    assert wide["case_id"].tolist() == ["p2"]
    assert list(wide.columns) == ["center", "case_id", "early.x", "late.x", "scan.kvp"]
    assert joined_lacking(tables, SERVICE)["case_id"].tolist() == ["p1"]


def test_the_record_of_a_service_comes_back_and_is_as_before_without_joins() -> None:
    assert FeatureService.from_plain(SERVICE.plain()) == SERVICE
    plain = FeatureService(name="one", view="a", phases=("late",)).plain()
    assert plain == {"name": "one", "view": "a", "phases": ["late"], "columns": ".*"}


def test_exact_columns_are_kept_even_without_a_value() -> None:
    tables = {"a": long(("early", "late"), ("p1",), x=1.0), "b": long(("scan",), ("p1",), kvp=np.nan, mas=1.0)}
    tables["b"]["kvp"] = [np.nan]
    with_values = tables | {"b": long(("scan",), ("p1",), kvp=1.0)}
    columns = ["late.x", "scan.kvp"]
    assert list(joined_frame(with_values, SERVICE, columns).columns) == ["center", "case_id", *columns]


def test_both_settings_are_named_where_they_part() -> None:
    notes = {"settings": '{"late": {"setting": {"binWidth": 25}}}', "feature_set": "1"}
    refuse_mixed({"east": notes, "west": dict(notes)}, "view a")
    other = {**notes, "settings": '{"late": {"setting": {"binWidth": 50}}}'}
    with pytest.raises(MixedSettingsError, match=r"east and west were made differently: settings.*binWidth: 25 and 50"):
        refuse_mixed({"east": notes, "west": other}, "view a")
    with pytest.raises(MixedSettingsError, match="feature_set: 1 and 2"):
        refuse_mixed({"east": notes, "west": {**notes, "feature_set": "2"}}, "view a")


def test_a_histogram_counts_every_value_once() -> None:
    values = np.array([0.0, 1.0, 1.0, 2.0, np.nan, 10.0])
    assert histogram(values, 5).counts.tolist() == [3, 1, 0, 0, 1]
    assert histogram(values, 5).n_missing == 1
    assert len(sparkline(values)) == 12
    assert sparkline(np.array([np.nan])) == ""
    assert lines(values, 5)[-1] == "missing: 1"
