"""Subgroups, centers, the control by size and the sample size: what evaluate says beside performance."""

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.adequacy import adequacy_row, parameters_of
from pipelines.evaluation.characteristics import UnknownSubgroupError, patient_levels
from pipelines.evaluation.estimates import Estimate
from pipelines.evaluation.evaluate import evaluate
from pipelines.evaluation.groups import logit_areas, pool, pool_areas
from pipelines.evaluation.metrics import CohortPredictions, OutOfFold
from pipelines.evaluation.size_control import control_predictions, control_rows, log_volume, volume_columns
from pipelines.evaluation.subgroups import GroupRule, group_rows
from pipelines.params.modelling import Subgroup

SEED = 9


def cohort(name: str = "external", n: int = 120, effect: float = 1.0) -> CohortPredictions:
    rng = np.random.default_rng(SEED)
    y = rng.integers(0, 2, n).astype(np.int8)
    return CohortPredictions(
        model="m",
        cohort=name,
        center=np.repeat(["a", "b", "c"], n // 3).astype(np.str_),
        case_id=np.array([f"{i:04d}" for i in range(n)]),
        y=y,
        p=1 / (1 + np.exp(-(effect * y + rng.normal(size=n)))),
        left_out={},
    )


def test_groups_that_are_alike_have_no_heterogeneity_and_different_ones_have() -> None:
    variance = np.full(6, 0.04)
    alike = pool(np.array([1.0, 1.1, 0.9, 1.05, 0.95, 1.0]), variance, 0.95)
    apart = pool(np.array([0.0, 2.0, -1.0, 3.0, 1.0, 0.5]), variance, 0.95)
    assert (alike.tau2, alike.i2) == (0, 0)
    assert apart.i2 > 0.9
    assert apart.p_value < 0.001
    assert apart.prediction.low < apart.mean.low < apart.mean.high < apart.prediction.high


def test_pooled_interval_is_never_shorter_than_without_heterogeneity() -> None:
    """Estimates that agree by luck would give Hartung and Knapp an interval near zero width."""
    values, variances = np.array([1.0, 1.0, 1.0]), np.full(3, 0.25)
    found = pool(values, variances, 0.95)
    assert found.mean.high - found.mean.low > 2 * 1.96 * np.sqrt(0.25 / 3)


def test_interval_of_pooled_areas_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(SEED)
    held = 0
    for _ in range(300):
        truth = 1.0 + rng.normal(scale=0.3, size=5)
        found = pool(truth + rng.normal(scale=0.3, size=5), np.full(5, 0.09), 0.95)
        held += found.mean.low <= 1.0 <= found.mean.high
    assert held / 300 > 0.92


def test_areas_without_a_logit_are_left_out() -> None:
    areas = [
        Estimate(value=1.0, low=0.8, high=1.0),
        Estimate(reason="too few to tell"),
        Estimate(value=0.8, low=0.7, high=0.9),
    ]
    assert len(logit_areas(areas, 0.95)[0]) == 1
    assert pool_areas(areas, 0.95) is None


def test_small_groups_say_so_and_have_no_part_in_heterogeneity() -> None:
    item = cohort()
    levels = {"few": {patient: "rare" if i < 10 else "other" for i, patient in enumerate(item.patients())}}
    areas, differences = group_rows([item], levels, GroupRule(patients=20, events=5), 0.95)
    rare = next(row for row in areas if row["level"] == "rare")
    assert rare["reason"] == "too few to tell"
    assert rare["auc"] is None
    assert (rare["n"], {row["subgroup"] for row in differences}) == (10, {"center"})
    assert sum(row["n"] for row in areas if row["subgroup"] == "center") == 120


def test_cross_validated_groups_compare_patients_within_folds() -> None:
    item = cohort("training")
    folds = np.arange(120)[:, None] % 4
    shifted = item.p[:, None] / 10 + 0.2 * folds
    item = CohortPredictions(**{**vars(item), "out_of_fold": OutOfFold(p=shifted, fold=folds, on_scale=item.p)})
    pooled = CohortPredictions(**{**vars(item), "p": shifted[:, 0], "out_of_fold": None, "cohort": "internal"})
    rows, _ = group_rows([item, pooled], {}, GroupRule(patients=20, events=5), 0.95)
    by_cohort = {name: np.mean([r["auc"] for r in rows if r["cohort"] == name]) for name in ("training", "internal")}
    assert by_cohort["training"] > by_cohort["internal"] + 0.1


def test_levels_come_from_clinical_and_acquisition_tables(fake_study, tmp_path) -> None:
    workspace, _ = fake_study(tmp_path)
    declared = [Subgroup(column="age", cuts=[60, 70]), Subgroup(column="sessile"), Subgroup(column="manufacturer")]
    found = patient_levels(workspace, declared)
    assert set(found["age"].values()) == {"< 60", "60 to < 70", "≥ 70"}
    assert set(found["sessile"].values()) == {"yes", "no"}
    assert "West" in set(found["manufacturer"].values())


@pytest.mark.parametrize(
    "column", [Subgroup(column="shoe_size"), Subgroup(column="age"), Subgroup(column="sex", cuts=[1])]
)
def test_a_subgroup_that_cannot_be_made_is_named(fake_study, tmp_path, column) -> None:
    workspace, _ = fake_study(tmp_path)
    with pytest.raises(UnknownSubgroupError):
        patient_levels(workspace, [column])


def test_volume_is_found_in_any_phase_and_missing_ones_are_averaged_over() -> None:
    names = ["a.original_shape_VoxelVolume", "a.original_shape_MeshVolume", "b.original_shape_VoxelVolume", "a.x"]
    assert volume_columns(names) == ["a.original_shape_MeshVolume", "b.original_shape_VoxelVolume"]
    sizes = log_volume(np.array([[1.0, np.e**2], [np.nan, np.e], [np.nan, -1.0]]))
    assert sizes[:2] == pytest.approx([1, 1])
    assert np.isnan(sizes[2])


def test_a_model_that_says_size_does_not_pass_the_control_and_one_that_says_more_does(fake_study, tmp_path) -> None:
    from featurestore.training_sets import TrainingSet

    workspace, _ = fake_study(tmp_path, services=("excretory",))
    training = TrainingSet.load(workspace.training("excretory"))
    rng = np.random.default_rng(SEED)
    outside = cohort(n=300, effect=3.0)
    patients = [*zip(training.center.tolist(), training.case_id.tolist(), strict=True), *outside.patients()]
    labels = np.concatenate([training.y, outside.y])
    size = dict(zip(patients, (0.8 * labels + rng.normal(size=len(labels))).tolist(), strict=True))
    alike = CohortPredictions(**{**vars(outside), "p": np.array([size[p] for p in outside.patients()]) / 20 + 0.5})
    passed = {}
    for name, item in (("more", outside), ("size", alike)):
        rows = control_rows([item], control_predictions(training, size, [item]), 0.95)
        passed[name] = rows[0]["passed"], rows[0]["control"]
    assert passed["more"][0] is True
    assert passed["size"][0] in (None, False)
    assert passed["more"][1] == passed["size"][1] > 0.6


def test_adequacy_says_why_where_it_cannot_say_how_many() -> None:
    assert adequacy_row("m", 100, 40, 0.8, None)["reason"] == "the number of candidate parameters is not known"
    assert adequacy_row("m", 100, 40, 0.45, 5)["enough"] is False
    few, many = adequacy_row("m", 60, 30, 0.8, 10), adequacy_row("m", 2000, 1000, 0.8, 10)
    assert (few["enough"], many["enough"]) == (False, True)
    assert few["shrinkage"] < many["shrinkage"] < 1
    assert parameters_of({"estimator": "lr", "components": 7}) == 7
    assert parameters_of({"estimator": "clinical", "components": 0, "n_parameters": 4}) == 4
    assert parameters_of({"estimator": "resnet10", "n_parameters": 4_930_881}) is None


def test_evaluate_writes_the_tables_beside_performance(fake_study, tmp_path) -> None:
    workspace, params = fake_study(tmp_path)
    evaluate(workspace, params)
    tables = {path.stem: pd.read_csv(path) for path in (workspace.evaluation / "tables").glob("*.csv")}
    assert {"subgroups", "heterogeneity", "controls", "sample_size"} <= set(tables)
    assert set(tables["subgroups"]["subgroup"]) == {"center", *(s.column for s in params.evaluation.subgroups)}
    assert tables["controls"].empty, "the made-up features hold no volume"
    assert set(tables["sample_size"]["model"]) == set(params.models)
