"""Nobody changes side because others come or go, and folds are even in label and center."""

import numpy as np
import pytest

from pipelines.training.splits import TooFewPatientsError, repeated_folds, side


def cohort(n: int = 83, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.random(n) < 0.4).astype(np.int8), rng.choice(["north", "east", "tiny"], size=n, p=[0.6, 0.37, 0.03])


def test_side_follows_from_the_name_alone() -> None:
    """Written down, because a change would move patients of every study."""
    names = [("north", f"{i:016x}") for i in range(8)]
    assert [side(*name, 20240501, 0.3)[0] for name in names] == list("tittitti")


def test_the_fraction_holds_on_average_and_the_seed_matters() -> None:
    sides = [side("north", f"{i:016x}", 1, 0.3) for i in range(20_000)]
    assert abs(sides.count("internal") / 20_000 - 0.3) < 0.01
    assert sides != [side("north", f"{i:016x}", 2, 0.3) for i in range(20_000)]


def test_a_larger_fraction_only_adds_internal_patients() -> None:
    ids = [f"{i:016x}" for i in range(500)]
    small, large = ({i for i in ids if side("n", i, 1, f) == "internal"} for f in (0.2, 0.4))
    assert small < large


def test_every_repeat_holds_out_everybody_once() -> None:
    y, center = cohort()
    folds = repeated_folds(y, center, 5, 3, seed=1)
    assert len(folds) == 15
    for repeat in range(3):
        held = np.concatenate([fold.held_out for fold in folds if fold.repeat == repeat])
        assert sorted(held) == list(range(len(y)))
    for fold in folds:
        assert not set(fold.fit) & set(fold.held_out)
        assert len(fold.fit) + len(fold.held_out) == len(y)


def test_labels_and_centers_are_even_but_for_one() -> None:
    y, center = cohort()
    folds = repeated_folds(y, center, 5, 2, seed=1)
    for label in (0, 1):
        counts = [int((y[fold.held_out] == label).sum()) for fold in folds]
        assert max(counts) - min(counts) <= 1
        for name in np.unique(center):
            inside = [int(((y == label) & (center == name))[fold.held_out].sum()) for fold in folds]
            assert max(inside) - min(inside) <= 1


def test_repeats_differ_and_seeds_decide() -> None:
    y, center = cohort()
    first, second = (repeated_folds(y, center, 5, 2, seed=1) for _ in range(2))
    assert all(np.array_equal(a.held_out, b.held_out) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0].held_out, first[5].held_out)
    assert not np.array_equal(first[0].held_out, repeated_folds(y, center, 5, 2, seed=2)[0].held_out)


def test_too_few_of_a_class_is_said_with_numbers() -> None:
    y = np.array([1, 1, 1] + [0] * 20, np.int8)
    with pytest.raises(TooFewPatientsError, match="3 positive and 20 negative training patients for 5 folds"):
        repeated_folds(y, np.full(23, "north"), 5, 1, seed=1)


def test_labels_come_first_where_centers_are_many_and_small() -> None:
    """Dealt by center first, a fold would get up to one patient of a label more from each of them."""
    y = np.tile(np.array([1, 0, 0], np.int8), 20)
    center = np.repeat([f"center {n:02}" for n in range(20)], 3)
    for fold in repeated_folds(y, center, 5, 4, seed=3):
        assert int(y[fold.held_out].sum()) == 4
        assert len(fold.held_out) == 12


def test_as_many_as_there_are_folds_is_enough() -> None:
    y = np.array([1] * 5 + [0] * 5, np.int8)
    for fold in repeated_folds(y, np.full(10, "north"), 5, 1, seed=1):
        assert sorted(y[fold.held_out]) == [0, 1]


def test_folds_are_those_of_earlier_releases() -> None:
    """Written down, because a change would move patients between the folds of every study."""
    y, center = np.tile(np.array([1, 0, 0], np.int8), 5), np.repeat(["a", "b", "c"], 5)
    number = np.empty(15, int)
    for fold in repeated_folds(y, center, 3, 1, seed=20240501):
        number[fold.held_out] = fold.number
    assert "".join(map(str, number)) == "202010112201021"
