"""Texts that would be programs, or turn writing round, stand as such on no page, card or table that radmill makes.

Names of centers, models, phases and columns cannot be hostile: settings take plain letters alone.
"""

import csv
import io
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore.errors import InputError
from featurestore.sheets import csv_frame, csv_rows
from featurestore.tables import read_frame, write_center
from featurestore.visible import in_html, in_markdown, visible
from pipelines import cli
from pipelines.cli.terminal import print_facts
from pipelines.evaluation.evaluate import evaluate
from pipelines.ingest.views import QC
from pipelines.params import Params, parse_params
from pipelines.reporting import pages
from pipelines.reporting.canvas import new_axes
from pipelines.reporting.flowcharts import Step, flowchart
from pipelines.reporting.gallery import gallery
from pipelines.reporting.paper_formats import csv_text, html_page, html_table, table
from pipelines.reporting.report import report
from pipelines.reporting.vector import inline_svg, pdf_bytes, svg_bytes
from pipelines.scoring.metrics_file import _labels
from pipelines.workspace import Role, Workspace
from registry.card import Standing, version_card
from registry.lifecycle import Registry
from registry.mirror.content import package_content
from registry.mirror.place import study_key
from registry.mirror.versions import _tags
from registry.states import ModelVersion
from tests.conftest import ROOT, Candidates
from tests.hostile import HOSTILE, RAW, Text


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


@pytest.mark.parametrize("text", [HOSTILE, "$\\frac{1}{$ \x01\x00--> $x_{2}$"])
def test_figures(text: str) -> None:
    """In a page, in a file of its own, and in print; a pair of dollars is no formula, which may be a wrong one."""
    figure, axes = new_axes(text, text, width=16, height=12)
    axes.set_title(text)
    axes.set_xticks([0, 1], [text, "b"])
    axes.text(0, 0, text)
    flow = flowchart([Step(title=text, lines=(text,), aside=(text, text))])
    for drawn in (figure, flow):
        for svg in (inline_svg(drawn, "n", text), svg_bytes(drawn, "n").decode()):
            assert not re.search(f"{RAW.pattern}|[\x00\x01]", svg)
            ElementTree.fromstring(svg)
        assert pdf_bytes(drawn).startswith(b"%PDF")
    assert svg.count("U+202E") >= 4 or text != HOSTILE
    assert "$x" in inline_svg(figure, "n", "") or text == HOSTILE


def test_no_cell_of_a_table_is_a_formula() -> None:
    run = ["=1+cmd|'/C calc'!A0", "+SUM(A1)", "-2+A1", "@x", "\t=1", "\n=1", "＝1"]
    kept = ["a=b", "", "-0.5", "-1.2e-5", "-0.12 (-0.30 to 0.05)", "-", "+3 %", "–", "−1", "-inf", "Ada"]
    frame = pd.DataFrame({"=x": run + kept, "n": -1.5, "some": pd.Categorical(["=1", None] * 9)})
    for text in (csv_frame(frame), csv_rows([list(frame), *frame.itertuples(index=False, name=None)])):
        read = list(csv.reader(io.StringIO(text, newline="")))
        assert [row[0] for row in read] == ["'=x", *(f"'{cell}" for cell in run), *kept]
        assert {row[1] for row in read[1:]} == {"-1.5"}
        assert "'=1" in read[1]
    assert csv_frame(frame[["n"]].iloc[:0]) == "n\n"
    plain = pd.DataFrame({"a": pd.Series([1, None], dtype=object), "d": pd.to_datetime(["2020-01-02", "2020-01-03"])})
    assert csv_frame(plain) == "a,d\n1,2020-01-02\n,2020-01-03\n", "a whole number beside nothing stays whole"
    assert csv_rows([("a\r=1",)]) == "a<U+000D>=1\n", "no row of its own"
    assert csv_text(table("t", "t", ("=a", "b"), [("=b", "-0.5")])) == "'=a,b\n'=b,-0.5\n"


def test_all_tables_for_people_are_written_there() -> None:
    """The demo writes as hospitals do."""
    writes = re.compile(r"\.to_csv\(|csv\.(writer|DictWriter)\(")
    own = {"featurestore/sheets.py", "pipelines/demo/clinical_table.py"}
    paths = [path for room in ("featurestore", "registry", "pipelines") for path in (ROOT / room).rglob("*.py")]
    assert {str(p.relative_to(ROOT)) for p in paths if writes.search(p.read_text(encoding="utf-8"))} == own


def test_what_mlflow_is_given(registered: tuple[Registry, ModelVersion, dict[str, Any]]) -> None:
    registry, version, metrics = registered
    package = replace(registry.package(version), card=f"{HOSTILE} ![x](http://a/b.png) [y](javascript:1)")
    package.manifest["model"]["hyperparameters"] = {"solver": HOSTILE}
    package.manifest["label"] = HOSTILE
    content = package_content(package, f"{HOSTILE}_m", metrics, {"centers": [HOSTILE]})
    told = [content.name, content.texts["card.md"], *content.params.values(), *content.tags.values()]
    told += _tags(replace(version, overrides=(HOSTILE,))).values()
    assert "".join(told).count("<U+202E>") >= 4
    assert not re.search("[\u202a-\u202e]", "".join(told))
    assert not RAW.search(content.texts["card.md"])
    assert not re.search(r"!\[|\]\(", content.texts["card.md"]), "no picture is fetched, no link runs"
    assert not re.search("['\"`\u202e]", study_key(registry.study)), "it stands in a filter between quotes"


def test_what_prometheus_is_given() -> None:
    assert _labels({"study": f'a"\n\\{HOSTILE}'}).count("\n") == 0
    assert "<U+202E>" in _labels({"study": HOSTILE})


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, empty_study: Path):  # type: ignore[no-untyped-def]
    """A registry with a version, in a folder of a hostile name."""
    root = tmp_path_factory.mktemp("registered") / "O'Brien \"`study\u202e"
    shutil.copytree(empty_study, root, symlinks=True)
    made, registry = Candidates(), Registry(root)
    folder, training = made.write(root, "hostile")
    return registry, registry.register("hostile", folder, training, made.metrics(), HOSTILE), made.metrics()


def test_card_of_a_version(registered: tuple[Registry, ModelVersion, dict[str, Any]]) -> None:
    """Why-texts, overrides, the intended use, and the card that came with a package."""
    registry, version, _ = registered
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


def test_errors_show_them_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(**_: object) -> None:
        raise InputError("\x1b[2Jgone", where="incoming/a\u202eb")

    monkeypatch.setattr("pipelines.cli.radmill.main", stop)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == "radmill: incoming/a<U+202E>b: <U+001B>[2Jgone\n"


def test_the_three_writings() -> None:
    assert visible("plain\ntext") == "plain\ntext"
    assert in_markdown("`<b>` & \u2066") == "`&lt;b>` & &lt;U+2066>"
    assert visible("\udcff") == "<U+DCFF>", "a byte of a file's name that is no text"
    assert in_html("<\u202e'\">") == "&lt;&lt;U+202E&gt;&#x27;&quot;&gt;"
