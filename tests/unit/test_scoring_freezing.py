"""A hospital's shift rests on one fixed list of cases, however they arrive; before it the declared policy holds."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from featurestore.errors import DamagedTableError
from featurestore.fingerprints import combined_digest
from pipelines.scoring.freezing import chosen_list, frozen_list, write_list
from registry.freezing import freeze, frozen_digest
from registry.ledger import Ledger
from registry.states import fold

CASES = [f"c{i:015x}" for i in range(30)]


def test_the_first_cases_become_the_list_and_stay_it(tmp_path: Path) -> None:
    assert chosen_list(tmp_path, "harbor", [], CASES[:9], 10) is None
    first = chosen_list(tmp_path, "harbor", [], CASES[:12], 10)
    assert first is not None
    assert first.cases == tuple(CASES[:10])
    assert chosen_list(tmp_path, "harbor", [], CASES, 10) == first
    assert chosen_list(tmp_path / "other", "other", [], CASES, 0) is None, "0 leaves it to the event"


def test_the_ledger_names_the_list_by_its_digest_alone(tmp_path: Path) -> None:
    for command in (["init", "-q"], ["config", "user.name", "x"], ["config", "user.email", "x@y.z"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").touch()
    (tmp_path / "models").mkdir()
    ledger, folder = Ledger(tmp_path / "models" / "ledger.jsonl"), tmp_path / "deployment"
    made = write_list(folder, CASES)
    freeze(tmp_path, ledger, "harbor", made.digest, len(CASES), "enough")
    assert frozen_digest(ledger.events(), "harbor") == combined_digest(CASES)
    assert not any(case in ledger.path.read_text() for case in CASES)
    assert fold(ledger.events()).versions == {}
    assert frozen_list(folder, "harbor", ledger.events()) == made
    content = json.loads((folder / "frozen.json").read_text())
    (folder / "frozen.json").write_text(json.dumps({**content, "cases": content["cases"][1:]}))
    with pytest.raises(DamagedTableError, match="not the list that the ledger names"):
        frozen_list(folder, "harbor", ledger.events())


def test_the_neutral_adapter_moves_nothing() -> None:
    from featurestore.harmonization import Adapter, Combat

    rng = np.random.default_rng(0)
    X, center = rng.normal(size=(40, 5)), np.repeat(["a", "b"], 20)
    fit = Combat.fit(X, center)
    neutral = Adapter(center="c", fit=fit.digest, cases="", n=0, gamma=np.zeros(5), delta=np.ones(5))
    moved = fit.transform(X, np.full(40, "c"), adapters={"c": neutral})
    np.testing.assert_allclose(moved, X, atol=1e-12)
