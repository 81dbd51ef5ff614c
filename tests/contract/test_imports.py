"""Tables made elsewhere: real ones with their real dirt, and made-up ones with every fault that has a name."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from featurestore.errors import DamagedTableError, InputError, RadmillError
from featurestore.joining import ColumnCollisionError, MixedSettingsError
from featurestore.tables import centers_of, partition, read_frame
from featurestore.training_sets import TrainingSet
from pipelines.imports.importing import ImportRequest, ImportSummary, import_table
from pipelines.imports.problems import RulesChangedError
from pipelines.imports.storing import verify_imports
from pipelines.ingest.ingest import ingest
from pipelines.ingest.intake import intake
from pipelines.ingest.pseudonyms import case_id, load_key
from pipelines.params import edit_params, load_params
from pipelines.runner import SerialRunner
from pipelines.training.assemble import assemble
from pipelines.training.validate import validate
from pipelines.workspace import ROLES, Workspace

ROOT = Path(__file__).resolve().parents[2]
Import = Callable[..., ImportSummary]


@pytest.fixture
def tables(tmp_path: Path) -> Workspace:
    """A study on tables, as `radmill init --tables` makes it, without git and DVC."""
    study = tmp_path / "study"
    study.mkdir()
    (study / "params.yaml").write_bytes((ROOT / "pipelines" / "template" / "tables.yaml").read_bytes())
    (study / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    (study / "data" / "raw").mkdir(parents=True)
    return Workspace(study)


def take(study: Workspace, path: Path, **chosen: Any) -> ImportSummary:
    request = {"view": "ct", "id_column": "id", "center": "east", "role": "development", **chosen}
    if "center_column" in chosen:
        del request["center"]
    return import_table(study, path, ImportRequest(**request))


def frame(n: int = 12, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = {f"original_firstorder_F{i}": rng.normal(size=n) for i in range(4)}
    return pd.DataFrame({"id": [f"P{i:02d}" for i in range(n)], "outcome": np.arange(n) % 2, **values})


def csv(path: Path, table: pd.DataFrame, **options: Any) -> Path:
    table.to_csv(path, index=False, **options)
    return path


def test_three_real_centers_with_their_dirt_become_a_training_set(tables: Workspace, test_data: Path) -> None:
    folder = test_data / "multicentre_nsclc"
    chosen = {"label": "surv2yr", "drop": "^logit_"}
    harvard = take(tables, folder / "HarvardRT.csv.gz", center="harvardrt", **chosen)
    moffitt = take(tables, folder / "Moffitt.csv.gz", center="moffitt", **chosen)
    radboud = take(tables, folder / "Radboud.csv.gz", center="radboud", **{**chosen, "role": "external"})
    assert [(r["code"], r["rows"]) for r in harvard.remarks] == [("row_empty", "152, 242")]
    assert harvard.features == moffitt.features == radboud.features == 1004
    assert harvard.left_out["left out by --drop"] == ["logit_0", "logit_1"]
    assert len(harvard.left_out["notes of the tool"]) == 9
    assert any("104 identifiers are in center harvardrt" in note for note in radboud.notes)
    params = load_params(tables.params)
    assert params.imported["ct"].source == "PyRadiomics 1.1.1-beta1"
    for role in ROLES:  # no images: nothing to do, and nothing breaks
        intake(tables, params)
        ingest(tables, params, role, SerialRunner())
    found = validate(tables, params)
    assert found.errors == 0
    assert found.found["ct: missing_values"] == 7
    assemble(tables, params)
    made = TrainingSet.load(tables.training("ct"))
    assert made.X.shape == (291 + 183, 1004)
    assert set(made.center) == {"harvardrt", "moffitt"}
    assert made.record["centers"] == ["harvardrt", "moffitt"]
    assert int(made.y.sum()) == 158 + 133


def test_a_table_with_phases_in_its_names_becomes_one_row_a_phase(tables: Workspace, test_data: Path) -> None:
    prefixes = ("noncontrast_", "arterial_", "late_")
    path = test_data / "radmlbench" / "C4KC-KiTS.csv.gz"
    told = take(tables, path, id_column="ID", label="Target", phase_prefixes=prefixes)
    assert told.centers["east"]["patients"] == 70
    assert (told.centers["east"]["positive"], told.centers["east"]["negative"]) == (46, 24)
    raw = pd.read_csv(path, float_precision="round_trip")
    params = load_params(tables.params)
    validate(tables, params)
    assemble(tables, params)
    made = TrainingSet.load(tables.training("ct"))
    key = load_key(tables.keys, "east")
    order = raw.set_index(raw["ID"].map(lambda name: case_id(key, name))).loc[made.case_id]
    for phase, prefix in zip(("noncontrast", "arterial", "late"), prefixes, strict=True):
        names = [name for name in made.names if name.startswith(f"{phase}.")]
        columns = [prefix + name.split(".", 1)[1] for name in names]
        at = [made.names.index(name) for name in names]
        np.testing.assert_array_equal(made.X[:, at], order[columns].to_numpy(float))


def test_excel_acquisition_columns_join_by_patient(tables: Workspace, test_data: Path) -> None:
    folder = test_data / "batch_effects_nsclc"
    with pytest.raises(InputError, match="rows 203"):
        take(tables, folder / "Sandy-Captk.csv", view="captk", id_column="SubjectID")
    take(tables, folder / "Sandy-Captk.csv", view="captk", id_column="SubjectID", missing=("#NAME?",), source="CaPTk")
    texts = ("Manufacturer", "ConvolutionKernel", "FocalSpots")
    scanner = {"view": "scanner", "id_column": "clc", "texts": texts, "is_for_models": False}
    told = take(tables, folder / "Sandy-CT-parameters.xlsx", **scanner)
    assert any("167 patients are in view captk too; 40 are only here (rows" in note for note in told.notes)
    told = take(tables, folder / "Sandy-CT-parameters.xlsx", id_pattern=r"^(\w+-\d+)", **scanner)
    matched = "204 patients are in view captk too; 3 are only here"
    assert any(matched in note for note in told.notes), "some identifiers end in L"
    clinical = {"view": "demographics", "id_column": "", "label": "event", "columns": "^age$", "is_for_models": False}
    take(tables, folder / "clinical-demographics.csv", **clinical)
    features, facts = read_frame(tables.imported("captk")), read_frame(tables.imported("scanner"))
    joined = features.merge(facts, on=["center", "case_id"], how="left")
    assert joined["Manufacturer"].notna().sum() == 204
    assert facts["Manufacturer"].nunique() == 5
    both = {"view": "captk", "joins": [{"view": "scanner", "columns": "ST"}]}
    edit_params(tables.params, lambda c: c["services"].update(both=both))
    params = load_params(tables.params)
    assemble(tables, params)
    assert {"captk", "both"} == set(params.services)
    assert TrainingSet.load(tables.training("both")).names[-1] == "scanner.ST"


@pytest.mark.parametrize("write", ["csv", "semicolons", "latin", "tsv", "gz", "parquet", "xlsx"])
def test_every_form_gives_the_same_rows(tables: Workspace, tmp_path: Path, write: str) -> None:
    table, path = frame(), tmp_path / "table.csv"
    match write:
        case "semicolons":
            csv(path, table, sep=";", decimal=",")
        case "latin":
            path.write_bytes(b"\xef\xbb\xbf" + table.to_csv(index=False, lineterminator="\r\n").encode())
        case "tsv":
            path = csv(tmp_path / "table.tsv", table, sep="\t")
        case "gz":
            path = tmp_path / "table.csv.gz"
            path.write_bytes(gzip.compress(table.to_csv(index=False).encode()))
        case "parquet":
            path = tmp_path / "table.parquet"
            table.to_parquet(path)
        case "xlsx":
            path = tmp_path / "table.xlsx"
            table.to_excel(path, index=False)
        case _:
            csv(path, table)
    take(tables, path, label="outcome")
    stored = read_frame(tables.imported("ct"))
    key = load_key(tables.keys, "east")
    order = table.set_index(table["id"].map(lambda name: case_id(key, name))).loc[stored["case_id"]]
    names = [name for name in table if name.startswith("original")]
    digits = 1e-15 if write == "xlsx" else 0.0  # Excel files hold sixteen digits
    np.testing.assert_allclose(stored[names].to_numpy(), order[names].to_numpy(), rtol=digits, atol=0)
    assert read_frame(tables.imported("outcomes"))["label"].tolist() == order["outcome"].tolist()


def spoiled(change: str, table: pd.DataFrame) -> pd.DataFrame:
    feature = "original_firstorder_F1"
    match change:
        case "id twice":
            table.loc[3, "id"] = "P02"
        case "no number":
            table[feature] = table[feature].astype(object)
            table.loc[4, feature] = "broken"
        case "label":
            table["outcome"] = table["outcome"].astype(object)
            table.loc[5, "outcome"] = "perhaps"
        case "settings":
            table["diagnostics_Versions_PyRadiomics"] = "3.1.0"
            table["diagnostics_Configuration_Settings"] = ["{'binWidth': 25}"] * 11 + ["{'binWidth': 50}"]
        case "nothing":
            table = table.drop(columns=[name for name in table if name.startswith("original")])
    return table


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ("id twice", InputError, "rows 4, 5"),
        ("no number", InputError, "rows 6"),
        ("label", InputError, "'perhaps' in rows 7"),
        ("settings", MixedSettingsError, "binWidth: 25 and 50"),
        ("nothing", InputError, "no column"),
    ],
)
def test_a_fault_is_named_and_nothing_is_written(
    tables: Workspace, tmp_path: Path, change: str, error: type[RadmillError], words: str
) -> None:
    before = tables.params.read_bytes()
    with pytest.raises(error, match=words) as told:
        take(tables, csv(tmp_path / "t.csv", spoiled(change, frame())), label="outcome")
    assert told.value.remedy
    assert tables.params.read_bytes() == before
    assert not tables.imported("ct").exists()
    assert not list(tables.keys.glob("*"))


def test_blanks_empty_ids_and_repeated_rows_are_told(tables: Workspace, tmp_path: Path) -> None:
    table = frame()
    table.loc[0, "id"] = "  P00"
    table.loc[1, "id"] = ""
    table = pd.concat([table, table.iloc[[5]]], ignore_index=True)
    told = take(tables, csv(tmp_path / "t.csv", table), label="outcome")
    assert {(r["code"], r["rows"]) for r in told.remarks} == {("id_missing", "3"), ("row_doubled", "14")}
    assert any("1 identifiers had blanks" in note for note in told.notes)
    key = load_key(tables.keys, "east")
    assert case_id(key, "P00") in set(read_frame(tables.imported("ct"))["case_id"])


def test_no_identifier_is_in_any_output(tables: Workspace, tmp_path: Path) -> None:
    table = frame().assign(id=[f"SMITH-{i}" for i in range(12)], Image="/data/SMITH/ct.nii", note="seen by Smith")
    take(tables, csv(tmp_path / "smith.csv", table), label="outcome")
    for path in (p for p in tables.root.rglob("*") if p.is_file() and "private" not in p.parts):
        text = pd.read_parquet(path).to_csv() if path.suffix == ".parquet" else path.read_text()
        assert "smith" not in text.lower(), path


def test_a_changed_schema_and_other_settings_are_refused(tables: Workspace, tmp_path: Path) -> None:
    take(tables, csv(tmp_path / "a.csv", frame()), label="outcome", source="tool 1")
    with pytest.raises(InputError, match="1 columns of east are lacking"):
        take(tables, csv(tmp_path / "b.csv", frame().drop(columns="original_firstorder_F3")), center="west")
    with pytest.raises(MixedSettingsError, match="tool 1 and tool 2"):
        take(tables, csv(tmp_path / "b.csv", frame()), center="west", label="outcome", source="tool 2")


def test_a_column_of_two_views_is_refused(tables: Workspace, tmp_path: Path) -> None:
    take(tables, csv(tmp_path / "a.csv", frame()), label="outcome", phase="late")
    take(tables, csv(tmp_path / "b.csv", frame(seed=1)), view="other", label="outcome", phase="late")
    edit_params(tables.params, lambda c: c["services"].update(both={"view": "ct", "joins": [{"view": "other"}]}))
    with pytest.raises(ColumnCollisionError, match=r"view ct and in view other, the first is late\."):
        assemble(tables, load_params(tables.params))


def test_a_row_changed_by_hand_or_a_cut_file_is_found(tables: Workspace, tmp_path: Path) -> None:
    take(tables, csv(tmp_path / "a.csv", frame()), label="outcome")
    assert verify_imports(tables) == {"ct": 12}
    path = partition(tables.imported("ct"), "east")
    whole = path.read_bytes()
    table = pd.read_parquet(path)
    table.loc[2, "original_firstorder_F0"] += 1e-9
    table.to_parquet(path, index=False)
    with pytest.raises(DamagedTableError, match="1 of 12 rows"):
        verify_imports(tables)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedTableError, match="unreadable"):
        verify_imports(tables)


def test_importing_again_gives_the_same_bytes_and_a_withdrawn_patient_stays_away(
    tables: Workspace, tmp_path: Path
) -> None:
    source = csv(tmp_path / "a.csv", frame())
    take(tables, source, label="outcome")
    stored = {p: p.read_bytes() for p in tables.imported("ct").parent.rglob("*.parquet")}
    take(tables, source, label="outcome")
    assert {p: p.read_bytes() for p in tables.imported("ct").parent.rglob("*.parquet")} == stored
    gone = case_id(load_key(tables.keys, "east"), "P03")
    edit_params(tables.params, lambda c: c["cohort"].update(withdrawn=[gone]))
    assemble(tables, load_params(tables.params))
    assert gone not in set(TrainingSet.load(tables.training("ct")).case_id)
    take(tables, source, label="outcome")
    for name in ("ct", "outcomes", "qc"):
        assert gone not in set(read_frame(tables.imported(name))["case_id"]), name


def test_the_cohorts_rules_and_cases_put_aside_hold_for_imported_rows(tables: Workspace, tmp_path: Path) -> None:
    (tables.root / "aside.csv").write_text("center,patient_id,reason\neast,P02,motion\n")
    rule = {"column": "age", "minimum": 18, "reason": "adults"}
    edit_params(tables.params, lambda c: c["cohort"].update(include=[rule], rejected="aside.csv"))
    source = csv(tmp_path / "a.csv", frame().assign(age=[70, 12, *[60] * 10]))
    told = take(tables, source, label="outcome", columns="^original")
    assert {(r["code"], r["n"]) for r in told.remarks} == {("excluded", 2)}
    assert (told.centers["east"]["rows"], told.centers["east"]["excluded"]) == (10, 2)
    qc = read_frame(tables.imported("qc"))
    assert sorted(qc.loc[qc["status"] == "excluded", "message"]) == ["row 3: adults", "row 4: motion"]
    assert verify_imports(tables, load_params(tables.params).cohort) == {"ct": 10}
    ingest(tables, load_params(tables.params), "development", SerialRunner())
    narrow = {"column": "original_firstorder_F0", "minimum": 99, "reason": "large"}
    edit_params(tables.params, lambda c: c["cohort"].update(include=[narrow]))
    with pytest.raises(RulesChangedError, match="10 of 10 rows"):
        verify_imports(tables, load_params(tables.params).cohort)


def test_of_several_lesions_the_largest_counts_or_all_are_refused(tables: Workspace, tmp_path: Path) -> None:
    table = frame().assign(volume=np.arange(12.0))
    smaller = table.iloc[[3, 3]].assign(original_firstorder_F0=5.0, volume=1.0)
    source = csv(tmp_path / "a.csv", pd.concat([smaller, table], ignore_index=True))
    with pytest.raises(InputError, match="1 patients have rows that differ") as stopped:
        take(tables, source, label="outcome")
    assert "--largest" in stopped.value.remedy
    told = take(tables, source, label="outcome", largest="volume")
    assert {(r["code"], r["rows"]) for r in told.remarks} == {("row_doubled", "3"), ("lesion_smaller", "2")}
    stored = read_frame(tables.imported("ct")).set_index("case_id")
    assert stored.loc[case_id(load_key(tables.keys, "east"), "P03"), "volume"] == 3.0


def test_an_import_cut_short_leaves_labels_and_features_of_one_time(
    tables: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut before the switch nothing has changed; cut within it, the next look at the tables ends it."""
    take(tables, csv(tmp_path / "a.csv", frame()), label="outcome")
    before = {p: p.read_bytes() for p in tables.imported("ct").parent.rglob("*.parquet")}
    other = csv(tmp_path / "b.csv", frame(seed=1).assign(outcome=1))
    monkeypatch.setattr("pipelines.imports.switching._move", lambda workspace: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        take(tables, other, label="outcome")
    assert {p: p.read_bytes() for p in tables.imported("ct").parent.rglob("*.parquet")} == before
    monkeypatch.undo()
    verify_imports(tables)
    assert set(read_frame(tables.imported("outcomes"))["label"]) == {1}
    cut = {p: p.read_bytes() for p in tables.imported("ct").parent.rglob("*.parquet")}
    assert cut.keys() == before.keys()
    assert all(cut[path] != before[path] for path in cut if "qc" not in path.parts[-3])
    take(tables, other, label="outcome")
    assert {p: p.read_bytes() for p in tables.imported("ct").parent.rglob("*.parquet")} == cut


def test_an_explicit_list_of_centers_is_kept_in_the_record(tables: Workspace, tmp_path: Path) -> None:
    table = frame(24).assign(site=["East"] * 12 + ["North"] * 12)
    take(tables, csv(tmp_path / "a.csv", table), label="outcome", center_column="site")
    assert centers_of(tables.imported("ct")) == ["east", "north"]
    edit_params(tables.params, lambda c: c["services"]["ct"].update(centers=["north"]))
    assemble(tables, load_params(tables.params))
    made = TrainingSet.load(tables.training("ct"))
    assert set(made.center) == {"north"}
    assert made.record["centers"] == ["north"]
