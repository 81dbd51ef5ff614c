"""Keys are for their owner alone, doctor says where they are not, and no server listens beyond this machine."""

import re
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from jinja2 import Environment

from pipelines.doctor import private_files
from pipelines.ingest.pseudonyms import KeyOpenError, create_key, import_key, key_path, load_key
from pipelines.reporting import pages
from registry.mirror import filling
from tests.conftest import ROOT


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """The private folder of a study with one key."""
    folder = tmp_path / "private"
    create_key(folder / "keys", "north")
    folder.chmod(0o700)
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def found(folder: Path) -> dict[str, object]:
    (finding,) = private_files(folder)
    return finding.plain()


def test_a_key_is_for_its_owner_alone_whether_made_or_brought(private: Path, tmp_path: Path) -> None:
    brought = tmp_path / "brought.key"
    brought.write_bytes(key_path(private / "keys", "north").read_bytes())
    brought.chmod(0o644)
    import_key(private / "keys", "east", brought)
    assert {mode(key_path(private / "keys", center)) for center in ("north", "east")} == {0o600}


@pytest.mark.parametrize("rights", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_not_used(private: Path, rights: int) -> None:
    key = load_key(private / "keys", "north")
    path = key_path(private / "keys", "north")
    path.chmod(rights)
    with pytest.raises(KeyOpenError, match=f"mode {rights:o}") as told:
        load_key(private / "keys", "north")
    assert "chmod -R go= private" in told.value.remedy
    assert key.hex() not in str(told.value)
    path.chmod(0o600)
    assert load_key(private / "keys", "north") == key


def test_every_folder_made_for_a_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    create_key(tmp_path / "private" / "keys", "north")
    assert {mode(tmp_path / "private"), mode(tmp_path / "private" / "keys")} == {0o700}


def test_doctor_is_content_with_a_study_whose_keys_are_private(private: Path) -> None:
    assert found(private.parent)["verdict"] == "fit"


@pytest.mark.parametrize("wrong", ["keys/north.key", "."])
def test_doctor_names_a_key_that_others_can_read_and_its_remedy_mends_it(private: Path, wrong: str) -> None:
    (private / wrong).chmod(0o755 if wrong == "." else 0o640)
    told = found(private.parent)
    assert told["verdict"] == "unfit"
    assert "open to other users" in str(told["found"])
    assert told["remedy"] == "chmod -R go= private"
    for path in (private, *private.rglob("*")):
        path.chmod(mode(path) & ~0o077)
    assert found(private.parent)["verdict"] == "fit"


def test_ui_listens_on_this_machine_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.cli import study
    from pipelines.workspace import Workspace

    called: list[list[str]] = []
    environments: list[dict[str, str]] = []

    def started(command: list[str], env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        called.append(command)
        environments.append(env)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://ada:secret@db/mlflow")
    monkeypatch.setattr(study.subprocess, "run", started)
    monkeypatch.setattr(Workspace, "find", lambda: Workspace(tmp_path))
    monkeypatch.setattr("registry.mirror.models_link", lambda _: "#/")
    assert CliRunner().invoke(study.ui, []).exit_code == 0
    assert called[0][called[0].index("--host") + 1] == "127.0.0.1"
    assert environments[0]["MLFLOW_BACKEND_STORE_URI"].endswith("@db/mlflow")
    assert "secret" not in " ".join(called[0]), "everybody on the machine sees what a command was called with"


def test_a_password_of_the_tracking_server_is_in_no_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own message quotes the whole address."""

    def gone(*_: object) -> None:
        raise OSError("API request to http://ada:secret@db:5000/api/2.0 failed with exception x\n[SQL: CREATE TABLE\n]")

    monkeypatch.setattr(filling, "_fill", gone)
    with pytest.raises(filling.WindowError) as told:
        filling.mirror(tmp_path, "http://ada:secret@db:5000", experiment="x", registry_name="x")
    assert "secret" not in str(told.value)
    assert "…@db:5000" in str(told.value)
    assert "SQL" not in str(told.value), "a statement fills the screen, and what to do is below it"
    assert told.value.__cause__ is None


def test_nothing_in_the_house_listens_on_all_addresses() -> None:
    """Workers, their scheduler and the dashboard (which is off) are told an address; none may be everybody's."""
    wide = re.compile(r"0\.0\.0\.0|\"::\"|INADDR_ANY|host=\"\"")
    sources = [path for room in ("featurestore", "registry", "pipelines") for path in (ROOT / room).rglob("*.py")]
    assert [path.name for path in sources if wide.search(path.read_text(encoding="utf-8"))] == []
    pool = (ROOT / "pipelines" / "execution" / "pool.py").read_text(encoding="utf-8")
    assert 'host="127.0.0.1"' in pool
    assert '"dashboard": False' in pool


def test_every_template_escapes_what_it_shows() -> None:
    """A center, region or category may be called anything; markup is only what radmill itself has drawn."""
    environment: Environment = pages._environment()
    shown = environment.from_string("{{ name }}<i title='{{ name }}'>").render(name="<script>'\"</script>")
    assert "<script>" not in shown
    assert "'\"" not in shown
    templates = list((ROOT / "pipelines" / "reporting" / "templates").glob("*.html"))
    assert templates
    bypasses = re.compile(r"\|\s*safe|autoescape\s+false")
    assert [path.name for path in templates if bypasses.search(path.read_text(encoding="utf-8"))] == []
    assert pages.breakable("<script>_x") == "&lt;script&gt;_<wbr>x"
