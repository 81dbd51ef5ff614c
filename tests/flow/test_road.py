"""The road from files to a scored hospital, walked with the commands a user types."""

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pydicom
import pytest

from featurestore.tables import centers_of, read_frame
from pipelines.demo import PLANTED
from pipelines.ingest.pseudonyms import case_id, load_key
from pipelines.params import edit_params
from pipelines.workspace import ROLES, Workspace

Run = Callable[..., subprocess.CompletedProcess[str]]
Derived = Callable[[Path], dict[str, str]]

MODEL = "radiomics_lr_excretory"


def patients_of(center: Path) -> list[str]:
    text = (center / "clinical.csv").read_bytes().decode("latin-1").removeprefix("ï»¿")
    delimiter = csv.Sniffer().sniff(text.splitlines()[0]).delimiter
    return [row["patient_id"] for row in csv.DictReader(text.splitlines(), delimiter=delimiter)]


def files_of(center: Path, patient: str) -> list[Path]:
    """The patient's files, found as radmill must find them: by reading, or by the folder's name."""
    named = [path for path in center.rglob("*") if path.is_file() and patient in path.relative_to(center).parts]
    if named:
        return named
    found = []
    for path in (path for path in center.rglob("*") if path.is_file() and path.suffix != ".csv"):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"])
        except pydicom.errors.InvalidDicomError:
            continue
        if str(header.get("PatientID", "")).strip() == patient:
            found.append(path)
    return found


def take_out(center: Path, patient: str, keep: Path) -> None:
    """Moves a patient's files and his line of clinical.csv to `keep`."""
    for path in files_of(center, patient):
        target = keep / path.relative_to(center)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    shutil.copy2(center / "clinical.csv", keep / "clinical.csv")
    lines = (center / "clinical.csv").read_bytes().splitlines(keepends=True)
    (center / "clinical.csv").write_bytes(b"".join(line for line in lines if patient.encode() not in line))


def put_back(center: Path, keep: Path) -> None:
    for path in (path for path in keep.rglob("*") if path.is_file()):
        (center / path.relative_to(keep)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, center / path.relative_to(keep))


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", output)


