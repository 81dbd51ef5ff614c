"""What happens to features before an estimator sees them: fill, harmonize, drop, scale, clip, project.

Fitted once on the rows it is given and then only sliced: the first k components of a decomposition are the
decomposition into k components, so a search over k needs one decomposition a fold. Where a model takes single features
in place of components, these are ranked once and sliced in the same way: each is an axis of its own.
"""

from dataclasses import dataclass

import numpy as np

from featurestore.errors import InputError
from featurestore.harmonization import Combat
from pipelines.models.base import Arrays, Floats
from pipelines.models.ranking import Ranking
from pipelines.models.steps import RowFacts, Steps, fit_harmonization, harmonized, selected

RELATIVE_SD_FLOOR = 1e-10
"""A column that varies less than this share of its magnitude holds rounding, not information."""

SCALE_LIMIT = 5.0
"""Scaled values end so many standard deviations from the mean. Of a normal feature one value in two million lies
beyond; a texture feature that explodes on another scanner reaches hundreds, and would alone decide a probability."""

RELATIVE_VARIANCE_FLOOR = 1e-12
"""A component below this share of the first one's variance is rounding."""


class NothingVariesError(InputError):
    """No column tells one patient from another."""

    default_remedy = "look at data/validation.json; the service's `columns` may match nothing useful"


@dataclass(frozen=True, kw_only=True, eq=False)
class Preparation:
    """Fitted imputation, selection, scaling and principal components.

    Args:
        median: What missing values become, shape (p,).
        keep: Columns that vary and pass the filters asked for, shape (m,), rising.
        mean: Their means, shape (m,).
        sd: Their standard deviations (n), shape (m,).
        center: The components' origin in scaled and clipped features, shape (m,).
        axes: The components, shape (k, m), rows of length 1, by falling variance; or single features, best first.
        variance: The components' variances (n - 1), shape (k,); 1 for single features.
        total_variance: The variance of all components, those left out as well.
        combat: How centers are harmonized, if they are.
        beside: Columns that reach the estimator after the components, as they are, shape (b, m), one 1 a row.
    """

    median: Floats
    keep: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    mean: Floats
    sd: Floats
    center: Floats
    axes: Floats
    variance: Floats
    total_variance: float
    combat: Combat | None = None
    beside: Floats | None = None

    @classmethod
    def fit(
        cls,
        X: Floats,
        n_components: int,
        steps: Steps | None = None,
        facts: RowFacts | None = None,
        ranking: Ranking | None = None,
    ) -> "Preparation":
        """Learns from the rows of X, shape (n, p); at most `n_components` components are kept.

        Args:
            X: Features.
            n_components: How many components.
            steps: Optional steps.
            facts: What these need to know of the rows.
            ranking: How single features are ranked, where these take the place of components.

        Raises:
            NothingVariesError: No column varies.
        """
        median = _median(X)
        measured = np.where(np.isnan(X), median, X)
        steps = steps or Steps()
        combat = fit_harmonization(steps, measured, facts)
        filled = harmonized(combat, measured, facts)
        keep = np.flatnonzero(_varies(filled)).astype(np.int64)
        if not keep.size:
            raise NothingVariesError(f"none of {X.shape[1]} columns varies over {len(X)} patients")
        own = np.intersect1d(keep, steps.beside)
        if own.size == keep.size:
            own = own[:0]  # with nothing else to project, they are what is projected
        keep = np.union1d(selected(steps, X, filled, np.setdiff1d(keep, own), facts), own).astype(np.int64)
        projected = ~np.isin(keep, own)
        kept = filled[:, keep]
        mean, sd = kept.mean(axis=0), kept.std(axis=0)
        Z = _scaled(kept, mean, sd)
        total = float(Z[:, projected].var(axis=0, ddof=1).sum())
        fitted = {"median": median, "mean": mean, "sd": sd, **_axes(Z, projected, n_components, ranking)}
        return cls(keep=keep, total_variance=total, combat=combat, **fitted)

    @property
    def n_components(self) -> int:
        """How many components there are."""
        return len(self.variance)

    @property
    def explained(self) -> Floats:
        """The share of all variance that each component holds, shape (k,)."""
        return self.variance / self.total_variance

    def matrix(self, n_components: int, scores: str = "scaled") -> Floats:
        """Returns the projection as the estimator sees it, shape (k, m).

        Args:
            n_components: How many components.
            scores: `scaled` divides all by the first one's standard deviation, `whitened` each by its own.
        """
        variance = self.variance[:n_components]
        scale = np.sqrt(variance if scores == "whitened" else np.full(len(variance), variance[0]))
        axes = self.axes[:n_components] / scale[:, None]
        return axes if self.beside is None else np.vstack([axes, self.beside])

    def standardized(self, X: Floats, facts: RowFacts | None = None) -> Floats:
        """Returns the kept features scaled and clipped, shape (n, m), for features of shape (n, p)."""
        filled = harmonized(self.combat, np.where(np.isnan(X), self.median, X), facts)[:, self.keep]
        return _scaled(filled, self.mean, self.sd)

    def transform(self, X: Floats, n_components: int, scores: str = "scaled", facts: RowFacts | None = None) -> Floats:
        """Returns the components' scores, and what stands beside them, shape (n, k + b), for features (n, p)."""
        axes = self.matrix(n_components, scores).T
        # scikit-learn centers after the projection; a forest would see other last bits otherwise
        return np.ascontiguousarray(self.standardized(X, facts) @ axes - self.center[None, :] @ axes)

    def to_arrays(self, n_components: int, scores: str = "scaled") -> Arrays:
        """Returns the arrays that a package stores; of single features only those that are used."""
        combat = {} if self.combat is None else self.combat.to_arrays()
        used = np.flatnonzero(self.matrix(n_components).any(axis=0))
        return {
            **combat,
            "impute.median": self.median,
            "keep.index": self.keep[used],
            "scale.mean": self.mean[used],
            "scale.sd": self.sd[used],
            "scale.limit": np.array([SCALE_LIMIT]),
            "pca.mean": self.center[used],
            "pca.components": np.ascontiguousarray(self.matrix(n_components, scores)[:, used]),
        }


