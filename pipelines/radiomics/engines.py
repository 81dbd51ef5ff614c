"""The engines by name. A new one is a line in the table here."""

from dataclasses import dataclass
from importlib import import_module

from pipelines.radiomics.base import EngineError, Extractor
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.record import installed


@dataclass(frozen=True, kw_only=True)
class EngineEntry:
    """Where an engine is and what decides its values.

    Args:
        module: The module that defines it; imported when it is asked for.
        attribute: Its class there.
        distributions: The installed distributions whose versions decide its values.
        takes_whole_numbers: Whether a crop with the whole image's mean, sd and largest magnitude is enough for it.
        remedy: What to do when it cannot be imported.
    """

    module: str
    attribute: str
    distributions: tuple[str, ...]
    takes_whole_numbers: bool
    remedy: str


ENGINES: dict[str, EngineEntry] = {
    "fast": EngineEntry(
        module="pipelines.radiomics.fast.engine",
        attribute="FastEngine",
        distributions=("SimpleITK", "PyWavelets", "numpy", "scipy", "numba"),
        takes_whole_numbers=True,
        remedy="pip install --force-reinstall numba",
    ),
    "pyradiomics": EngineEntry(
        module="pipelines.radiomics.reference",
        attribute="PyRadiomicsEngine",
        distributions=("pyradiomics-bhklab", "SimpleITK", "PyWavelets", "numpy", "scipy"),
        takes_whole_numbers=False,
        remedy="pip install 'radmill[reference]' (it needs a C compiler)",
    ),
}


def engine(name: str, settings: ExtractionSettings) -> Extractor:
    """Returns an engine with the settings.

    Raises:
        EngineError: There is no engine of this name, it is not installed, or it cannot do what the settings ask.
    """
    entry = entry_of(name)
    try:
        made = getattr(import_module(entry.module), entry.attribute)
    except ImportError as error:
        raise EngineError(f"engine {name} is not installed: {error}", remedy=entry.remedy) from error
    return made(settings)


def entry_of(name: str) -> EngineEntry:
    """Returns an engine's line in the table."""
    if name not in ENGINES:
        raise EngineError(f"there is no engine {name!r}", remedy=f"use one of {', '.join(sorted(ENGINES))}")
    return ENGINES[name]


def engine_versions(name: str) -> dict[str, str]:
    """Returns the versions that decide an engine's values, without importing it."""
    return installed(*entry_of(name).distributions)


def check_crops(name: str, settings: ExtractionSettings) -> None:
    """Checks that an engine is exact on crops under these settings.

    Raises:
        EngineError: It would need the whole image.
    """
    keys = settings.whole_image_keys()
    if keys and not entry_of(name).takes_whole_numbers:
        able = sorted(other for other, entry in ENGINES.items() if entry.takes_whole_numbers)
        raise EngineError(
            f"{', '.join(keys)} depend on the whole image, and stored cases are crops of it; "
            f"engine {name} would give other values than on the whole image",
            where="extraction",
            remedy=f"set extraction.engine to {' or '.join(able) or 'fast'}, or remove these keys",
        )
