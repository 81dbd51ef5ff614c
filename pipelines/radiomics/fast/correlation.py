"""The two GLCM features that rest on a small difference or a small eigenvalue: Imc2 and MCC.

Where they are well determined they follow from sums and from a symmetric eigenproblem. Where they are noise
(independent gray levels), PyRadiomics's value is the rounding error of its own order of operations; that order
is followed then.
"""

import numpy as np
from numpy.typing import NDArray

from pipelines.radiomics.fast.sizes import EPSILON

# Rounding is about 1e-16 of the difference or eigenvalue; above this it stays below 1e-10 of the feature.
WELL_DETERMINED = 1e-5
# Largest second-order effect of PyRadiomics's epsilon, relative to the eigenvalue, that first order may leave out.
SECOND_ORDER = 1e-11


def informational_second(matrices: NDArray[np.float64], gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns Imc2 of each normalized matrix.

    Args:
        matrices: Normalized matrices, shape (d, m, m).
        gains: HXY2 - HXY of each, in bits, shape (d,).

    Source: PyRadiomics, RadiomicsGLCM.getImc2FeatureValue.
    """
    if (gains < WELL_DETERMINED).any():
        gains = np.where(gains < WELL_DETERMINED, _literal_gains(matrices), gains)
    values = (1 - np.exp(-2 * gains)) ** 0.5
    values[gains == 0] = 0
    return values


def _stock_layout(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    # PyRadiomics keeps directions last, which decides the order of its sums.
    return np.ascontiguousarray(matrices.transpose(1, 2, 0))[None]


def _literal_gains(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    p = _stock_layout(matrices)
    px, py = p.sum(2, keepdims=True), p.sum(1, keepdims=True)
    joint = -np.sum((px * py) * np.log2(px * py + EPSILON), (1, 2))
    return (joint + np.sum(p * np.log2(p + EPSILON), (1, 2)))[0]


def maximal_correlations(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the maximal correlation coefficient of each normalized matrix, with PyRadiomics's epsilon.

    With B = Dx^-½ P Dy^-½ the wanted eigenvalue of Q is the second of B Bᵀ; the first is 1 with vector √px.
    PyRadiomics adds epsilon to px·py in the denominator; its first-order effect on the eigenvalue is added.

    Args:
        matrices: Normalized matrices, shape (d, m, m), m > 1.

    Source: PyRadiomics, RadiomicsGLCM.getMCCFeatureValue.
    """
    px, py = matrices.sum(axis=2), matrices.sum(axis=1)
    root_x = np.sqrt(px)
    with np.errstate(divide="ignore"):
        inverse_x = np.where(px > 0, 1 / root_x, 0.0)
        inverse_y = np.where(py > 0, 1 / np.sqrt(py), 0.0)
    b = matrices * inverse_x[:, :, None] * inverse_y[:, None, :]
    deflated = b - root_x[:, :, None] * np.sqrt(py)[:, None, :]
    values, vectors = np.linalg.eigh(deflated @ deflated.transpose(0, 2, 1))
    second = values[:, -1]
    u = vectors[:, :, -1]
    # dQ = -ε Σ_k P_ik P_jk / (px_i py_k)²; left and right vectors of Q are √px·u and u/√px.
    half = matrices.transpose(0, 2, 1) @ (u * inverse_x)[:, :, None]
    first = _perturbation(matrices, u * inverse_x**3, inverse_y**4 * half[:, :, 0])
    shift = EPSILON * first.sum(axis=1)
    found = np.sqrt(np.maximum(second - shift, 0.0))
    steepest = EPSILON * np.max(inverse_x, axis=1) ** 2 * np.max(inverse_y, axis=1) ** 2
    unsure = (second < WELL_DETERMINED) | (steepest * EPSILON * np.abs(first).sum(axis=1) > SECOND_ORDER * second)
    if unsure.any():
        found = np.where(unsure, _literal_correlations(matrices), found)
    return found


def _perturbation(
    matrices: NDArray[np.float64], left: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    return left * (matrices @ right[:, :, None])[:, :, 0]


def _literal_correlations(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    p = _stock_layout(matrices)
    px, py = p.sum(2, keepdims=True), p.sum(1, keepdims=True)
    q = np.zeros_like(p[0])
    for gray in range(p.shape[1]):
        column = p[0, :, gray, :]
        term = (column[:, None] * column[None, :]) / (px[0, :, 0, :][:, None] * py[0, 0, gray, :] + EPSILON)
        q = term if gray == 0 else q + term
    values = np.linalg.eigvals(q.transpose(2, 0, 1))
    values.sort()
    with np.errstate(invalid="ignore"):
        return np.sqrt(values[:, -2])  # type: ignore[no-any-return]
