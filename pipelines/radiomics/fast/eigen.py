"""The second eigenvalue behind MCC, by Lanczos steps on a symmetric matrix.

With B = Dx^-½ P Dy^-½ the eigenvalues of MCC's Q are those of B Bᵀ; the first is 1 with vector √px and is taken out.
PyRadiomics adds epsilon to px·py in the denominator of Q, which moves the second eigenvalue by up to 4e-8 for rare
gray levels; the first order of that move is added. No library threads are woken for these small matrices.
"""

import numpy as np
from numba import njit

from pipelines.radiomics.fast.sizes import EPSILON

RESIDUAL = 1e-14  # of a Lanczos vector, relative to the eigenvalue, at which it counts as found
SECOND_ORDER = 1e-11  # largest second-order effect of epsilon, relative, that may be left out
FIRST_CHECK = 8
# Closer to the first eigenvalue than this, epsilon mixes the two vectors and its first order is not enough.
LEADING_GAP = 1e-4


@njit(cache=True, nogil=True, error_model="numpy")
def second_correlations(matrices):  # type: ignore[no-untyped-def]
    """Returns the squared maximal correlation of each matrix and whether it is unsure.

    Args:
        matrices: Normalized pair matrices, shape (d, m, m), m > 1.
    """
    n_matrices, n = matrices.shape[0], matrices.shape[1]
    found = np.empty(n_matrices)
    unsure = np.zeros(n_matrices, np.bool_)
    for d in range(n_matrices):
        p = matrices[d]
        root_x = np.sqrt(_row_sums(p))
        root_y = np.sqrt(_row_sums(p.T))
        inverse_x = _inverse(root_x)
        inverse_y = _inverse(root_y)
        deflated = np.empty((n, n))
        for i in range(n):
            for j in range(n):
                deflated[i, j] = p[i, j] * inverse_x[i] * inverse_y[j] - root_x[i] * root_y[j]
        value, vector, is_found = _largest(deflated)
        shift, effect = _epsilon_shift(p, vector, inverse_x, inverse_y)
        found[d] = max(value - shift, 0.0)
        is_near_first = value > 1.0 - LEADING_GAP
        unsure[d] = not is_found or is_near_first or not effect <= SECOND_ORDER * value
    return found, unsure


@njit(cache=True, nogil=True)
def _row_sums(p):  # type: ignore[no-untyped-def]
    out = np.zeros(p.shape[0])
    for i in range(p.shape[0]):
        for j in range(p.shape[1]):
            out[i] += p[i, j]
    return out


@njit(cache=True, nogil=True)
def _inverse(roots):  # type: ignore[no-untyped-def]
    out = np.zeros(len(roots))
    for i in range(len(roots)):
        if roots[i] > 0:
            out[i] = 1.0 / roots[i]
    return out


@njit(cache=True, nogil=True)
def _epsilon_shift(p, u, inverse_x, inverse_y):  # type: ignore[no-untyped-def]
    # dQ = -ε Σ_k P_ik P_jk / (px_i py_k)²; left and right vectors of Q are √px·u and u/√px.
    n = len(u)
    total = 0.0
    size = 0.0
    for k in range(n):
        left = 0.0
        right = 0.0
        for i in range(n):
            left += u[i] * inverse_x[i] ** 3 * p[i, k]
            right += u[i] * inverse_x[i] * p[i, k]
        term = left * right * inverse_y[k] ** 4
        total += term
        size += abs(term)
    steepest = EPSILON * (inverse_x.max() * inverse_y.max()) ** 2
    return EPSILON * total, steepest * EPSILON * size


@njit(cache=True, nogil=True)
def _times(a, v, out):  # type: ignore[no-untyped-def]
    n = len(v)
    half = np.zeros(n)
    for i in range(n):
        for j in range(n):
            half[j] += a[i, j] * v[i]
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += a[i, j] * half[j]
        out[i] = total


@njit(cache=True, nogil=True)
def _largest(a):  # type: ignore[no-untyped-def]
    """Returns the largest eigenvalue of A Aᵀ, its vector, and whether the steps converged."""
    n = a.shape[0]
    basis = np.zeros((n + 1, n))
    alpha = np.zeros(n + 1)
    beta = np.zeros(n + 1)
    norm = 0.0
    for i in range(n):
        basis[0, i] = 1.0 + ((i * 7919 + 3) % 1009) / 1009.0
        norm += basis[0, i] ** 2
    basis[0] /= np.sqrt(norm)
    w = np.empty(n)
    check = FIRST_CHECK
    for step in range(n):
        _times(a, basis[step], w)
        for i in range(n):
            alpha[step] += w[i] * basis[step, i]
        norm = _orthogonal(w, basis, step + 1)
        is_last = step == n - 1 or norm < 1e-15
        if is_last or step + 1 == check:
            check = step + 1 + max(4, step // 3)
            value, small = _top_of_tridiagonal(alpha, beta, step + 1)
            if is_last or abs(norm * small[step]) < RESIDUAL * max(value, 1e-300):
                return value, _combined(basis, small), True
        beta[step] = norm
        for i in range(n):
            basis[step + 1, i] = w[i] / norm
    return 0.0, w, False


@njit(cache=True, nogil=True)
def _orthogonal(w, basis, n_vectors):  # type: ignore[no-untyped-def]
    """Takes the first vectors of the basis out of w, twice, and returns the length of what is left."""
    for _ in range(2):
        for k in range(n_vectors):
            overlap = 0.0
            for i in range(len(w)):
                overlap += w[i] * basis[k, i]
            for i in range(len(w)):
                w[i] -= overlap * basis[k, i]
    length = 0.0
    for i in range(len(w)):
        length += w[i] * w[i]
    return np.sqrt(length)


@njit(cache=True, nogil=True)
def _combined(basis, weights):  # type: ignore[no-untyped-def]
    vector = np.zeros(basis.shape[1])
    for k in range(len(weights)):
        for i in range(len(vector)):
            vector[i] += weights[k] * basis[k, i]
    return vector


@njit(cache=True, nogil=True)
def _top_of_tridiagonal(alpha, beta, n):  # type: ignore[no-untyped-def]
    matrix = np.zeros((n, n))
    for k in range(n):
        matrix[k, k] = alpha[k]
        if k + 1 < n:
            matrix[k, k + 1] = beta[k]
            matrix[k + 1, k] = beta[k]
    values, vectors = np.linalg.eigh(matrix)
    return values[n - 1], vectors[:, n - 1].copy()
