"""The steps that move data between the feature store and the model registry."""
