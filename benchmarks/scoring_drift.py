"""False alarms and power of drift, on draws from a generated population of 5,000, beside what others use."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kstwo, mannwhitneyu
from scoring_population import SEED, Population, fit, inputs, population, training_set
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipelines.scoring.drift import coded
from pipelines.scoring.drift_looks import look
from pipelines.scoring.drift_variables import Variable, variables
from registry.package import ModelPackage
from registry.predict import predict, transform

Floats = NDArray[np.float64]
Shift = Callable[[Population, NDArray[np.int64], np.random.Generator], Floats]
LOOKS, ALPHA = (10, 30, 100, 300), 0.05
DEVELOPMENT, INTERNAL_SHARE = 400, 0.25
PERMUTATIONS = 100
PSI_LIMIT, PSI_BINS = 0.2, 10
TEXTURE = re.compile(r"_(glcm|gldm|glrlm|glszm|ngtdm)_")


def plain(people: Population, rows: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    return people.features(people.z[rows])


def location(size: float, share: float) -> Shift:
    """Normal scores of a share of the features moved by `size` standard deviations."""

    def moved(people: Population, rows: NDArray[np.int64], rng: np.random.Generator) -> Floats:
        chosen = np.random.default_rng(1).uniform(size=people.z.shape[1]) < share
        return people.features(people.z[rows] + size * chosen)

    return moved


def scale(factor: float, share: float) -> Shift:
    """Normal scores of a share of the features spread by `factor`."""

    def moved(people: Population, rows: NDArray[np.int64], rng: np.random.Generator) -> Floats:
        chosen = np.random.default_rng(2).uniform(size=people.z.shape[1]) < share
        return people.features(people.z[rows] * np.where(chosen, factor, 1.0))

    return moved


def scanner(people: Population, rows: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Texture features alone, each with a gain and an offset of its own, as another kernel gives them."""
    own = np.random.default_rng(3)
    is_texture = np.array([bool(TEXTURE.search(name)) for name in people.names])
    gain, offset = own.normal(1, 0.15, len(is_texture)), own.normal(0, 0.4, len(is_texture))
    z = people.z[rows]
    return people.features(np.where(is_texture, gain * z + offset, z))


def prevalence(people: Population, rows: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Eight of ten patients positive."""
    own = people.y[rows]
    wanted = rng.uniform(size=len(rows)) < 0.8
    found = [rng.choice(rows[own == int(one)]) for one in wanted]
    return people.features(people.z[found])


SHIFTS: Mapping[str, Shift] = {
    "location 0.3 sd, 30 % of features": location(0.3, 0.3),
    "location 0.6 sd, 30 % of features": location(0.6, 0.3),
    "location 0.6 sd, 3 % of features": location(0.6, 0.03),
    "scale 1.5, 30 % of features": scale(1.5, 0.3),
    "scanner: gain and offset of texture": scanner,
    "prevalence 0.8 in place of 0.45": prevalence,
}


class Alternatives:
    """What others use, each at its usual limit and at every look anew, on the same rows."""

    def __init__(self, package: ModelPackage, X: Floats, n_training: int) -> None:
        self.package, self.X = package, X
        self.rising = np.sort(X, axis=0)
        Z = transform(package, X)
        self.seen, self.held_out = Z[:n_training], Z[n_training:]
        self.scores = np.sort(predict(package, X[n_training:]))

    def ring(self, X: Floats, rng: np.random.Generator) -> dict[str, bool]:
        Z = transform(self.package, X)
        p_values = ks_p_values(self.rising, X)
        return {
            "KS a feature, 0.05 each": bool(p_values.min() < ALPHA),
            "KS a feature, Bonferroni": bool(p_values.min() < ALPHA / len(p_values)),
            "PSI > 0.2 of any feature": max(psi(a, b) for a, b in zip(self.rising.T, X.T, strict=True)) > PSI_LIMIT,
            "PSI > 0.2 of the score": psi(self.scores, predict(self.package, X)) > PSI_LIMIT,
            "MMD, rows held out": mmd_p_value(self.held_out, Z, rng) < ALPHA,
            "MMD, training rows": mmd_p_value(self.seen[: len(self.held_out)], Z, rng) < ALPHA,
            "domain classifier, rows held out": domain_p_value(self.held_out, Z) < ALPHA,
        }


def ks_p_values(rising: Floats, X: Floats) -> Floats:
    m, n = len(rising), len(X)
    distance = np.empty(X.shape[1])
    for j, column in enumerate(np.sort(X, axis=0).T):
        both = np.concatenate([rising[:, j], column])
        apart = np.searchsorted(rising[:, j], both, "right") / m - np.searchsorted(column, both, "right") / n
        distance[j] = np.abs(apart).max()
    return np.asarray(kstwo.sf(distance, round(n * m / (n + m))))


def psi(before: Floats, new: Floats) -> float:
    """Population stability index over the reference's deciles; an empty bin counts as half a case."""
    edges = np.quantile(before, np.linspace(0, 1, PSI_BINS + 1)[1:-1])
    shares = [
        np.maximum(np.bincount(np.searchsorted(edges, rows), minlength=PSI_BINS), 0.5) / len(rows)
        for rows in (before, new)
    ]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def mmd_p_value(before: Floats, new: Floats, rng: np.random.Generator) -> float:
    """Gaussian kernel with the median distance, by permutation."""
    rows = np.vstack([before, new])
    square = ((rows[:, None, :] - rows[None, :, :]) ** 2).sum(axis=2)
    kernel = np.exp(-square / np.median(square[square > 0]))
    signs = np.empty((PERMUTATIONS + 1, len(rows)))
    signs[0] = np.r_[np.full(len(before), 1 / len(before)), np.full(len(new), -1 / len(new))]
    for row in signs[1:]:
        row[:] = rng.permutation(signs[0])
    found = ((signs @ kernel) * signs).sum(axis=1)
    return float((1 + (found[1:] >= found[0]).sum()) / (PERMUTATIONS + 1))


def domain_p_value(before: Floats, new: Floats) -> float:
    """A logistic regression that tells new from old, cross-validated; Mann-Whitney's p-value of its area."""
    rows, label = np.vstack([before, new]), np.r_[np.zeros(len(before)), np.ones(len(new))]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=500))
    p = cross_val_predict(model, rows, label, cv=folds, method="predict_proba")[:, 1]
    return float(mannwhitneyu(p[label == 1], p[label == 0], alternative="greater").pvalue)