def test_everything_is_made(road: Workspace) -> None:
    for role in ROLES:
        for name in ("cases", "clinical", "acquisition", "qc"):
            assert centers_of(road.view(role, name)), (role, name)
        assert len(read_frame(road.features(role)))
    metrics = json.loads((road.evaluation / "metrics.json").read_text())
    assert {"training", "training_apparent", "internal", "external", "external.west"} <= set(metrics[MODEL])
    page = (road.reports / "study.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert not re.search(r"""(src|href)=["']https?://""", page), "the page must work offline"


def test_every_planted_fault_is_a_row_with_its_own_code_and_remedy(road: Workspace) -> None:
    qc = {role: read_frame(road.view(role, "qc")) for role in ROLES}
    rows = pd.concat(qc.values())
    for fault in PLANTED:
        if fault.center == "harbor":
            continue
        pseudonym = case_id(load_key(road.keys, fault.center), fault.patient)
        own = rows[(rows.center == fault.center) & (rows.case_id == pseudonym) & (rows.code == fault.code)]
        assert len(own), f"{fault}: {rows[rows.case_id == pseudonym][['phase', 'status', 'code']].values.tolist()}"
        assert own.remedy.str.len().min() > 10, fault
    assert (rows.status == "ok").sum() > 0.6 * len(rows)


def test_status_says_what_was_refused(road: Workspace, run: Run) -> None:
    assert run(road.root, "radmill", "status").returncode == 0
    done = run(road.root, "radmill", "status", "--check", check=False)
    assert done.returncode == 1
    assert "slices_missing" in done.stdout


def test_no_patient_is_named_in_any_output(road: Workspace) -> None:
    """Identifiers must not be in the bytes of any output, nor in the decoded tables."""
    names = {p for center in ("north", "east", "south", "west") for p in patients_of(road.raw(center))}
    for path in (p for p in road.root.rglob("*") if p.is_file()):
        relative = path.relative_to(road.root)
        if relative.parts[0] in ("private", "incoming") or relative.parts[:2] == ("data", "raw"):
            continue
        content = path.read_bytes() + str(relative).encode()
        if path.suffix == ".parquet":
            content += pd.read_parquet(path).to_csv().encode()
        assert not [name for name in names if name.encode() in content], relative


def test_nothing_to_do_the_second_time(study: Workspace, run: Run, derived: Derived) -> None:
    before = derived(study.root)
    done = run(study.root, "radmill", "run")
    assert stages_run(done.stdout) == ["intake"]
    assert derived(study.root) == before


def test_one_new_patient_costs_one_patient_and_equals_a_rebuild(
    road: Workspace, study: Workspace, run: Run, derived: Derived, tmp_path: Path
) -> None:
    center = study.raw("south")
    patient = patients_of(center)[-1]
    take_out(center, patient, tmp_path / "kept")
    run(study.root, "radmill", "run")
    pseudonym = case_id(load_key(study.keys, "south"), patient)
    assert pseudonym not in set(read_frame(study.features("development")).case_id)
    stored = {p: p.stat().st_mtime_ns for p in study.cases("development").rglob("*") if p.is_file()}
    put_back(center, tmp_path / "kept")
    done = run(study.root, "radmill", "run")
    assert derived(study.root) == derived(road.root)
    touched = {p for p, time in stored.items() if p.exists() and p.stat().st_mtime_ns != time}
    assert not touched, "cases of other patients were written again"
    assert "extract" in " ".join(stages_run(done.stdout))


def test_an_external_patient_never_reruns_tuning(
    road: Workspace, study: Workspace, run: Run, derived: Derived, tmp_path: Path
) -> None:
    center = study.raw("west")
    take_out(center, patients_of(center)[-1], tmp_path / "kept")
    done = run(study.root, "radmill", "run")
    assert stages_run(done.stdout) == [
        *("intake", "ingest@external", "extract@external", "gallery"),
        *("shuffle@external", "evaluate", "report"),
    ]
    put_back(center, tmp_path / "kept")
    run(study.root, "radmill", "run")
    assert derived(study.root) == derived(road.root)


def test_a_withdrawn_patient_is_in_no_table_and_does_not_come_back(study: Workspace, run: Run) -> None:
    pseudonym = read_frame(study.features("development")).case_id.iloc[0]
    edit_params(study.params, lambda content: content["cohort"]["withdrawn"].append(str(pseudonym)))
    for _ in range(2):
        run(study.root, "radmill", "run")
        for path in (p for p in (study.root / "data").rglob("*") if p.is_file() and "raw" not in p.parts):
            text = pd.read_parquet(path).to_csv() if path.suffix == ".parquet" else path.read_bytes().decode("latin-1")
            assert pseudonym not in text + path.name, path.name


def test_tables_travel_by_dvc_and_old_ones_come_back(
    study: Workspace, run: Run, derived: Derived, tmp_path: Path
) -> None:
    root = study.root
    run(root, "dvc", "remote", "add", "--default", "storage", str(tmp_path / "storage"))
    run(root, "radmill", "run")
    run(root, "radmill", "register")
    commit(run, root, "with a remote")
    run(root, "dvc", "push")
    first = derived(root)
    edit_params(study.params, lambda content: content["models"][MODEL].update(reduction={"maximum": 2}))
    run(root, "radmill", "run")
    commit(run, root, "fewer components")
    assert derived(root)[f"data/models/{MODEL}/summary.json"] != first[f"data/models/{MODEL}/summary.json"]
    assert MODEL in run(root, "dvc", "metrics", "diff", "HEAD~1").stdout
    run(root, "dvc", "plots", "diff", "HEAD~1")
    run(root, "dvc", "push")
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(root), str(clone))
    run(clone, "dvc", "pull")
    without_cases = {path: sha for path, sha in derived(root).items() if not path.startswith("data/cases")}
    assert derived(clone) == without_cases
    run(clone, "radmill", "registry", "verify")
    run(clone, "dvc", "fetch", "--all-commits")
    run(clone, "git", "checkout", "--quiet", "HEAD~1")
    run(clone, "dvc", "checkout")
    assert derived(clone) == {path: sha for path, sha in first.items() if not path.startswith("data/cases")}
    pushed = {path.read_bytes() for path in (tmp_path / "storage").rglob("*") if path.is_file()}
    secret = [*study.raw("south").rglob("*"), *study.cases("development").rglob("*"), *study.keys.glob("*")]
    voxels_and_keys = {path.read_bytes() for path in secret if path.is_file()}
    assert not pushed & voxels_and_keys


