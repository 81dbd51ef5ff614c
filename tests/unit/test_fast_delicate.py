"""Delicate features: quick ways equal numpy, and PyRadiomics's own order of operations comes in only where needed."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.radiomics.fast import delicate
from pipelines.radiomics.fast.eigen import second_correlations
from pipelines.radiomics.fast.graylevels import bin_edges, gray_levels
from pipelines.radiomics.fast.pairs import pair_bytes

Matrix = NDArray[np.float64]


class Unwanted:
    """Stands for PyRadiomics's matrices where nothing may ask for them."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was computed in PyRadiomics's slow order")


class Wanted:
    """Stands for them where they must be asked."""

    def shades(self) -> Matrix:
        return np.array([-1.0, -2.0])

    informational_firsts = gains = shades

    def correlations(self, wanted: NDArray[np.bool_]) -> Matrix:
        return np.full(int(wanted.sum()), 0.125)


def joint(n: int, seed: int, *, symmetric: bool) -> Matrix:
    """Returns a normalized pair matrix whose gray levels depend on each other."""
    rng = np.random.default_rng(seed)
    near = np.exp(-np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / 2)
    pairs = np.ceil(near * rng.integers(1, 40, (n, n)))
    pairs = pairs + pairs.T if symmetric else pairs
    return pairs / pairs.sum()


def second_eigenvalue(p: Matrix) -> float:
    """Returns the second eigenvalue of PyRadiomics's Q, from numpy's unsymmetric solver."""
    px, py = p.sum(axis=1), p.sum(axis=0)
    q = np.einsum("ik,jk,ik,jk->ij", p, p, 1 / (px[:, None] * py), np.ones_like(p))
    return float(np.sort(np.linalg.eigvals(q).real)[-2])


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("n", [2, 3, 9, 40])
def test_the_second_eigenvalue_is_numpys_and_is_sure(n: int, symmetric: bool) -> None:
    matrices = np.array([joint(n, seed, symmetric=symmetric) for seed in range(3)])
    found, unsure = second_correlations(matrices)
    assert not unsure.any()
    np.testing.assert_allclose(found, [second_eigenvalue(p) for p in matrices], rtol=1e-10)


def test_epsilon_moves_the_eigenvalue_of_rare_levels_as_it_does_pyradiomicss() -> None:
    p = np.array([[0.5, 0.1, 2e-5], [0.1, 0.3 - 7e-5, 0.0], [2e-5, 0.0, 3e-5]])
    stock = delicate.StockMatrices(np.zeros((1, 3, 3), np.int32), np.arange(1, 4), None, symmetric=False)
    stock.__dict__["matrices"] = p[None, :, :, None]
    found, unsure = second_correlations(p[None])
    assert not unsure.any()
    assert found[0] == pytest.approx(stock.correlations(np.array([True]))[0] ** 2, rel=1e-11)
    assert abs(found[0] - second_eigenvalue(p)) > 1e-11


@pytest.mark.parametrize(
    "p",
    [
        np.array([[0.4, 0.1, 1e-7], [0.1, 0.4 - 3e-7, 0.0], [1e-7, 0.0, 1e-7]]),
        np.array([[0.5, 1e-6], [1e-6, 0.5 - 2e-6]]),
    ],
    ids=["levels so rare that epsilon counts twice", "levels that hardly meet"],
)
def test_where_the_quick_way_is_not_exact_it_says_so(p: Matrix) -> None:
    assert second_correlations(p[None])[1].tolist() == [True]


def test_quick_values_are_kept_where_they_are_well_determined() -> None:
    """Otherwise every matrix would be computed twice, the second time slowly."""
    values, stock = np.array([2.0, -3.0]), Unwanted()
    assert delicate.shades(values, np.array([1.0, 1.0]), stock) is values
    assert delicate.informational_firsts(values, np.array([0.5, 2e-3]), stock) is values
    gains = np.array([2e-5, 0.5])
    np.testing.assert_allclose(
        delicate.informational_seconds(gains, stock), np.sqrt(1 - np.exp(-2 * gains)), rtol=1e-10
    )
    matrices = joint(6, 1, symmetric=True)[None]
    found = delicate.maximal_correlations(matrices, stock)
    np.testing.assert_allclose(found, np.sqrt([second_eigenvalue(matrices[0])]), rtol=1e-10)


def test_one_value_that_has_cancelled_has_pyradiomicss_order_followed() -> None:
    values, own = np.array([2.0, 1e-9]), [-1.0, -2.0]
    assert delicate.shades(values, np.array([1.0, 1.0]), Wanted()).tolist() == own
    assert delicate.shades(-values, np.array([1.0, 1.0]), Wanted()).tolist() == own
    assert delicate.informational_firsts(values, np.array([0.5, 1e-4]), Wanted()).tolist() == own
    assert np.isnan(delicate.informational_seconds(np.array([9e-6, 0.5]), Wanted())).all()
    independent = np.outer([0.5, 0.3, 0.2], [0.5, 0.3, 0.2])
    found = delicate.maximal_correlations(np.array([joint(3, 1, symmetric=True), independent]), Wanted())
    assert found[1] == 0.125
    assert found[0] != 0.125


def test_gray_levels_are_numpys_whatever_the_edges() -> None:
    """Values below the first edge and above the last are no exception."""
    rng = np.random.default_rng(1)
    for kind in ("int16", "float32", "float64"):
        values = rng.normal(0, 30, 200).astype(kind)
        edges = np.sort(rng.normal(0, 25, 12))
        found = gray_levels(values, edges)
        levels = np.digitize(values, edges)
        assert found.levels[found.ranks - 1].tolist() == levels.tolist()
        assert found.counts.tolist() == np.unique(levels, return_counts=True)[1].tolist()


def test_edges_are_multiples_of_the_width_from_below_the_least_value_to_beyond_the_largest() -> None:
    """PyRadiomics's rule: a largest value on an edge begins a bin of its own."""
    assert bin_edges(np.array([-7, 50], np.int8), 25.0, None).tolist() == [-25.0, 0.0, 25.0, 50.0, 75.0]
    assert bin_edges(np.array([120, 127], np.int8), 3.0, None).tolist() == [120.0, 123.0, 126.0, 129.0, 132.0]
    assert bin_edges(np.array([0.0, 10.0]), 1.0, 4).tolist() == [0.0, 2.5, 5.0, 7.5, 11.0]


@pytest.mark.parametrize(("n_levels", "n_offsets"), [(1, 13), (40, 13), (7, 62)])
def test_the_memory_of_pairs_is_that_of_counts_and_two_copies_of_doubles(n_levels: int, n_offsets: int) -> None:
    shape = (n_offsets, n_levels + 1, n_levels + 1)
    expected = np.empty(shape, np.int32).nbytes + 2 * np.empty(shape, np.float64).nbytes
    assert pair_bytes(n_levels, n_offsets) == expected
