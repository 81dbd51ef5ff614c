"""The policy for patients who lack a phase: left out, or kept with nothing known of it."""

import numpy as np
import pandas as pd

from featurestore.joining import joined_frame, joined_lacking
from featurestore.views import FeatureService, ServicePart


def long(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["case_id", "phase", "original_x"])
    return frame.assign(center="north", roi="tumor", observer="", fingerprint="f", value_hash="v")


IMAGES = long([("a", "early", 1.0), ("a", "late", 2.0), ("b", "early", 3.0), ("c", "late", 4.0)])
CLINICAL = long([("a", "clinical", 5.0), ("d", "clinical", 6.0)]).rename(columns={"original_x": "age"})
TABLES = {"radiomics": IMAGES, "clinical": CLINICAL}


def service(fills: bool, joined: bool = False) -> FeatureService:
    joins = (ServicePart(view="clinical", phases=("clinical",), fills=fills),) if joined else ()
    return FeatureService(name="s", view="radiomics", phases=("early", "late"), fills=fills, joins=joins)


def test_who_lacks_a_phase_is_left_out_or_kept() -> None:
    assert joined_frame(TABLES, service(fills=False))["case_id"].tolist() == ["a"]
    kept = joined_frame(TABLES, service(fills=True))
    assert kept["case_id"].tolist() == ["a", "b", "c"]
    assert np.isnan(kept.loc[kept["case_id"] == "b", "late.original_x"]).all()
    assert joined_lacking(TABLES, service(fills=True)).empty
    assert joined_lacking(TABLES, service(fills=False))["case_id"].tolist() == ["b", "c"]


def test_a_joined_row_may_be_lacking_but_not_the_own_view() -> None:
    kept = joined_frame(TABLES, service(fills=True, joined=True))
    assert kept["case_id"].tolist() == ["a", "b", "c"]
    assert kept["clinical.age"].isna().tolist() == [False, True, True]
    assert joined_frame(TABLES, service(fills=False, joined=True))["case_id"].tolist() == ["a"]


def test_the_policy_travels_with_a_package() -> None:
    told = service(fills=True, joined=True)
    assert FeatureService.from_plain(told.plain()) == told
    assert "missing_phase" not in service(fills=False).plain()
