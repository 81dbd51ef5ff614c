"""What `radmill doctor` finds in a study that somebody or something left wrong, and that --fix does what is safe."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from featurestore.files import TEMPORARY
from pipelines import doctor, study_health
from pipelines.cli import radmill
from pipelines.params import load_params
from pipelines.study_health import examine_study, mend

TEMPLATE = Path(doctor.__file__).parent / "template"
NOBODY = 2**22 + 7
"""Above the largest process number of Linux."""


@pytest.fixture
def sound(study: Path) -> Path:
    """A study as `radmill init` leaves it."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(TEMPLATE / name, study / name)
    shutil.copy(TEMPLATE / "gitattributes", study / ".gitattributes")
    core = {"analytics": "false", "check_update": "false", "autostage": "false"}
    (study / ".dvc" / "config").write_text("[core]\n" + "".join(f"    {k} = {v}\n" for k, v in core.items()))
    return study


def wrong(folder: Path) -> dict[str, str]:
    return {finding.subject: finding.verdict for finding in examine_study(folder) if finding.verdict != "fit"}


def test_a_sound_study_has_nothing_wrong_and_no_study_is_no_finding(sound: Path, tmp_path: Path) -> None:
    assert wrong(sound) == {}
    assert mend(examine_study(sound)) == []
    assert examine_study(tmp_path) == []


def test_what_is_safe_is_mended_and_said(sound: Path) -> None:
    (sound / ".gitignore").write_text("/reports/\nmine\n")
    key = sound / "private" / "keys" / "old.key"
    key.parent.mkdir(parents=True)
    key.write_text("00")
    key.chmod(0o644)
    (sound / ".git" / "index.lock").touch()
    (sound / ".dvc" / "tmp").mkdir(exist_ok=True)
    (sound / ".dvc" / "tmp" / "rwlock").write_text("{torn")
    orphan, own = (sound / "data" / "views" / f"{TEMPORARY}{pid}-x.parquet" for pid in (NOBODY, os.getpid()))
    orphan.parent.mkdir(parents=True)
    orphan.touch(), own.touch()
    assert wrong(sound) == {
        "study: .gitignore": "unfit",
        "private files": "unfit",
        "study: locks": "note",
        "study: temporary files": "note",
    }
    assert len(mend(examine_study(sound))) == 4
    assert wrong(sound) == {}
    assert "mine\n" in (sound / ".gitignore").read_text()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (orphan.exists(), own.exists()) == (False, True)


def test_a_study_out_of_git_and_dvc_is_put_into_both(sound: Path) -> None:
    shutil.rmtree(sound / ".git")
    shutil.rmtree(sound / ".dvc")
    assert wrong(sound) == {"study: git": "unfit", "study: DVC": "unfit"}
    mend(examine_study(sound))
    assert wrong(sound) == {}


def test_what_a_person_must_decide_is_told_and_left(sound: Path) -> None:
    """Keys that are gone, files already in git, an unmounted disk, and another feature set."""
    text = (sound / "params.yaml").read_text().replace('feature_set: "1"', 'feature_set: "0"')
    (sound / "params.yaml").write_text(text.replace("north: {} ", "north: {key_id: abcdefabcdef} "))
    (sound / "private").mkdir(mode=0o700)
    (sound / "private" / "names.csv").touch(mode=0o600)
    subprocess.run(["git", "add", "--force", "private"], cwd=sound, check=True)
    (sound / "data" / "raw").mkdir(parents=True)
    (sound / "data" / "raw" / "east").symlink_to("/nowhere/at/all")
    before = {"study: git", "study: feature set", "study: key of north", "study: data/raw/east"}
    assert set(wrong(sound)) == before
    assert mend(examine_study(sound)) == []
    assert all(finding.remedy and finding.why for finding in examine_study(sound) if finding.verdict != "fit")


def test_wrong_settings_are_a_finding_and_no_crash(sound: Path) -> None:
    (sound / "params.yaml").write_text("radmill: {}\nfoo: 1\n")
    found = {finding.subject: finding for finding in examine_study(sound)}
    assert "study: missing; cohort: missing" in found["study: params.yaml"].found
    assert "radmill upgrade" in found["study: feature set"].remedy
    (sound / "params.yaml").write_text("a: [")
    assert wrong(sound) == {"study: params.yaml": "unfit"}


def test_the_command_mends_first_and_ends_with_what_is_left(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sound)
    monkeypatch.setattr(doctor, "examine", lambda _: [])
    (sound / ".gitignore").write_text("")
    told = CliRunner().invoke(radmill, ["doctor"])
    assert told.exit_code == 2
    assert "`radmill doctor --fix` mends: study: .gitignore" in told.output
    assert "take in what hospitals sent" in told.output
    fixed = CliRunner().invoke(radmill, ["doctor", "--fix"])
    assert fixed.exit_code == 0
    assert fixed.output.startswith("fixed: study: .gitignore: added")


def test_networks_without_pytorch_are_told_only_where_settings_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(TEMPLATE / "params.yaml")
    for module in (doctor, study_health):
        monkeypatch.setattr(module, "has_torch", lambda: False)
    found = list(study_health._networks(params))
    assert [(finding.verdict, "radmill[deep]" in finding.remedy) for finding in found] == [("unfit", True)]
    assert list(study_health._networks(params.model_copy(update={"deep": {}}))) == []
    assert doctor._torch().verdict == "fit"


def test_a_network_that_insists_on_a_gpu_is_named_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(TEMPLATE / "params.yaml")
    monkeypatch.setattr(study_health, "sees_gpu", lambda: False)
    assert list(study_health._networks(params)) == []
    deep = {name: model.model_copy(update={"device": "cuda"}) for name, model in params.deep.items()}
    found = list(study_health._networks(params.model_copy(update={"deep": deep})))
    assert [finding.verdict for finding in found] == ["unfit"]
    assert set(deep) <= set(found[0].found.replace(",", "").split())
