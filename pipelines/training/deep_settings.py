"""What a model of the section `deep` sees, how its network is built and how it learns."""

import numpy as np
from numpy.typing import NDArray

from pipelines.models.augmentation import AugmentationRules
from pipelines.models.patches import Recipe
from pipelines.models.resnet import NetworkSpec
from pipelines.models.resnet_training import TrainingRules
from pipelines.models.weights import read_weights
from pipelines.params import Params
from pipelines.params.deep import DeepModel
from pipelines.stored_views import service_of
from pipelines.workspace import Workspace


def recipe_of(params: Params, settings: DeepModel) -> Recipe:
    """Returns what a declared model sees."""
    phases = settings.phases or service_of(params, settings.service).phases
    windows = {phase: settings.windows.get(phase, settings.window) for phase in phases}
    return Recipe(
        dims=settings.dims,
        size=settings.size,
        spacing_mm=settings.spacing_mm,
        phases=tuple(phases),
        slices=settings.slices if settings.dims == "25d" else 1,
        windows={phase: (window.low, window.high) for phase, window in windows.items() if window is not None},
        roi=settings.roi,
        roi_margin_mm=settings.roi_margin_mm,
    )


def spec_of(settings: DeepModel, recipe: Recipe) -> NetworkSpec:
    """Returns how a declared network is built."""
    return NetworkSpec(
        architecture=settings.architecture,
        spatial_dims=recipe.spatial_dims,
        channels=len(recipe.channels),
        stem_stride=settings.stem_stride,
        width=settings.width,
    )


def rules_of(settings: DeepModel, recipe: Recipe) -> TrainingRules:
    """Returns how a declared network learns."""
    return TrainingRules(
        epochs=settings.epochs,
        patience=settings.patience,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        schedule=settings.schedule,
        is_balanced=settings.class_weights == "balanced",
        augmentation=AugmentationRules(**settings.augmentation.model_dump()),
        image_channels=recipe.image_channels,
        device=settings.device,
        threads=settings.threads,
    )


def starting_weights(
    workspace: Workspace, settings: DeepModel, recipe: Recipe
) -> dict[str, NDArray[np.float32]] | None:
    """Returns the tensors that training starts from; nothing where it starts from random ones."""
    if settings.weights is None:
        return None
    path = workspace.root / settings.weights.file
    return read_weights(path, settings.weights.sha256, spec_of(settings, recipe))
