"""A search is decided by its seed and batches, whatever happened to the process that ran it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.models.base import Values
from pipelines.models.spaces import SPACES, SpaceError, defaults, space
from pipelines.training.search import Journal, Trial, best, derived_seed, search

PARAMETERS = space("mlp", 20)


def score(values: Values) -> list[float]:
    """A smooth function with its top at 8 components and alpha 1, on three folds."""
    height = -abs(np.log(float(values["components"]) / 8)) - 0.1 * abs(np.log(float(values["alpha"])))
    return [height, height + 0.01, height - 0.02]


class KilledError(Exception):
    pass


def dying(after: int) -> Callable[[Values], list[float]]:
    calls = iter(range(after))

    def killed(values: Values) -> list[float]:
        if next(calls, None) is None:
            raise KilledError
        return score(values)

    return killed


def run(how: Callable[[Values], list[float]] = score, journal: Journal | None = None, seed: int = 3) -> list[Trial]:
    return search(PARAMETERS, how, trials=17, batch=4, seed=seed, journal=journal)


def test_it_begins_with_the_defaults() -> None:
    assert run()[0].values == defaults(PARAMETERS)


def test_same_seed_same_trials() -> None:
    assert run() == run()
    assert run() != run(seed=4)


@pytest.mark.parametrize("after", [0, 1, 4, 6, 11, 16])
def test_a_killed_search_is_taken_up_and_ends_the_same(tmp_path: Path, after: int) -> None:
    journal = Journal(tmp_path / "search.json", "context")
    with pytest.raises(KilledError):
        run(dying(after), journal)
    assert len(journal.read()) == after // 4 * 4
    again = dying(17 - after // 4 * 4)
    assert run(again, journal) == run()


def test_a_journal_of_another_search_is_not_used(tmp_path: Path) -> None:
    run(journal=Journal(tmp_path / "search.json", "other"))
    assert Journal(tmp_path / "search.json", "context").read() == {}


def test_a_damaged_journal_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text('{"context": "con')
    assert run(journal=Journal(tmp_path / "search.json", "context")) == run()


def test_the_sampler_learns() -> None:
    """Later trials must lie nearer to the top than the random ones."""
    trials = search(PARAMETERS, score, trials=60, batch=5, seed=1)
    assert np.mean([t.value for t in trials[40:]]) > np.mean([t.value for t in trials[1:11]])


def test_ties_go_to_the_lower_number() -> None:
    trials = [Trial(number=i, values={}, folds=folds) for i, folds in enumerate([(0.1, 0.5), (0.6, 0.2), (0.2, 0.6)])]
    assert best(trials).number == 1
    assert best(trials, [1]).number == 2


def test_seeds_of_different_things_differ() -> None:
    seeds = {derived_seed(7, 1), derived_seed(7, 2), derived_seed(71), derived_seed(7, "folds")}
    assert len(seeds) == 4


@pytest.mark.parametrize("estimator", sorted(SPACES))
def test_defaults_lie_in_their_ranges(estimator: str) -> None:
    for parameter in space(estimator, 5):
        if parameter.choices:
            assert parameter.default in parameter.choices
        else:
            assert parameter.low <= float(parameter.default) <= parameter.high


def test_own_ranges_replace_defaults() -> None:
    found = {p.name: p for p in space("lr", 20, {"C": {"low": 1.0, "high": 2.0}, "scores": ["whitened"]})}
    assert (found["C"].low, found["C"].high, found["C"].default) == (1.0, 2.0, 1.0)
    assert (found["scores"].choices, found["scores"].default) == (("whitened",), "whitened")


@pytest.mark.parametrize(
    ("own", "complaint"),
    [
        ({"depth": [1]}, "unknown parameter 'depth'; lr has components, C, scores"),
        ({"C": {"low": 2, "high": 1}}, "is no range"),
        ({"C": {"low": 0, "high": 1, "log": True}}, "on a log scale is no range"),
        ({"scores": {"low": 0, "high": 1}}, "takes a list of choices"),
        ({"C": []}, "neither a list of choices nor"),
        ({"C": {"low": 1}}, "neither a list of choices nor"),
    ],
)
def test_a_wrong_range_is_refused_by_name(own: dict[str, object], complaint: str) -> None:
    with pytest.raises(SpaceError, match=complaint):
        space("lr", 20, own)


def test_a_rule_takes_the_components_out_of_the_search() -> None:
    assert "components" not in defaults(space("lr", 20, searched=""))


def test_single_features_have_a_number_of_their_own_and_one_scale() -> None:
    names = set(defaults(space("lr", 20, searched="features")))
    assert names == {"features", "C"}
