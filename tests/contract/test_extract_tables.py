"""Extract: one new case costs one case, and an incremental run gives the same bytes as a full rebuild."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from featurestore.tables import centers_of, read_frame, read_schema, write_center
from pipelines.execution.cluster import open_runner
from pipelines.execution.extract import FeatureSetError, extract, extract_cases
from pipelines.execution.regions import MarginTooSmallError
from pipelines.params import Params, parse_params
from pipelines.params.operation import ClusterSection
from pipelines.radiomics.base import EngineError
from pipelines.radiomics.definitions import FEATURE_CLASSES, FILTERS
from pipelines.radiomics.engines import ENGINES
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.runner import SerialRunner
from pipelines.workspace import Workspace
from tests.contract.stored_study import FEW, OTHER, TEMPLATE, Counting, Study

ALL_BUT_2D = {family: None for family in FEATURE_CLASSES if family != "shape2D"}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = Study(tmp_path / "study")
    for center in ("north", "south"):
        for case_id in ("a1", "b2"):
            for phase in ("early", "late"):
                made.add(center, case_id, phase)
    return made


def rebuilt(study: Study, tmp_path: Path, **by_phase: dict[str, Any]) -> dict[str, str]:
    """Returns the bytes of a study that was made at once."""
    fresh = Study(tmp_path / "fresh", study.engine)
    for rows in study.rows.values():
        for row in rows:
            fresh.add(row["center"], row["case_id"], row["phase"], row["observer"])
    fresh.extract(**by_phase)
    return fresh.bytes()


def test_nothing_new_measures_nothing_and_changes_no_byte(study: Study) -> None:
    first = study.extract()
    assert (first.regions, first.computed, first.unchanged) == (8, 8, 0)
    before, counting = study.bytes(), Counting()
    again = study.extract(counting)
    assert (again.computed, again.unchanged, counting.names) == (0, 8, [])
    assert study.bytes() == before


def test_one_new_case_costs_one_case_and_gives_the_bytes_of_a_full_rebuild(study: Study, tmp_path: Path) -> None:
    study.extract()
    study.add("south", "c3", "late")
    counting = Counting()
    study.extract(counting)
    assert counting.names == ["south / c3 / late / tumor"]
    assert study.bytes() == rebuilt(study, tmp_path)


def test_a_withdrawn_case_and_a_center_gone_leave_no_row(study: Study, tmp_path: Path) -> None:
    study.extract()
    del study.rows["south"]
    study.rows["north"] = [row for row in study.rows["north"] if row["case_id"] != "a1"]
    study.extract()
    assert set(study.features()["case_id"]) == {"b2"}
    assert {path.split("/")[1] for path in study.bytes()} == {"center=north"}
    assert study.bytes() == rebuilt(study, tmp_path)


def test_a_row_changed_by_hand_is_measured_again(study: Study) -> None:
    """Protects from a persisted file that somebody edited: DVC would take it as truth."""
    study.extract()
    before = study.bytes()
    root = study.places.features / "radiomics"
    frame = read_frame(root, centers=["north"])
    frame.loc[0, "original_firstorder_Mean"] += 1e-9
    from featurestore.schemas import TableSchema, columns_of

    schema = read_schema(root)
    notes = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    write_center(root, "north", frame, TableSchema(name="radiomics", columns=columns_of(schema), notes=notes))
    assert study.bytes() != before
    counting = Counting()
    study.extract(counting)
    assert counting.names == ["north / a1 / early / tumor"]
    assert study.bytes() == before


def test_new_settings_of_one_phase_leave_the_others_alone(study: Study, tmp_path: Path) -> None:
    study.extract()
    counting = Counting()
    study.extract(counting, early=FEW, late=OTHER)
    assert len(counting.names) == 4
    assert all("/ late /" in name for name in counting.names)
    frame = study.features().set_index("phase")
    log = "log-sigma-1-5-mm-3D_firstorder_Mean"
    assert frame.loc["late", log].isna().all()
    assert frame.loc["early", log].notna().all()
    assert study.bytes() == rebuilt(study, tmp_path, early=FEW, late=OTHER)


def test_a_run_cut_short_goes_on_where_it_stopped(study: Study, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        study.extract(Counting(limit=3))
    assert study.bytes() == {}
    counting = Counting()
    summary = study.extract(counting)
    assert (summary.resumed, summary.computed, len(counting.names)) == (3, 5, 5)
    assert study.bytes() == rebuilt(study, tmp_path)
    assert not study.places.parts.exists()


@pytest.mark.parametrize("engine", ENGINES)
def test_one_worker_two_workers_and_none_give_the_same_bytes(study: Study, tmp_path: Path, engine: str) -> None:
    """Holds for every feature class and image type, as the image is and normalized and resampled."""
    study.engine = engine
    image_types = {name: {"sigma": [1.5]} if name == "LoG" else {} for name in FILTERS}
    if engine == "pyradiomics":  # without these, which need other libraries
        image_types = {name: keys for name, keys in image_types.items() if not name.startswith("LBP")}
    every = {"imageType": image_types, "featureClass": ALL_BUT_2D, "setting": {"binWidth": 10}}
    prepared = {"normalize": True, "normalizeScale": 100.0, "removeOutliers": 2.5, "binCount": 16}
    resampled = {**FEW, "setting": {**prepared, "resampledPixelSpacing": [1.3, 1.3, 1.3]}}
    settings = {"early": every, "late": resampled}
    expected = rebuilt(study, tmp_path, **settings)
    for workers in (1, 2):
        with open_runner(ClusterSection(workers=workers)) as runner:
            study.extract(runner, **settings)
        assert read_schema(study.places.features / "radiomics").metadata[b"engine"] == engine.encode()
        assert study.bytes() == expected
        for path in study.places.features.rglob("*.parquet"):
            path.unlink()


def test_a_bad_case_is_a_row_of_qc_and_the_others_are_measured(study: Study) -> None:
    study.add("north", "empty", empty=True)
    damaged = study.add("north", "damaged")
    (study.places.cases / damaged["mask"]).write_bytes(b"not what it was")
    gone = study.add("north", "gone")
    (study.places.cases / gone["image"]).unlink()
    summary = study.extract()
    assert (summary.refused, summary.failed, summary.is_clean) == (1, 2, False)
    qc = study.qc()
    assert qc["north", "empty", "early"] == ("refused", "empty_mask")
    assert qc["north", "damaged", "early"] == ("failed", "case_damaged")
    assert qc["north", "gone", "early"] == ("failed", "case_damaged")
    assert qc["north", "a1", "early"] == ("ok", "")
    assert len(study.features()) == 8
    assert not any(str(study.root) in text for text in read_frame(study.places.features / "qc")["message"])


def test_features_without_a_value_are_a_remark_that_a_kept_row_repeats(study: Study) -> None:
    """LoG of PyRadiomics skips an image that is thinner than the filter; that is said and not hidden."""
    wide = {**FEW, "imageType": {"Original": {}, "LoG": {"sigma": [40.0]}}}
    study.extract(early=wide, late=FEW)
    before = study.bytes()
    assert study.qc()["north", "a1", "early"] == ("warned", "features_missing")
    message = read_frame(study.places.features / "qc")["message"].iloc[0]
    assert message == "3 of 7 features have no value: log-sigma-40-0-mm-3D_firstorder 2, log-sigma-40-0-mm-3D_glcm 1"
    assert study.extract(early=wide, late=FEW).unchanged == 8
    assert study.bytes() == before


def test_other_observers_go_to_a_table_of_their_own(study: Study) -> None:
    study.add("north", "d4", observer="a")
    study.add("north", "d4", observer="b")
    study.extract()
    assert set(study.features()["observer"]) == {"", "a"}
    assert list(study.features("observers")["observer"]) == ["b"]
    assert list(study.features("observers").columns) == list(study.features().columns)


def test_columns_carry_unit_code_and_settings(study: Study) -> None:
    study.extract()
    schema = read_schema(study.places.features / "radiomics")
    assert schema.field("original_shape_MeshVolume").metadata[b"unit"] == b"mm3"
    assert schema.field("original_firstorder_Mean").metadata[b"code"] == b"Q4LE"
    assert schema.metadata[b"engine"] == b"pyradiomics"
    assert b"binWidth" in schema.metadata[b"settings"]


def test_no_center_gives_an_empty_folder(tmp_path: Path) -> None:
    study = Study(tmp_path)
    assert study.extract().regions == 0
    assert study.places.features.is_dir()
    assert centers_of(study.places.features / "radiomics") == []


def test_what_needs_the_whole_image_is_refused_on_crops_only(study: Study) -> None:
    scaled = {**FEW, "imageType": {"Square": {}}, "setting": {"normalize": True}}
    assert study.extract(early=scaled, late=FEW).is_clean
    study.add("north", "cropped", pad=2)
    before = study.bytes()
    with pytest.raises(EngineError, match=r"setting.normalize, imageType.Square depend on the whole image"):
        study.extract(early=scaled, late=FEW)
    assert study.bytes() == before


def params(**changes: Any) -> Params:
    content = yaml.safe_load(TEMPLATE.read_text())
    phases = {"early": {"series_description": "x"}, "late": {"series_description": "y"}}
    content |= {"phases": phases, "services": {"early": {"phases": ["early"]}}}
    content |= {"models": {}, "deep": {}, "fusion": {}}
    content["extraction"] = {"engine": "pyradiomics", "default": FEW}
    return parse_params({**content, **changes})


def test_the_stage_reads_params_and_writes_into_the_study(study: Study) -> None:
    study.write()
    with open_runner(ClusterSection(workers=1)) as runner:
        summary = extract(Workspace(study.root), params(), "development", runner)
    assert summary.is_clean
    assert centers_of(Workspace(study.root).features("development")) == ["north", "south"]


def test_another_feature_set_stops_before_anything_is_written(study: Study) -> None:
    study.write()
    with pytest.raises(FeatureSetError, match="radmill upgrade"):
        extract(Workspace(study.root), params(radmill={"feature_set": "0"}), "development", SerialRunner())
    assert study.bytes() == {}


@pytest.mark.parametrize(
    ("keys", "margin", "message"),
    [
        ({"imageType": {"LoG": {"sigma": [3.0]}}}, {"mm": 48, "voxels": 8}, r"margin.mm to 72 and margin.voxels to 8"),
        ({"imageType": {"Wavelet": {"level": 3}}}, {"mm": 0, "voxels": 8}, r"margin.mm to 0 and margin.voxels to 9"),
        (
            {"setting": {"resampledPixelSpacing": [1, 1, 1]}},
            {"mm": 10, "voxels": 20},
            r"margin.mm to 10 and margin.voxels to 36",
        ),
    ],
)
def test_a_margin_too_small_is_refused_with_the_numbers_to_set(
    study: Study, keys: dict[str, Any], margin: dict[str, float], message: str
) -> None:
    study.write()
    wanted = params(margin=margin, extraction={"engine": "pyradiomics", "default": keys})
    with pytest.raises(MarginTooSmallError, match=message):
        extract(Workspace(study.root), wanted, "development", SerialRunner())


def test_perturbed_regions_are_a_view_of_their_own(tmp_path: Path) -> None:
    """They change no row that models use, are no cases of `qc`, are measured once, and go when nobody asks for them."""
    study = Study(tmp_path)
    study.add("north", "1")
    study.add("north", "2")
    study.extract()
    before = study.bytes()
    asked = ("rotate:5", "volume:0.3")
    settings = {phase: ExtractionSettings.from_mapping(FEW) for phase in ("early", "late")}
    counting = Counting()
    for runner in (counting, Counting(limit=0)):
        extract_cases(study.places, settings, "pyradiomics", "1", runner, perturbations=asked)
    assert len(counting.names) == 4
    found = study.features("perturbed")
    assert sorted(set(found["observer"])) == sorted(asked)
    grown = found[found["observer"] == "volume:0.3"].set_index("case_id")["original_shape_MeshVolume"]
    given = study.features().set_index("case_id")["original_shape_MeshVolume"]
    assert ((grown / given) > 1.15).all()
    assert {name: mark for name, mark in study.bytes().items() if not name.startswith("perturbed")} == before
    study.extract()
    assert study.bytes() == before