def commit(run: Run, folder: Path, message: str) -> None:
    run(folder, "git", "add", ".")
    run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "--message", message)


def test_a_model_is_registered_promoted_and_scores_once(study: Workspace, run: Run) -> None:
    root = study.root
    assert run(root, "radmill", "score", check=False).returncode == 2, "no champion yet"
    run(root, "radmill", "register")
    run(root, "radmill", "register")
    run(root, "radmill", "promote", "--why", "test")
    assert run(root, "git", "status", "--porcelain").stdout == ""
    first = run(root, "radmill", "score", "--json")
    harbor = json.loads(first.stdout)["centers"][0]
    assert harbor["n_scored"] > 0
    wanted = [fault.code for fault in PLANTED if (fault.center, fault.phase) == ("harbor", "excretory")]
    assert wanted == ["truncated_file"]
    assert harbor["refused"] == {}, "the package asks for its own phase only"
    assert [case["missing"] for case in harbor["waiting"]] == ["excretory: the rest of a file"]
    files = {p: p.read_bytes() for p in (study.deployment / "scores").rglob("*.parquet")}
    second = json.loads(run(root, "radmill", "score", "--json", check=False).stdout)["centers"][0]
    assert (second["n_scored"], second["n_before"]) == (0, harbor["n_scored"])
    assert {p: p.read_bytes() for p in (study.deployment / "scores").rglob("*.parquet")} == files
    run(root, "radmill", "registry", "verify")


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda c: c["tuning"].update(trails=3), "tuning.trails: unknown key"),
        (lambda c: c["centers"]["development"].update(utopia={}), "utopia"),
        (lambda c: c["label"].update(positive=["3+"]), "2+"),
        (lambda c: c["ingest"]["clinical"].update(creatinine={"kind": "number"}), "creatinine"),
    ],
)
def test_wrong_settings_end_with_exit_2_and_lose_nothing(
    study: Workspace, run: Run, derived: Derived, edit: Callable[[object], None], complaint: str
) -> None:
    before = derived(study.root)
    edit_params(study.params, edit)
    command = ("ingest", "development") if complaint in ("2+", "creatinine") else ("intake",)
    done = run(study.root, "radmill", *command, check=False)
    assert done.returncode == 2, done.stderr
    assert complaint in done.stderr
    assert "remedy" in done.stderr
    assert derived(study.root) == before


def test_a_missing_key_or_an_empty_center_ends_with_exit_2(study: Workspace, run: Run, derived: Derived) -> None:
    before = derived(study.root)
    key = study.keys / "north.key"
    aside = study.root / "aside.key"
    key.rename(aside)
    done = run(study.root, "radmill", "run", check=False)
    assert done.returncode == 2
    assert "radmill key import" in done.stderr
    aside.rename(key)
    shutil.rmtree(study.raw("east"))
    study.raw("east").mkdir()
    done = run(study.root, "radmill", "intake", check=False)
    assert done.returncode == 2
    assert "east" in done.stderr
    assert derived(study.root) == before


def test_a_second_run_is_told_that_one_is_running(study: Workspace, run: Run) -> None:
    with study.lock("radmill run"):
        done = run(study.root, "radmill", "run", check=False)
    assert done.returncode == 3
    assert "radmill run (process" in done.stderr
