"""Texts that would be programs, or turn writing round, stand as such on no page, card or table that radmill makes.

Names of centers, models, phases and columns cannot be hostile: settings take plain letters alone.
"""

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore.tables import read_frame, write_center
from featurestore.visible import in_html, in_markdown, visible
from pipelines.cli.terminal import print_facts
from pipelines.evaluation.evaluate import evaluate
from pipelines.ingest.views import QC
from pipelines.params import Params, parse_params
from pipelines.reporting import pages
from pipelines.reporting.gallery import gallery
from pipelines.reporting.paper_formats import html_page, html_table, table
from pipelines.reporting.report import report
from pipelines.workspace import Role, Workspace
from registry.card import Standing, version_card
from registry.lifecycle import Registry
from tests.conftest import Candidates

HOSTILE = "zq<script>alert(1)</script>\"'><img src=x onerror=1>]]>\u202ezq"
RAW = re.compile("<script>alert|<img src=x|[\u202a-\u202e\u2066-\u2069]")
"""What must stand nowhere: the text would be run, or turn what follows round."""


class Text(HTMLParser):
    """Collects what a page shows and what it would do."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shown: list[str] = []
        self.acts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.acts += [tag] if tag == "script" else []
        self.acts += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.shown.append(data)


def check(path: Path) -> None:
    """Looks through one written file."""
    text = path.read_text(encoding="utf-8")
    assert not RAW.search(text), path.name
    if path.suffix == ".html":
        assert Text(text).acts == [], path.name


@pytest.fixture(scope="module")
def study(fake_study, tmp_path_factory):  # type: ignore[no-untyped-def]
    """A made-up study in which every free text is hostile, evaluated and reported."""
    workspace, params = fake_study(tmp_path_factory.mktemp("hostile"), n_per_center=24, services=("excretory",))
    params = hostile_settings(params)
    for role in ("development", "external"):
        for center in params.centers.of(role):
            poison(workspace, role, center)
    (workspace.root / "params.yaml").write_text("", encoding="utf-8")
    evaluate(workspace, params)
    report(workspace, params)
    return workspace, params


def hostile_settings(params: Params) -> Params:
    """Puts hostile texts wherever the settings take any text."""
    content = params.model_dump(mode="json")
    content["study"] |= {"name": HOSTILE, "statements": {"ethics": HOSTILE, "readers": HOSTILE}}
    content["cohort"]["include"] = [{"column": "age", "minimum": 18, "reason": HOSTILE}]
    content["label"]["positive"].append(HOSTILE)
    content["ingest"]["clinical"]["node_status"] |= {"values": ["N0", "N+", HOSTILE], "description": HOSTILE}
    content["ingest"]["clinical"]["age"]["unit"] = HOSTILE
    content["registry"]["intended_use"] = HOSTILE
    return parse_params(content)


def poison(workspace: Workspace, role: Role, center: str) -> None:
    """Puts hostile texts wherever the files of a hospital decide what a table holds."""
    root = workspace.view(role, "qc")
    qc = read_frame(root)
    qc = qc[qc["center"] == center].assign(message=HOSTILE, remedy=HOSTILE)
    write_center(root, center, qc, QC)
    for name, columns in (("acquisition", ("manufacturer", "model", "kernel")), ("clinical", ("node_status",))):
        rewrite(workspace.view(role, name), center, columns)


def rewrite(root: Path, center: str, columns: tuple[str, ...]) -> None:
    """Puts a hostile text into every third row of some columns."""
    for path in (root / f"center={center}").glob("*.parquet"):
        table = pq.read_table(path)
        for name in columns:
            field = table.schema.field(name)
            values = np.where(np.arange(len(table)) % 3 == 0, HOSTILE, "plain")
            table = table.set_column(table.schema.names.index(name), field, pa.array(values).cast(field.type))
        pq.write_table(table, path)


def test_study_page_and_checklists(study) -> None:
    for name in ("study", "checklists"):
        check(study[0].reports / f"{name}.html")
        shown = "".join(Text((study[0].reports / f"{name}.html").read_text(encoding="utf-8")).shown)
        assert "zq<script>alert(1)</script>" in shown, "it is shown as text"
    assert "<U+202E>" in shown


def test_tables_of_a_paper() -> None:
    made = table("hostile", HOSTILE, (HOSTILE, "n"), [(HOSTILE, 3), ("a", 4)], note=HOSTILE)
    page = html_page(HOSTILE, html_table(made))
    assert not RAW.search(page)
    assert Text(page).acts == []
    assert page.count("zq&lt;script&gt;") == 6


def test_gallery(study) -> None:
    gallery(*study)
    check(study[0].reports / "gallery.html")
    assert "zq&lt;script&gt;" in (study[0].reports / "gallery.html").read_text(encoding="utf-8")


def test_card_of_a_version(empty_study: Path, tmp_path: Path) -> None:
    """Why-texts, overrides, the intended use, and the card that came with a package."""
    root = Path(shutil.copytree(empty_study, tmp_path / "study", symlinks=True))
    made, registry = Candidates(), Registry(root)
    package, training = made.write(root, "hostile")
    version = registry.register("hostile", package, training, made.metrics(), HOSTILE)
    version = replace(version, overrides=(HOSTILE,))
    verdicts = [{"name": HOSTILE, "measured": 0.5, "limit": 0.7, "passed": False, "note": HOSTILE}]
    told = replace(registry.package(version), card=HOSTILE)
    card = version_card(version, told, registry.evidence(version), HOSTILE, Standing(verdicts=verdicts))
    assert not RAW.search(card)
    assert card.count("zq&lt;script>") >= 6


def test_every_template_shows_values_in_that_way() -> None:
    environment = pages._environment()
    assert environment.autoescape is True
    shown = environment.from_string("<p title='{{ x }}'>{{ x }}</p>{{ x | breakable }}{{ 3 }}").render(x=HOSTILE)
    assert not RAW.search(shown)
    assert Text(shown).acts == []
    assert shown.count("U+202E") == 3


@pytest.mark.parametrize("section", ["phases", "models", "services"])
def test_names_take_plain_letters_alone(study, section: str) -> None:
    content: dict[str, Any] = study[1].model_dump(mode="json")
    content[section][HOSTILE] = next(iter(content[section].values()))
    with pytest.raises(Exception, match="String should match pattern"):
        parse_params(content)


def test_a_terminal_shows_controls_as_code_points(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts({"name": "a\u202eb\x1b[31m", "letters": "Müller\t日本 עברית"})
    assert capsys.readouterr().out.splitlines() == ["name     a<U+202E>b<U+001B>[31m", "letters  Müller\t日本 עברית"]


def test_the_three_writings() -> None:
    assert visible("plain\ntext") == "plain\ntext"
    assert in_markdown("`<b>` & \u2066") == "`&lt;b>` & &lt;U+2066>"
    assert in_html("<\u202e'\">") == "&lt;&lt;U+202E&gt;&#x27;&quot;&gt;"
