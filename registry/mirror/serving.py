"""The model that MLflow serves: code and a package of data, no pickle.

MLflow stores this file with the package and runs it when someone loads the model
(`mlflow.pyfunc.load_model("models:/<name>@champion").predict(frame)`); it needs radmill installed.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from registry.errors import WrongFeaturesError
from registry.package import load_package
from registry.predict import predict


class PackagedModel(PythonModel):  # type: ignore[misc]  # mlflow is untyped here
    """Predicts with a package that was checked against its digest."""

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the package that was logged, if it has the digest that was registered."""
        digest = str(context.model_config["digest"])
        self.package = load_package(Path(context.artifacts["package"]), digest)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Returns the probability of the positive class for each row of features, by name; extra columns are ignored.

        Raises:
            WrongFeaturesError: A feature is missing.
        """
        missing = [name for name in self.package.features if name not in model_input.columns]
        if missing:
            raise WrongFeaturesError(f"{len(missing)} features are missing, the first is {missing[0]}")
        X = model_input[list(self.package.features)].to_numpy(np.float64)
        return pd.DataFrame({"probability": predict(self.package, X)}, index=model_input.index)


set_model(PackagedModel())
