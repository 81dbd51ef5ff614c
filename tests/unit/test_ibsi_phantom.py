"""`radmill doctor --ibsi`: the phantom needs no data beside the package, and a wrong value is found."""

import json

import pytest
from click.testing import CliRunner

from pipelines.cli import radmill
from pipelines.radiomics import ibsi
from pipelines.radiomics.fast.engine import FastEngine

EXPLAINED = {"shape_LeastAxisLength", "shape_MinorAxisLength", "firstorder_Kurtosis"}


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    return FastEngine(ibsi.SETTINGS).execute(*ibsi.phantom())


def verdicts(found: dict[str, float]) -> dict[str, str]:
    return {row.feature: row.verdict for row in ibsi.compare(found, ibsi.references(), 8.0)}


def test_the_doctor_shows_each_feature_and_counts_them() -> None:
    done = CliRunner().invoke(radmill, ["doctor", "--ibsi"])
    assert done.exit_code == 0
    assert done.output.splitlines()[-1].startswith("96 of 98 inside the consensus tolerance; explained: ")
    assert all(feature in done.output for feature in ibsi.references())
    assert "divides the covariance by n" in done.output


def test_what_is_outside_has_a_reason_that_accounts_for_all_of_it(found: dict[str, float]) -> None:
    rows = ibsi.compare(found, ibsi.references(), 8.0)
    assert {row.feature for row in rows if row.verdict == "explained"} == EXPLAINED
    assert all(row.reason for row in rows if row.verdict == "explained")
    assert not [row for row in rows if row.verdict == "outside"]


@pytest.mark.parametrize("feature", ["glcm_Idm", "firstorder_Kurtosis", "shape_LeastAxisLength", "shape_MeshVolume"])
def test_a_false_value_is_found_even_where_a_difference_is_known(found: dict[str, float], feature: str) -> None:
    """A stated reason explains its own difference, and hides no other."""
    false = {**found, f"original_{feature}": found[f"original_{feature}"] * 1.02}
    assert {name for name, verdict in verdicts(false).items() if verdict == "outside"} == {feature}


def test_a_value_that_is_missing_is_outside(found: dict[str, float]) -> None:
    fewer = {name: value for name, value in found.items() if name != "original_glcm_Idm"}
    assert verdicts(fewer)["glcm_Idm"] == "outside"


def test_a_wrong_engine_ends_the_doctor_with_exit_2(found: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    false = {**found, "original_ngtdm_Strength": float("nan")}
    monkeypatch.setattr(FastEngine, "execute", lambda *_: false)
    done = CliRunner().invoke(radmill, ["doctor", "--ibsi", "--json"])
    assert done.exit_code == 2
    report = json.loads(done.output)
    assert report["summary"].startswith("95 of 98")
    assert report["summary"].endswith("outside: ngtdm_Strength")
    assert [row["feature"] for row in report["features"] if row["value"] is None] == ["ngtdm_Strength"]
