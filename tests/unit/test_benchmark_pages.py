"""Pages of performance are what their commands write from the results that lie beside them."""

import importlib

import pytest

from tests.conftest import ROOT


def test_the_page_on_scoring_is_what_its_command_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    page = importlib.import_module("scoring_page")
    assert page.PAGE.read_text(encoding="utf-8") == page.page_text()
