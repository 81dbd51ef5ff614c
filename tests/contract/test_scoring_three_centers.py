"""Real tables of three centers: made on two, the third scored through `incoming`, first without labels, then with."""

from pathlib import Path

import pandas as pd
import pytest

from pipelines.imports.importing import ImportRequest, import_table
from pipelines.params import edit_params, load_params
from pipelines.scoring.performance import read_performance
from pipelines.training.assemble import assemble
from pipelines.training.tune import tune
from tests.conftest import ROOT, Candidates
from tests.hospital_study import SmallStudy, small_study


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, test_data: Path) -> SmallStudy:
    """A logistic regression on the original features of two centers, promoted, and the third center's table."""
    study = small_study(tmp_path_factory.mktemp("three") / "study")
    workspace, folder = study.workspace, test_data / "multicentre_nsclc"
    workspace.params.write_bytes((ROOT / "pipelines" / "template" / "tables.yaml").read_bytes())
    for name in ("HarvardRT", "Moffitt"):
        request = ImportRequest(
            view="ct", id_column="id", center=name.lower(), role="development", label="surv2yr", columns="^original_"
        )
        import_table(workspace, folder / f"{name}.csv.gz", request)

    def fewer(content: dict) -> None:  # type: ignore[type-arg]
        content["models"] = {"ct_lr": {"service": "ct", "estimator": "lr"}}
        content["tuning"].update(trials=2, folds=2, repeats=1, batch=2)

    edit_params(workspace.params, fewer)
    params = load_params(workspace.params)
    assemble(workspace, params)
    tune(workspace, params, "ct_lr")
    package, training = workspace.model("ct_lr") / "package", workspace.training("ct")
    version = study.registry.register("ct_lr", package, training, Candidates().metrics(), "a test")
    study.registry.promote(version.digest, {}, "a test")
    third = pd.read_csv(folder / "Radboud.csv.gz", float_precision="round_trip").rename(columns={"id": "patient_id"})
    (workspace.incoming / "radboud").mkdir(parents=True)
    third.drop(columns=["surv2yr"]).to_csv(workspace.incoming / "radboud" / "ct.csv", index=False)
    third[["patient_id", "surv2yr"]].to_csv(study.root / "later.csv", index=False, header=["patient_id", "outcome"])
    return study


def test_the_third_center_is_scored_without_labels_and_judged_with_them(made: SmallStudy) -> None:
    champion = made.registry.champion()
    assert champion is not None
    assert made.score().centers[0].n_scored == 104
    before, history = read_performance(made.deployment.performance, "radboud", champion.digest), made.history()
    assert before is not None
    assert (before["n"], before["metrics"]) == (0, None)
    assert before["expected"]["auc"] is not None or before["expected"]["off"] == "drift"
    (made.root / "later.csv").rename(made.workspace.incoming / "radboud" / "clinical.csv")
    assert made.score().centers[0].n_scored == 0
    pd.testing.assert_frame_equal(made.history(), history)
    after = read_performance(made.deployment.performance, "radboud", champion.digest)
    assert after is not None
    assert after["n"] + sum(after["left_out"].values()) == 104
    assert after["metrics"]["auc_low"] < after["metrics"]["auc"] < after["metrics"]["auc_high"]
    assert after["difference"]["against"] == "internal"
