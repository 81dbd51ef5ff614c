"""Pages for everybody: markup that assistive technology understands, colors that can be read on both backgrounds."""

from pathlib import Path

import pytest

from pipelines.evaluation.evaluate import evaluate
from pipelines.reporting.palette import TONES
from pipelines.reporting.report import report
from tests.page_structure import Structure, faults

TEXT = ("ink", "muted", "accent", "internal", "good", "warn", "bad")
BACKGROUNDS = ("surface", "page", "soft")
ENOUGH = 4.5
"""WCAG 2.2, success criterion 1.4.3 (AA) for text of usual size."""

WHOLE = '<html lang="en"><header><h1>a</h1></header><nav aria-label="b"></nav><main>{}</main><footer></footer></html>'


def luminance(color: str) -> float:
    """Relative luminance as WCAG defines it."""
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_reckoned_as_the_standard_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("tone", TEXT)
def test_text_stands_out_from_every_background(scheme: str, tone: str) -> None:
    for name in BACKGROUNDS:
        assert contrast(getattr(TONES[tone], scheme), getattr(TONES[name], scheme)) >= ENOUGH, name


@pytest.mark.parametrize("external", [("west",), (), ("west", "far")])
def test_study_page_and_checklists_are_well_structured(fake_study, tmp_path: Path, external) -> None:
    workspace, params = fake_study(tmp_path, external=external, services=("excretory",))
    evaluate(workspace, params)
    report(workspace, params)
    assert faults(workspace.reports / "study.html") == []
    assert faults(workspace.reports / "checklists.html") == []


def test_pages_of_a_study_without_anything_are_well_structured(fake_study, tmp_path: Path) -> None:
    workspace, params = fake_study(tmp_path / "made", services=("excretory",))
    empty = type(workspace)(tmp_path / "empty")
    report(empty, params)
    assert faults(empty.reports / "study.html") == []
    assert faults(empty.reports / "checklists.html") == []


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("<img src='data:,'>", "img without alt"),
        ("<svg></svg>", "svg without a name"),
        ("<table><tr><th>x</th></tr></table>", "th without scope"),
        ("<h3>x</h3>", "headings skip to h3"),
        ("<input>", "input without a label"),
        ("<script></script>", "a script"),
        ("<a href='https://example.org'>x</a>", "<a> reaches out: https://example.org"),
        ("<div role='region'></div>", "region without a name"),
        ("<h1>y</h1>", "2 h1"),
        ("<p id='a'></p><p id='a'></p>", "ids twice: ['a']"),
    ],
)
def test_the_check_itself_sees_faults(content: str, complaint: str) -> None:
    assert Structure(WHOLE.format(content)).complaints == [complaint]
    assert Structure(WHOLE.format("")).complaints == []
