"""Outlines of a region as a reader's program would export them: closed polygons around pixels."""

import numpy as np
from numpy.typing import NDArray

_Corner = tuple[int, int]


def outlines(region: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Returns the closed outlines of a region in a slice, holes as outlines of their own.

    The vertices lie halfway between a pixel center inside and its neighbor outside, so that every pixel center is
    clearly inside or outside: filling by pixel centers gives the region back.

    Args:
        region: True inside, shape (rows, columns); nothing may touch the border of the array.

    Returns:
        Arrays (n, 2) of x, y in pixels, one an outline, the first vertex not repeated.
    """
    edges = _border_edges(region)
    loops = []
    while edges:
        loops.append(np.array(_walk(edges)))
    return loops


def _border_edges(region: NDArray[np.bool_]) -> dict[_Corner, list[_Corner]]:
    """Returns the pixel sides between inside and outside, by starting corner, the inside to their right."""
    edges: dict[_Corner, list[_Corner]] = {}
    sides = (  # where the neighbor is (rows, columns), and the side's start and end from the pixel's upper left corner
        ((-1, 0), (0, 0), (1, 0)),
        ((0, 1), (1, 0), (1, 1)),
        ((1, 0), (1, 1), (0, 1)),
        ((0, -1), (0, 1), (0, 0)),
    )
    for step, (x0, y0), (x1, y1) in sides:
        neighbor = np.roll(region, (-step[0], -step[1]), axis=(0, 1))
        for row, column in np.argwhere(region & ~neighbor).tolist():
            edges.setdefault((column + x0, row + y0), []).append((column + x1, row + y1))
    return edges


def _walk(edges: dict[_Corner, list[_Corner]]) -> list[tuple[float, float]]:
    """Takes one closed loop out of the edges and returns the middles of its sides."""
    first = here = min(edges)
    heading: _Corner | None = None
    middles = []
    while heading is None or here != first:
        there = _next(edges, here, heading)
        middles.append(((here[0] + there[0] - 1) / 2, (here[1] + there[1] - 1) / 2))
        heading, here = (there[0] - here[0], there[1] - here[1]), there
    return middles


def _next(edges: dict[_Corner, list[_Corner]], here: _Corner, heading: _Corner | None) -> _Corner:
    """Takes the next side; where two pixels touch by a corner it turns right and so stays with its own pixel."""
    ways = edges[here]
    right = (here[0] - heading[1], here[1] + heading[0]) if heading else ways[0]
    there = right if right in ways else ways[0]
    ways.remove(there)
    if not ways:
        del edges[here]
    return there
