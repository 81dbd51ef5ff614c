"""Of a harmonized model: an external patient who lacks a covariate is left out and counted, the others are judged."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from featurestore.harmonization import CombatRules
from pipelines.evaluation.adapting import center_adapters
from pipelines.models.predicting import NO_COVARIATE, NO_FEATURES, CaseInputs, predict_cases
from pipelines.models.steps import RowFacts, Steps
from pipelines.models.tabular import TabularModel
from registry.parts import Part

N, P, AGE = 60, 8, 7
NAMES = [*(f"f{i}" for i in range(AGE)), "clinical.age"]
RULES = CombatRules(covariates=("clinical.age",), minimum_cases=10)


def made() -> Part:
    rng = np.random.default_rng(0)
    y, center = (np.arange(N) % 2).astype(np.int8), np.repeat(["east", "north", "south"], N // 3)
    X = rng.normal(size=(N, P)) + (center == "north")[:, None]
    steps = Steps(harmonization=RULES, covariates=(AGE,))
    model = TabularModel("lr", {"components": 3, "C": 1.0, "scores": "scaled"}, 0, steps=steps)
    model.fit(X, y, RowFacts(center=center))
    combat = model.preparation.combat
    assert combat is not None
    told = {"centers": list(combat.centers), "rules": {"covariates": ["clinical.age"], "minimum_cases": 10}, "fit": ""}
    manifest = {"kind": "tabular", "model": {"name": "m", "estimator": "lr", "activation": ""}, "harmonization": told}
    return Part(manifest={**manifest, "features": [{"name": name} for name in NAMES]}, arrays=model.to_arrays())


def said(part: Part, X: NDArray[np.float64]) -> tuple[NDArray[np.float64], dict[str, int]]:
    case_id = np.array([f"{i:03d}" for i in range(len(X))])
    wide = pd.DataFrame(X, columns=NAMES).assign(center="west", case_id=case_id)
    inputs = CaseInputs(
        center=np.array(["west"] * len(X)), case_id=case_id, features=lambda _: wide, adapters=center_adapters
    )
    found = predict_cases(part, inputs)
    return found.p, {reason: int(lost.sum()) for reason, lost in found.reasons.items()}


def test_who_lacks_a_covariate_is_left_out_and_moves_nobody() -> None:
    part, X = made(), np.random.default_rng(1).normal(size=(20, P))
    lacking = X.copy()
    lacking[[3, 11], AGE] = np.nan
    p, reasons = said(part, lacking)
    assert reasons == {NO_FEATURES: 0, NO_COVARIATE: 2}
    assert np.flatnonzero(np.isnan(p)).tolist() == [3, 11]
    others = np.delete(np.arange(20), [3, 11])
    assert np.array_equal(p[others], said(part, X[others])[0]), "the center's shift is that of the others alone"
