"""`radmill init` on own data, asked and unasked: what is written is valid, and nothing before all answers are there."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipelines import study
from pipelines.cli import beginning, radmill
from pipelines.params import load_params
from tests.unit.test_looking import dicom_center, nifti_center


@pytest.fixture
def data(tmp_path: Path) -> Path:
    nifti_center(tmp_path / "hospitals" / "St. Anna", n=6)
    dicom_center(tmp_path / "hospitals" / "west", ["Scout", "CORTICO 1.0", "Abd delayed"])
    return tmp_path / "hospitals"


@pytest.fixture(autouse=True)
def _no_dvc(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC takes a second to begin, and one test lets it."""
    if "whole" not in request.node.name:
        monkeypatch.setattr(study, "run_dvc", lambda *_: "")


def init(*arguments: str | Path, answers: str | None = None) -> Result:
    return CliRunner().invoke(radmill, ["init", *map(str, arguments)], input=answers)


FLAGS = ("--label", "ihc", "--positive", "2+", "--positive", "1", "--external", "west")


def test_a_script_gets_a_whole_study_without_a_question(tmp_path: Path, data: Path) -> None:
    done = init(tmp_path / "study", "--from-data", data, *FLAGS)
    assert done.exit_code == 0, done.output
    params = load_params(tmp_path / "study" / "params.yaml")
    assert list(params.centers.development) == ["st_anna"]
    assert params.centers.external["west"].clinical == {"patient_id": "PatNr"}
    assert list(params.phases) == ["arterial", "late"]
    assert (params.label.positive, params.label.negative) == (["2+", "1"], ["0"])
    assert {"sex": False, "Age": True}.items() <= {n: c.required for n, c in params.ingest.clinical.items()}.items()
    assert {"radiomics_lr_all_phases", "clinical"} <= set(params.models)
    text = (tmp_path / "study" / "params.yaml").read_text()
    assert "# models are made here" in text
    assert "\n\n\n" not in text
    assert (tmp_path / "study" / "data" / "raw" / "st_anna").resolve() == data / "St. Anna"
    assert "6" in done.output
    assert "free disk" in done.output


def test_copies_are_made_where_asked(tmp_path: Path, data: Path) -> None:
    assert init(tmp_path / "study", "--from-data", data, *FLAGS, "--copy").exit_code == 0
    copied = tmp_path / "study" / "data" / "raw" / "west"
    assert not copied.is_symlink()
    assert (copied / "clinical.csv").is_file()


def test_a_person_is_asked_until_the_answer_fits(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginning, "is_terminal", lambda: True)
    answers = [
        str(data / "nowhere"),
        str(data),
        "East",
        "West",
        "",
        "ihcc",
        "ihc",
        "9",
        "2+, 1",
        "Age",
        "",
        "a",
        "",
        "y",
    ]
    done = init(tmp_path / "study", answers="\n".join(answers) + "\n")
    assert done.exit_code == 0, done.output
    for told in ("there is no folder", "no center East", "is it ihc?", "nowhere '9'"):
        assert told in done.output
    params = load_params(tmp_path / "study" / "params.yaml")
    assert list(params.centers.external) == ["west"]
    assert list(params.ingest.clinical) == ["Age"]
    assert params.ingest.observer_policy == "a"


def test_nothing_is_written_when_the_person_says_no(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "is_terminal", lambda: True)
    init(tmp_path / "study", "--from-data", data, *FLAGS, answers="\n\n\n\n\nn\n")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--label", "ihcc"), "is it ihc"),
        ((), "--label COLUMN"),
        (("--label", "ihc"), "--positive VALUE"),
        (("--label", "ihc", "--positive", "1", "--external", "north"), "no center north"),
        (("--label", "ihc", "--positive", "1", "--clinical", "remark"), "free text"),
        (("--label", "ihc", "--positive", "1", "--roi", "("), "no regular expression|not a regular expression"),
    ],
)
def test_a_script_is_told_what_is_missing(tmp_path: Path, data: Path, arguments: tuple[str, ...], told: str) -> None:
    done = init(tmp_path / "study", "--from-data", data, *arguments)
    assert done.exit_code != 0
    assert any(text in f"{done.exception}" for text in told.split("|"))
    assert not (tmp_path / "study").exists()


def test_data_that_lie_in_the_study_already_are_taken_there(tmp_path: Path, data: Path) -> None:
    raw = tmp_path / "study" / "data" / "raw"
    shutil.copytree(data, raw)
    assert init(tmp_path / "study", "--from-data", raw, *FLAGS).exit_code == 0
    params = load_params(tmp_path / "study" / "params.yaml")
    assert params.centers.development["st_anna"].folder == "data/raw/St. Anna"
    assert params.centers.external["west"].folder is None


def test_a_study_inside_the_data_is_refused(data: Path) -> None:
    done = init(data / "study", "--from-data", data, *FLAGS)
    assert "inside the data" in str(done.exception)
    assert not (data / "study").exists()


def test_options_about_data_need_the_data(tmp_path: Path) -> None:
    done = init(tmp_path / "study", "--label", "ihc")
    assert done.exit_code == 2
    assert "--from-data" in done.output


def test_a_person_is_asked_for_external_centers_and_positive_values_with_what_was_seen_as_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enter takes the center whose folder says so, and the value that means yes; with one center none can be."""
    for name in ("north", "west_external"):
        dicom_center(tmp_path / "hospitals" / name, ["Scout", "CORTICO"], n=3)
    monkeypatch.setattr(beginning, "is_terminal", lambda: True)
    done = init(tmp_path / "study", "--from-data", tmp_path / "hospitals", answers="\n" * 7 + "y\n" * 2)
    assert done.exit_code == 0, done.output
    assert "[west_external]" in done.output
    assert "Positive values of ihc (with commas), of 0 (4), 1 (2) [1]" in done.output
    params = load_params(tmp_path / "study" / "params.yaml")
    assert list(params.centers.external) == ["west_external"]
    assert params.label.positive == ["1"]
    alone = init(tmp_path / "alone", "--from-data", tmp_path / "hospitals" / "north", answers="n\n" * 7)
    assert "north is the only center" in alone.output