def rescaled(Z: Floats, variance: Floats, n_components: int, scores: str) -> Floats:
    """Returns the first components of unscaled scores Z, scaled as `Preparation.matrix` does."""
    chosen = variance[:n_components]
    scale = np.sqrt(chosen if scores == "whitened" else np.full(len(chosen), chosen[0]))
    parts = [Z[:, :n_components] / scale, Z[:, len(variance) :] / np.sqrt(variance[0])]
    return np.ascontiguousarray(np.hstack(parts))


def _median(X: Floats) -> Floats:
    missing = np.isnan(X)
    is_empty = missing.all(axis=0)
    return np.where(is_empty, 0.0, np.nanmedian(np.where(is_empty, 0.0, X), axis=0))


def _scaled(X: Floats, mean: Floats, sd: Floats) -> Floats:
    return np.clip((X - mean) / sd, -SCALE_LIMIT, SCALE_LIMIT)


def _varies(X: Floats) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return X.std(axis=0) > RELATIVE_SD_FLOOR * np.abs(X).max(axis=0)


def _axes(
    Z: Floats, projected: "np.ndarray[tuple[int], np.dtype[np.bool_]]", n_components: int, ranking: Ranking | None
) -> dict[str, Floats]:
    """Returns axes over all columns; those that are not projected are axes of their own."""
    if projected.all():
        return _projection(Z, n_components, ranking)
    found = _projection(np.ascontiguousarray(Z[:, projected]), n_components, ranking)
    axes, center = np.zeros((len(found["axes"]), Z.shape[1])), np.zeros(Z.shape[1])
    axes[:, projected], center[projected] = found["axes"], found["center"]
    return {**found, "axes": axes, "center": center, "beside": np.eye(Z.shape[1])[~projected]}


def _projection(Z: Floats, n_components: int, ranking: Ranking | None) -> dict[str, Floats]:
    if ranking is None:
        return _components(Z, n_components)
    chosen = ranking.order(Z, n_components)
    axes = np.zeros((len(chosen), Z.shape[1]))
    axes[np.arange(len(chosen)), chosen] = 1.0
    return {"center": np.zeros(Z.shape[1]), "axes": axes, "variance": np.ones(len(axes))}


def _components(Z: Floats, n_components: int) -> dict[str, Floats]:
    from sklearn.decomposition import PCA

    rank = min(len(Z) - 1, Z.shape[1])
    pca = PCA(n_components=min(n_components, rank), svd_solver="full").fit(Z)
    real = pca.explained_variance_ > RELATIVE_VARIANCE_FLOOR * pca.explained_variance_[0]
    return {
        "center": pca.mean_,
        "axes": pca.components_[real],
        "variance": pca.explained_variance_[real],
    }