def own_rings(package: ModelPackage, found: tuple[Variable, ...], X: Floats) -> dict[int, dict[str, bool]]:
    """Returns, by look, whether radmill rings, and which family does."""
    places = coded(package, inputs(package, X), predict(package, X))
    told = {}
    for n in LOOKS:
        verdict = look(found, places, n, ALPHA)
        told[n] = {"any": verdict.rings, **{one.family: one.rings for one in verdict.families}}
    return told


def developed(people: Population, estimator: str, seed: int) -> tuple[ModelPackage, Floats, NDArray[np.int64]]:
    """Returns a package, its development rows, and who is left to draw from."""
    order = np.random.default_rng(seed).permutation(len(people.y))
    own, rest = order[:DEVELOPMENT], order[DEVELOPMENT:]
    X = people.features(people.z[own])
    return fit(training_set(X, people.y[own], people.names, INTERNAL_SHARE), estimator), X, rest


def drawn(
    people: Population, rest: NDArray[np.int64], shift: Shift, draws: int, seed: int
) -> Iterator[tuple[Floats, np.random.Generator]]:
    for number in range(draws):
        rng = np.random.default_rng([seed, number])
        yield shift(people, rng.choice(rest, LOOKS[-1], replace=False), rng), rng


def counted(rows: list[dict[int, dict[str, bool]]], looks: tuple[int, ...] = LOOKS) -> dict[str, Any]:
    """Returns, by look, how many draws ring there, by family, and how many have rung by then."""
    by_look = {str(n): {name: int(sum(row[n].get(name, False) for row in rows)) for name in rows[0][n]} for n in looks}
    so_far = {str(n): int(sum(any(row[m]["any"] for m in looks if m <= n) for row in rows)) for n in looks}
    return {"draws": len(rows), "at": by_look, "by": so_far}


def false_alarms(estimator: str, draws: int, references: int) -> dict[str, Any]:
    """Draws from held-out rows: from one package, and spread over several, each with a reference of its own."""
    people = population()
    found: dict[str, Any] = {}
    package, _, rest = developed(people, estimator, SEED)
    own = variables(package)
    found["one package"] = counted([own_rings(package, own, X) for X, _ in drawn(people, rest, plain, draws, 1)])
    rows = []
    for number in range(references):
        package, _, rest = developed(people, estimator, 100 + number)
        own = variables(package)
        rows += [own_rings(package, own, X) for X, _ in drawn(people, rest, plain, draws // references, number)]
    found[f"{references} packages"] = counted(rows)
    found["components"] = package.arrays["pca.components"].shape[0]
    return found


def by_package(estimator: str, packages: int, draws: int) -> dict[str, Any]:
    """How often each of several packages rings without a shift: a reference of few held-out rows may be unlucky."""
    people = population()
    found = []
    for number in range(packages):
        package, _, rest = developed(people, estimator, 500 + number)
        own = variables(package)
        rows = [own_rings(package, own, X) for X, _ in drawn(people, rest, plain, draws, number)]
        found.append(counted(rows)["by"][str(LOOKS[-1])])
    return {"draws": draws, "rang by 300 cases": sorted(found)}


def power(estimator: str, draws: int) -> dict[str, Any]:
    """How often planted shifts are found."""
    people = population()
    package, _, rest = developed(people, estimator, SEED)
    own = variables(package)
    return {
        name: counted([own_rings(package, own, X) for X, _ in drawn(people, rest, shift, draws, 2)])
        for name, shift in SHIFTS.items()
    }


def others(draws: int) -> dict[str, Any]:
    """The alternatives on draws without a shift and with some, and radmill on the same."""
    people = population()
    package, X, rest = developed(people, "lr", SEED)
    beside = Alternatives(package, X, round((1 - INTERNAL_SHARE) * DEVELOPMENT))
    own = variables(package)
    found: dict[str, Any] = {}
    for name in ("none", *list(SHIFTS)[:1], *list(SHIFTS)[4:]):
        shift = plain if name == "none" else SHIFTS[name]
        rows = []
        for sample, rng in drawn(people, rest, shift, draws, 3):
            mine = own_rings(package, own, sample)
            rows.append({n: {"radmill": mine[n]["any"], **beside.ring(sample[:n], rng)} for n in LOOKS})
        found[name] = {
            "draws": draws,
            "at": {str(n): {k: int(sum(row[n][k] for row in rows)) for k in rows[0][n]} for n in LOOKS},
            "by 300": {k: int(sum(any(row[n][k] for n in LOOKS) for row in rows)) for k in rows[0][LOOKS[0]]},
        }
    return found
