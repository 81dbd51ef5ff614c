"""How many principal components: found by search, by a share of the variance, or where the curve flattens.

Or single features in place of components, as many as the search finds best.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.models.base import Floats, Labels, Values
from pipelines.models.preparation import Preparation
from pipelines.models.ranking import Kind, Ranking
from pipelines.models.spaces import COMPONENTS, FEATURES

CURVE_COMPONENTS = 100
"""The curve of cumulative explained variance is drawn over so many components, or n - 1 where there are fewer."""


@dataclass(frozen=True, kw_only=True)
class ComponentRule:
    """Decides the number of components from a decomposition of the rows at hand, and from nothing else.

    Args:
        rule: `tuned`: the search says; `variance`: the fewest that hold the share; `knee`: where the curve flattens;
            `features`: single features are ranked in place of components, and the search says how many.
        variance: The share of variance.
        maximum: Never more than this.
        ranking: How single features are ranked.
    """

    rule: Literal["tuned", "variance", "knee", "features"] = "tuned"
    variance: float = 0.95
    maximum: int = 30
    ranking: Kind = "mrmr"

    @property
    def is_tuned(self) -> bool:
        """Whether the search chooses the number."""
        return self.rule in ("tuned", "features")

    @property
    def searched(self) -> str:
        """What the search calls the number; empty when the rule itself decides."""
        return {"tuned": COMPONENTS, "features": FEATURES}.get(self.rule, "")

    def ranked_by(self, y: Labels) -> Ranking | None:
        """Returns how features are ranked by the labels of the rows at hand, if they are."""
        return Ranking(kind=self.ranking, y=y) if self.rule == "features" else None

    @property
    def n_fitted(self) -> int:
        """How many components a decomposition must have for the rule to decide."""
        return self.maximum if self.is_tuned else max(self.maximum, CURVE_COMPONENTS)

    def count(self, preparation: Preparation, values: Values) -> int:
        """Returns the number of components to use."""
        most = min(self.maximum, preparation.n_components)
        if self.is_tuned:
            return min(int(values[self.searched]), most)
        cumulative = np.cumsum(preparation.explained)
        if self.rule == "knee":
            return min(knee(cumulative), most)
        return min(int(np.searchsorted(cumulative, self.variance - 1e-12)) + 1, most)


def knee(cumulative: Floats) -> int:
    """Returns the number of components where the cumulative curve is farthest above its chord.

    Source: Satopää et al. 2011, ICDCS Workshops, p. 166 (Kneedle), for a concave rising curve without smoothing.

    Args:
        cumulative: Cumulative share of variance of 1, 2, … components, shape (k,).
    """
    if len(cumulative) < 3:
        return len(cumulative)
    x = np.linspace(0.0, 1.0, len(cumulative))
    height = (cumulative - cumulative[0]) / max(cumulative[-1] - cumulative[0], 1e-300)
    return int(np.argmax(np.round(height - x, 12))) + 1


def area_percent(cumulative: Floats) -> float:
    """Returns the area under the cumulative curve over 1 … k components, as a percentage of the whole rectangle."""
    if len(cumulative) < 2:
        return float(100.0 * cumulative.sum())
    return float(100.0 * np.trapezoid(cumulative) / (len(cumulative) - 1))
