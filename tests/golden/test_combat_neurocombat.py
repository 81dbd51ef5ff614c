"""ComBat against neuroCombat 0.2.12: `combat_neurocombat.csv` has made-up features and what it made of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from featurestore.harmonization import Combat, CombatRules

TOLERANCE_SD = 3e-8
TABLE = pd.read_csv(Path(__file__).parent / "combat_neurocombat.csv")
SETTINGS = {
    "parametric": CombatRules(),
    "nonparametric": CombatRules(prior="nonparametric"),
    "none": CombatRules(prior="none"),
    "covariates": CombatRules(covariates=("age", "sex")),
    "reference": CombatRules(reference="north"),
}


def _part(setting: str) -> pd.DataFrame:
    return TABLE[TABLE["setting"] == setting].reset_index(drop=True)


@pytest.mark.parametrize("setting", sorted(SETTINGS))
def test_the_batch_fit_equals_neurocombat(setting: str) -> None:
    rules, given = SETTINGS[setting], _part("input")
    names = [name for name in TABLE.columns if name.startswith("f")]
    X, center = given[names].to_numpy(np.float64), given["center"].to_numpy(np.str_)
    covariates = given[list(rules.covariates)].to_numpy(np.float64) if rules.covariates else None
    fitted = Combat.fit(X, center, rules, covariates)
    difference = np.abs(fitted.transform(X, center, covariates) - _part(setting)[names].to_numpy()) / fitted.sd
    assert difference.max() < TOLERANCE_SD
