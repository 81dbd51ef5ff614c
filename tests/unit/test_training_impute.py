"""A service that fills missing phases, from tables to the page: nobody is lost, the filled ones are judged as well."""

from collections.abc import Callable
from pathlib import Path

from featurestore.flat_tables import read_flat
from featurestore.schemas import TableSchema, columns_of
from featurestore.tables import read_frame, read_schema, write_center
from pipelines.evaluation.evaluate import evaluate
from pipelines.params import Params, parse_params
from pipelines.reporting.report import report
from pipelines.training.assemble import assemble
from pipelines.training.tune import tune
from pipelines.workspace import ROLES, Role, Workspace

Study = tuple[Workspace, Params]


def without_a_phase(workspace: Workspace, role: Role, center: str) -> set[str]:
    """Takes one phase of every fifth patient away, and returns these patients."""
    root = workspace.features(role)
    frame, schema = read_frame(root, centers=[center]), read_schema(root)
    gone = set(sorted(set(frame["case_id"]))[::5])
    kept = frame[~(frame["case_id"].isin(gone) & (frame["phase"] == "excretory"))]
    write_center(root, center, kept, TableSchema(name="radiomics", columns=columns_of(schema)))
    return gone


def test_a_patient_who_lacks_a_phase_is_filled_and_judged(tmp_path: Path, fake_study: Callable[..., Study]) -> None:
    workspace, params = fake_study(tmp_path, estimators=(), effect=1.5, services=("triphasic",), n_per_center=30)
    gone = without_a_phase(workspace, "development", "north") | without_a_phase(workspace, "external", "west")
    content = params.model_dump(mode="json")
    content["tuning"] = {"trials": 2, "folds": 3, "repeats": 1, "batch": 2, "seed": 7}
    content["models"] = {"lr": {"service": "triphasic", "estimator": "lr"}}
    seen = {}
    for policy in ("drop", "impute"):
        content["services"]["triphasic"]["missing_phase"] = policy
        params = parse_params(content)
        assemble(workspace, params)
        tune(workspace, params, "lr")
        evaluate(workspace, params)
        report(workspace, params)
        judged = read_flat(workspace.evaluation / "predictions.parquet")[0]
        seen[policy] = gone & set(judged["case_id"])
    labels = [read_frame(workspace.outcomes(role)).dropna(subset=["label"]) for role in ROLES]
    assert gone
    assert not seen["drop"]
    assert seen["impute"] == gone & {case for own in labels for case in own["case_id"]}
