"""The store's commands on a study that went the whole road: what they say is what is in the tables."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from featurestore import Store
from featurestore.joining import MixedSettingsError
from featurestore.sql import SqlError, query
from featurestore.store import UnknownTableError
from featurestore.tables import read_frame
from pipelines.comparing import VersionGoneError, compare
from pipelines.exporting import export_csv
from pipelines.imports.importing import ImportRequest, import_table
from pipelines.params import edit_params, load_params
from pipelines.training.assemble import assemble
from pipelines.workspace import Workspace

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_two_lines_in_a_notebook_read_a_view(road: Workspace) -> None:
    store = Store(road.root)
    frame = store.frame("radiomics", centers=["south"], columns=["case_id", "original_firstorder_Mean"])
    assert list(frame) == ["center", "case_id", "original_firstorder_Mean"]
    assert set(frame["center"]) == {"south"}
    assert store.training_set("excretory").names[0].startswith("excretory.")
    assert "external/outcomes" not in store.tables(), "labels of external centers are opened by evaluation alone"
    with pytest.raises(UnknownTableError, match="development/radiomics"):
        store.frame("nonsense")


def test_sql_answers_from_the_partitions(road: Workspace) -> None:
    pytest.importorskip("duckdb")
    columns = "center, count(*) AS n, avg(original_firstorder_Mean) AS m"
    text = f"SELECT {columns} FROM development.radiomics GROUP BY 1 ORDER BY 1"
    answer = query(Store(road.root), text)
    frame = read_frame(road.features("development"))
    expected = frame.groupby("center")["original_firstorder_Mean"].agg(["size", "mean"])
    assert answer["n"].tolist() == expected["size"].tolist()
    np.testing.assert_allclose(answer["m"], expected["mean"])
    with pytest.raises(SqlError, match="nope"):
        query(Store(road.root), "SELECT nope FROM development.radiomics")


def test_what_is_exported_in_pyradiomics_layout_comes_back_to_the_last_bit(study: Workspace, tmp_path: Path) -> None:
    params = load_params(study.params)
    path = tmp_path / "features.csv"
    own = read_frame(study.features("development"))
    assert export_csv(study, params, "radiomics", "development", path) == len(own)
    header = pd.read_csv(path, nrows=0).columns
    first = next(number for number, name in enumerate(header) if name.startswith("original_"))
    assert header[first - 1].startswith("diagnostics_")
    assert all(name.startswith("original_") for name in header[first:]), "features last, as PyRadiomics writes them"
    request = {"center_column": "center", "id_column": "case_id", "phase_column": "phase", "drop": "^(roi|observer)$"}
    told = import_table(study, path, ImportRequest(view="back", **request))
    assert told.features == len(header) - first
    back = read_frame(study.imported("back"))
    names = list(header[first:])
    key = ["center", "phase", *names]
    pd.testing.assert_frame_equal(
        own.sort_values(key)[names].reset_index(drop=True), back.sort_values(key)[names].reset_index(drop=True)
    )


def test_diff_names_the_setting_and_the_columns_that_changed(study: Workspace, run: Run) -> None:
    params = load_params(study.params)
    same = compare(study, params, "radiomics", "development", "HEAD")
    assert (same.changed, same.added, same.removed, same.made) == (0, {}, {}, [])
    edit_params(study.params, lambda c: c["extraction"]["default"]["setting"].update(binWidth=40))
    run(study.root, "radmill", "run", "extract@development")
    done = json.loads(run(study.root, "radmill", "features", "diff", "radiomics", "--json").stdout)
    assert done["changed"] == len(read_frame(study.features("development")))
    assert {column["column"] for column in done["columns"]} == {
        "original_firstorder_Entropy",
        "original_firstorder_Uniformity",
    }
    assert all(
        float(before) == 25 and float(after) == 40 for name, before, after in done["made"] if name.endswith("binWidth")
    )
    with pytest.raises(VersionGoneError, match="radiomics at nowhere"):
        compare(study, params, "radiomics", "development", "nowhere")


def test_rows_of_other_settings_are_not_joined(study: Workspace) -> None:
    edit_params(study.params, lambda c: c["extraction"]["default"]["setting"].update(binWidth=40))
    with pytest.raises(MixedSettingsError, match=r"params\.yaml and .*binWidth: 40(\.0)? and 25(\.0)?"):
        assemble(study, load_params(study.params))


def test_lists_and_descriptions_say_what_there_is(road: Workspace, run: Run) -> None:
    listed = run(road.root, "radmill", "features", "list").stdout
    assert "development/radiomics" in listed
    assert "excretory" in listed
    told = run(road.root, "radmill", "features", "describe", "radiomics", "original_firstorder_Mean").stdout
    assert "IBSI" in told or "Q4LE" in told
    assert "█" in told
