"""Features of one image and mask, with the record of how they were made."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import SimpleITK as sitk

from pipelines.images.volume import Volume
from pipelines.radiomics.base import as_image
from pipelines.radiomics.engines import engine, engine_versions
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.record import FEATURE_SET, StepRecord


def compute(
    image: sitk.Image | Path,
    mask: sitk.Image | Path,
    settings: ExtractionSettings | Mapping[str, object] | str | Path,
    engine_name: str = "fast",
    label: int | None = None,
) -> dict[str, object]:
    """Computes the features of one region.

    Args:
        image: A 3D image, or the path of its file.
        mask: Its mask.
        settings: What is computed: a PyRadiomics parameter file, its mapping, or settings.
        engine_name: Which engine computes.
        label: The mask value of the region; that of the settings when left out.

    Returns:
        `features`: values by PyRadiomics's name; `record`: settings, versions and the hashes of what was read.

    Raises:
        SettingsError: The settings are not legal.
        EngineError: The engine is not installed or cannot do what they ask.
        ExtractionError: The region cannot be measured.
    """
    wanted = _with_label(ExtractionSettings.read(settings), label)
    extractor = engine(engine_name, wanted)
    picture, outline = as_image(image), as_image(mask)
    features = extractor.execute(picture, outline)
    record = StepRecord(
        step="extract",
        parameters={"engine": engine_name, "feature_set": FEATURE_SET, "settings": wanted.plain()},
        inputs={"image": Volume(picture).content_hash(), "mask": Volume(outline).content_hash()},
        versions=engine_versions(engine_name),
        notes=wanted.notes(),
    )
    return {"features": features, "record": {**record.plain(), "fingerprint": wanted.fingerprint()}}


def _with_label(settings: ExtractionSettings, label: int | None) -> ExtractionSettings:
    if label is None:
        return settings
    stated = ExtractionSettings.from_mapping({"setting": {"label": label}}).setting
    return replace(settings, setting={**settings.setting, **stated})
