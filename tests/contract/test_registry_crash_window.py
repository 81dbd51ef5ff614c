"""A command that is killed between an event and the window leaves no window that the next command does not complete.

As `test_registry_crash`, but each event is followed by the mirror, as in the commands `register`, `promote` and
`rollback`, and MLflow's window is compared, too. `RADMILL_KILLS` sets how many moments are tried.
"""

import json
import os
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from proofs.rebuild import _differing as differing
from proofs.window import shown
from registry.lifecycle import Registry
from registry.mirror import mirror
from registry.mirror.aliases import HEAD_TAG
from registry.mirror.place import connection, own_uri
from tests.contract.test_registry_crash import STEPS, begin, step
from tests.killed import killed, ready, whole

KILLS = int(os.environ.get("RADMILL_KILLS", "2"))
SEED = int(os.environ.get("RADMILL_SEED", "7"))
NAME = "crash"
BEFORE = 3
"""Events that the study begins with."""

MODULES = ("registry.lifecycle", "registry.mirror", "mlflow", "tests.contract.test_registry_crash_window")
Seen = dict[str, Any]


def fill(study: Path) -> None:
    mirror(study, own_uri(study), experiment="a study", registry_name=NAME, intended_use="Tests.")


def go_on(study: Path) -> None:
    """Does the steps that the ledger does not have yet, each with its mirror, and the mirror once more."""
    for number in range(len(Registry(study).events()) - BEFORE, len(STEPS)):
        step(study, number)
        fill(study)
    fill(study)


def afresh(context: Any, study: Path) -> Seen:
    """What a process that was not there before sees: MLflow keeps a database open that another file has replaced."""
    with context.Pool(1) as pool:
        found: Seen = pool.apply(seen, (study,))
    return found


def seen(study: Path) -> Seen:
    """Events and window, but for when they happened; the ledger's head is a hash over that, too."""
    with connection(own_uri(study)) as client:
        window = shown(client, NAME)
    head = window["model_tags"].pop(HEAD_TAG)
    assert head == Registry(study).events()[-1].hash
    found: Seen = json.loads(re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "then", json.dumps(window)))
    return found | {"events": [(event.verb, event.package, event.evidence) for event in Registry(study).events()]}


@pytest.fixture(scope="module")
def begun(empty_study: Path, tmp_path_factory: pytest.TempPathFactory, candidates: Any) -> Path:
    """A study with two registered versions, the first of them champion, shown in its window, and a third candidate."""
    study = begin(Path(shutil.copytree(empty_study, tmp_path_factory.mktemp("window") / "study")), candidates)
    whole(ready(*MODULES), fill, (study,))
    return study


def test_a_killed_command_leaves_a_window_that_the_next_one_completes(begun: Path, tmp_path: Path) -> None:
    context = ready(*MODULES)
    # the window keeps absolute paths: every copy lies in the same place
    kept, study = Path(shutil.move(begun, tmp_path / "kept")), begun
    shutil.copytree(kept, study)
    took, draw, cut_short = whole(context, go_on, (study,)), random.Random(SEED), 0
    wanted = afresh(context, study)
    assert [verb for verb, *_ in wanted["events"]] == ["register", "register", "promote", *STEPS]
    assert len(wanted["versions"]) == 3
    assert wanted["aliases"] == {"champion": "3", "previous": "1"}
    for number in range(KILLS):
        shutil.rmtree(study)
        shutil.copytree(kept, study)
        cut_short += killed(context, go_on, (study,), draw.uniform(0, 1.1 * took))
        whole(context, go_on, (study,))
        assert list(differing(wanted, afresh(context, study))) == [], f"kill {number}"
        assert Registry(study).verify() == [], f"kill {number}"
    assert cut_short >= KILLS / 2, "most processes must have been killed at work, else nothing is proved"
