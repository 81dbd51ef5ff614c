"""A hospital that sends tables made elsewhere: scored once a case by row hashes, refused by name where none fits."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from featurestore.fingerprints import digest
from pipelines.ingest.pseudonyms import case_id, load_key
from pipelines.record import FEATURE_SET
from pipelines.scoring.performance import read_performance
from registry.predict import predict
from tests.hospital_study import SmallStudy, small_study

NAMES = ("GLCM_contrast", "GLCM_energy", "volume")
NOTES = {"version": "3.0.1", "settings": "{}"}


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A study whose champion is a model on the imported view `captk`; copy it."""
    study = small_study(tmp_path_factory.mktemp("tables") / "study")
    study.promoted("table", **manifest())
    return study


def manifest() -> dict[str, Any]:
    rules = {"label": {"name": "her2", "column": "ihc", "positive": ["3+"], "negative": ["0"]}}
    extraction = {"engine": "imported", "by_phase": {}, "fingerprint": digest("x"), "notes": {"captk": NOTES}}
    return {
        "features": [{"name": f"ct.{name}", "unit": ""} for name in NAMES],
        "service": {"name": "captk", "view": "captk", "phases": ["ct"], "columns": ".*"},
        "rules": {"phases": {}, "margin": {"mm": 0, "voxels": 0}, **rules},
        "extraction": extraction,
        "feature_set": FEATURE_SET,
    }


@pytest.fixture
def study(promoted: SmallStudy, tmp_path: Path) -> SmallStudy:
    return promoted.copy(tmp_path / "study")


def table(n: int = 6, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = {name: rng.normal(size=n) for name in NAMES}
    return pd.DataFrame({"patient_id": [f"P-{i}" for i in range(n)], "ihc": "3+", "note": "x", **values})


def send(study: SmallStudy, rows: pd.DataFrame, name: str = "captk.csv") -> None:
    folder = study.workspace.incoming / "harbor"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("captk.*"):
        old.unlink()
    if name.endswith("parquet"):
        rows.to_parquet(folder / name, index=False)
    else:
        rows.to_csv(folder / name, index=False)


def test_a_table_is_scored_like_any_case_and_its_label_is_not_looked_at(study: SmallStudy) -> None:
    rows = table()
    send(study, rows)
    summary = study.score()
    assert summary.is_clean, summary
    assert summary.centers[0].n_scored == 6
    champion = study.registry.champion()
    assert champion is not None
    expected = predict(study.registry.package(champion), rows[list(NAMES)].to_numpy())
    key = load_key(study.workspace.keys, "harbor")
    found = study.history().set_index("case_id")["probability"]
    np.testing.assert_array_equal(found[[case_id(key, name) for name in rows["patient_id"]]], expected)
    assert study.score().centers[0].n_before == 6
    send(study, rows.assign(ihc="0"), "captk.parquet")
    assert study.score().centers[0].n_scored == 0, "neither form nor label of the table is an input"
    content = read_performance(study.workspace.deployment / "performance", "harbor", champion.digest)
    assert content is not None
    assert content["n"] == 0, "labels come in clinical.csv alone"


def test_a_table_that_grows_or_changes_scores_what_is_new(study: SmallStudy) -> None:
    send(study, table())
    study.score()
    grown = pd.concat([table(), table(8, 1).tail(2)])
    grown.loc[grown["patient_id"] == "P-0", "volume"] += 1.0
    send(study, grown)
    result = study.score().centers[0]
    assert (result.n_scored, result.n_before) == (3, 5)
    assert (study.history()["sequence"] == 2).sum() == 1


def test_one_bad_row_stays_one_bad_row(study: SmallStudy) -> None:
    rows = table()
    twice = rows.head(1).assign(volume=99.0)
    empty = rows.tail(1).assign(**dict.fromkeys(NAMES, np.nan))
    send(study, pd.concat([rows.head(5), twice, empty, rows.head(2).tail(1)]))
    result = study.score().centers[0]
    assert (result.n_scored, result.refused, result.problem) == (4, {"patient_doubled": 2, "row_empty": 1}, "")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (table().drop(columns=["volume"]), "1 of 3 columns that the model needs are not there: volume"),
        (table().drop(columns=["patient_id"]), "patient_id"),
        (table().assign(diagnostics_Versions_PyRadiomics="2.0"), "version: 3.0.1 and 2.0"),
        (table().assign(volume=["1", "2", "x", "4", "5", "6"]), "column volume"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_name(study: SmallStudy, rows: pd.DataFrame, told: str) -> None:
    send(study, rows)
    result = study.score().centers[0]
    assert told in result.problem
    assert "P-0" not in result.problem
    assert study.history().empty


def test_an_absent_or_double_table_is_told(study: SmallStudy) -> None:
    folder = study.workspace.incoming / "harbor"
    folder.mkdir(parents=True)
    (folder / "clinical.csv").write_text("patient_id\nP-0\n")
    assert "there is no captk.csv" in study.score().centers[0].problem
    table().to_csv(folder / "captk.csv", index=False)
    table().to_csv(folder / "CapTk.tsv", index=False, sep="\t")
    assert "lie there together" in study.score().centers[0].problem


def test_phases_may_be_rows_or_beginnings_of_columns(study: SmallStudy) -> None:
    both = manifest()
    both["features"] = [{"name": f"{phase}.{name}", "unit": ""} for phase, name in PAIRS]
    both["service"] = {**both["service"], "phases": ["early", "late"]}
    study.promoted("phases", seed=1, **both)
    rows = table(4)
    wide = rows[["patient_id"]].assign(**{f"{p}_{n}": rows[n] + (p == "late") for p, n in PAIRS})
    send(study, wide)
    assert study.score().centers[0].n_scored == 4
    long = pd.concat([rows.assign(phase="Early"), rows.assign(phase="late", volume=rows["volume"] + 1)])
    send(study, long)
    assert study.score().centers[0].n_scored == 0, "the same numbers in another form"


PAIRS = (("early", "GLCM_contrast"), ("early", "volume"), ("late", "volume"))
