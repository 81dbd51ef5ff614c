"""The study page: self-contained, the same each time, honest, and never in need of a complete study."""

import re
import shutil
from html.parser import HTMLParser

import pytest

from pipelines.evaluation.evaluate import evaluate
from pipelines.reporting.palette import TONES
from pipelines.reporting.report import report, write_figures

NEIGHBOR = re.compile(r"(checklists|gallery)\.html(#\w+)?$")
"""Pages that lie beside the study page."""

VOID = {"meta", "br", "wbr", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects what the tests ask about, and complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.ids += [str(values["id"])] if "id" in values else []
        self.references += [
            str(values[name]) for name in ("href", "src", "xlink:href", "aria-labelledby") if name in values
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def study(fake_study, tmp_path_factory):  # type: ignore[no-untyped-def]
    workspace, params = fake_study(tmp_path_factory.mktemp("study"))
    evaluate(workspace, params)
    return workspace, params


@pytest.fixture(scope="module")
def text(study) -> str:  # type: ignore[no-untyped-def]
    report(*study)
    return (study[0].reports / "study.html").read_text(encoding="utf-8")


def test_page_is_well_formed_and_its_ids_are_unique_and_resolve(text: str) -> None:
    page = Page(text)
    assert not page.open
    assert len(page.ids) == len(set(page.ids))
    targets = {reference.lstrip("#") for reference in page.references if not NEIGHBOR.match(reference)}
    assert targets <= set(page.ids), targets - set(page.ids)
    used = set(re.findall(r"url\(#([^)]+)\)", text))
    assert used <= set(page.ids)


def test_page_loads_nothing_from_elsewhere_and_runs_nothing(text: str) -> None:
    assert not [
        target for target in re.findall(r"(?:src|href)=\"([^#\"]*)", text) if target and not NEIGHBOR.match(target)
    ]
    assert "@import" not in text
    assert "<script" not in text
    assert '<meta charset="utf-8">' in text


def test_same_files_give_the_same_page(study, text: str) -> None:  # type: ignore[no-untyped-def]
    report(*study)
    assert (study[0].reports / "study.html").read_text(encoding="utf-8") == text


def test_figures_take_the_colors_of_the_page(text: str) -> None:
    """A color left as a number would stay dark on a dark page."""
    drawn = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}", drawn)) <= {"#000000", "#ffffff"}
    assert drawn.count("var(--external)") > 3
    assert "DejaVu" not in drawn


def test_light_colors_are_all_different() -> None:
    values = [tone.light for tone in TONES.values()]
    assert len(values) == len(set(values))


def test_page_holds_no_pseudonym_of_any_patient(study, text: str) -> None:  # type: ignore[no-untyped-def]
    assert not re.search(r"(no|ea|so|we)[0-9a-f]{14}", text)


def test_page_says_what_a_reader_looks_for(study, text: str) -> None:  # type: ignore[no-untyped-def]
    """Every model, every refusal with its remedy, the flow, the thresholds, the cautions."""
    plain = text.replace("<wbr>", "")
    for words in (
        *study[1].models,
        "slices_missing",
        "export the series again with all its slices",
        "Excluded by rule",
        "Training, cross-validated",
        "External validation",
        "Youden",
        "sensitivity 90 %",
        "A small external cohort",
        "2 columns have one value in all rows",
        "the area under the curve is",
        "Ethics, reference standard and readers were not stated",
    ):
        assert words in plain, words


def test_best_model_is_chosen_without_external_patients(fake_study, tmp_path) -> None:
    """Turning the external labels round changes external numbers and not the choice."""
    from featurestore.tables import read_frame, write_center
    from pipelines.ingest.views import outcomes_schema

    workspace, params = fake_study(tmp_path)
    evaluate(workspace, params)
    before = report(workspace, params).best
    outcomes = read_frame(workspace.outcomes("external"))
    outcomes["label"] = (1 - outcomes["label"]).astype("Int64")
    write_center(workspace.outcomes("external"), "west", outcomes, outcomes_schema(params.label))
    evaluate(workspace, params)
    assert report(workspace, params).best == before
    assert "Worse outside than inside" in (workspace.reports / "study.html").read_text(encoding="utf-8")


def test_study_without_external_centers_says_so(fake_study, tmp_path) -> None:
    workspace, params = fake_study(tmp_path, external=(), services=("excretory",))
    evaluate(workspace, params)
    report(workspace, params)
    page = (workspace.reports / "study.html").read_text(encoding="utf-8")
    assert "No external validation" in page
    assert "External validation" not in page


def test_study_with_nothing_yet_still_has_a_page(fake_study, tmp_path) -> None:
    workspace, params = fake_study(tmp_path, services=("excretory",))
    shutil.rmtree(workspace.root / "data")
    report(workspace, params)
    page = (workspace.reports / "study.html").read_text(encoding="utf-8")
    assert "No model was judged yet" in page
    assert Page(page).open == []


def test_names_are_escaped(fake_study, tmp_path) -> None:
    workspace, params = fake_study(tmp_path, services=("excretory",))
    shutil.rmtree(workspace.root / "data")
    study = params.study.model_copy(update={"name": "<script>alert(1)</script>"})
    report(workspace, params.model_copy(update={"study": study}))
    assert "<script>" not in (workspace.reports / "study.html").read_text(encoding="utf-8")


def test_figures_as_files_are_written_for_every_model_and_swept(study) -> None:  # type: ignore[no-untyped-def]
    workspace, params = study
    stray = workspace.reports / "figures" / "gone" / "roc.png"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"")
    written = write_figures(workspace, params)
    first = {path: path.read_bytes() for path in written}
    names = {path.stem for path in written if path.parent.name in params.models}
    assert {
        "roc", "calibration", "decision", "confusion", "precision_recall", "explained_variance", "components",
    } <= names  # fmt: skip
    assert not stray.exists()
    assert {path: path.read_bytes() for path in write_figures(workspace, params)} == first
