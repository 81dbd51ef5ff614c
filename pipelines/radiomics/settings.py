"""Extraction settings: a PyRadiomics parameter file, read strictly and made explicit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from featurestore.errors import InputError
from featurestore.fingerprints import digest
from pipelines.radiomics.checking import SECTIONS, complaints
from pipelines.radiomics.definitions import (
    FEATURE_CLASSES,
    FILTERS,
    SETTINGS,
    WHOLE_IMAGE_FILTERS,
    feature_definitions,
    feature_names,
    override_keys,
)

if TYPE_CHECKING:
    from pipelines.params.data import ExtractionSection

LOG_REACH_SIGMA = 24.0
"""Beyond 24 σ even an edge of 3,000 HU leaves no float32 unit of ITK's recursive Gaussian's answer."""

LOG_SHORTEST_VOXELS = 4
"""ITK's recursive Gaussian needs so many voxels in a line."""

SPLINE_REACH_VOXELS = 28
"""The cubic spline's prefilter has the pole √3 − 2: after 26 voxels 1e-15 of a value is left; two more for rounding."""

LBP3D_REACH_VOXELS = 48
"""The same prefilter, whose result is compared with its center: a sign, so the last digit counts."""


UNDECIDING = {
    "additionalInfo": "decides no feature; FastEngine.execute(..., diagnostics=True) adds diagnostics to one case",
    "enableCExtensions": "decides no feature; there is one way to compute",
}
"""Keys of PyRadiomics that are accepted though no feature depends on them, and what a person should know."""


class SettingsError(InputError):
    """Extraction settings say something they may not."""

    default_remedy = "correct the keys named above; they are PyRadiomics's own"


@dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """What is computed, and how.

    Args:
        image_types: The enabled image types in order, each with the keys it overrides.
        feature_classes: The enabled feature classes in order, each with its features, all named.
        setting: The keys stated for all image types.
    """

    image_types: Mapping[str, Mapping[str, object]]
    feature_classes: Mapping[str, tuple[str, ...]]
    setting: Mapping[str, object]

    @classmethod
    def from_mapping(cls, content: object, where: str = "settings") -> "ExtractionSettings":
        """Reads a PyRadiomics parameter mapping.

        Args:
            content: With the keys `imageType`, `featureClass` and `setting`, each of which may be left out.
            where: How messages call it.

        Raises:
            SettingsError: A key is unknown, has no effect where it stands, or holds what it may not.
        """
        found = complaints(content)
        if found or not isinstance(content, Mapping):
            raise SettingsError("\n".join(["wrong keys", *(f"  {line}" for line in found)]), where=where)
        setting = {key: _canonical(key, value) for key, value in (content.get("setting") or {}).items()}
        image_types = {
            name: {key: _canonical(key, value) for key, value in (overrides or {}).items()}
            for name, overrides in (content.get("imageType") or {"Original": {}}).items()
        }
        classes = content.get("featureClass") or dict.fromkeys(FEATURE_CLASSES)
        features = {family: tuple(names or feature_names(family)) for family, names in classes.items()}
        made = cls(image_types=image_types, feature_classes=features, setting=setting)
        if "LoG" in image_types and not made.effective("LoG")["sigma"]:
            raise SettingsError("imageType.LoG.sigma: missing; a list of widths in mm is expected", where=where)
        return made

    @classmethod
    def from_file(cls, path: Path) -> "ExtractionSettings":
        """Reads a PyRadiomics parameter file (YAML or JSON)."""
        return cls.from_mapping(_read_yaml(path), where=path.name)

    @classmethod
    def read(cls, source: "ExtractionSettings | Mapping[str, object] | str | Path") -> "ExtractionSettings":
        """Returns settings from whatever holds them: a file, a mapping, or settings."""
        match source:
            case ExtractionSettings():
                return source
            case str() | Path():
                return cls.from_file(Path(source))
            case _:
                return cls.from_mapping(source)

    def effective(self, image_type: str = "") -> dict[str, object]:
        """Returns every key's value in force for an image type, or before the filters when none is named."""
        defaults = {key: legal.default for key, legal in SETTINGS.items()}
        return {**defaults, **self.setting, **self.image_types.get(image_type, {})}

    def plain(self) -> dict[str, object]:
        """Returns the settings as JSON types, legal input of `from_mapping`."""
        return {
            "imageType": {name: dict(overrides) for name, overrides in self.image_types.items()},
            "featureClass": {family: list(names) for family, names in self.feature_classes.items()},
            "setting": dict(self.setting),
        }

    def fingerprint(self) -> str:
        """Returns the hash of all that decides a value: defaults are made explicit, the rest is left out."""
        return digest(
            {
                "setting": _deciding(self.effective(), [key for key in SETTINGS if key not in _FILTER_KEYS]),
                "imageType": {
                    name: _deciding(self.effective(name), list(override_keys(name))) for name in self.image_types
                },
                "featureClass": {family: sorted(names) for family, names in self.feature_classes.items()},
            }
        )

    def whole_image_keys(self) -> tuple[str, ...]:
        """Returns what needs numbers of the whole image (mean, sd, largest magnitude), by name."""
        keys = [f"imageType.{name}" for name in self.image_types if name in WHOLE_IMAGE_FILTERS]
        return (*(["setting.normalize"] if self.effective()["normalize"] else []), *keys)

    def resampled_spacing_mm(self) -> tuple[float, float, float] | None:
        """Returns the spacing to resample to, 0 where an axis is kept; nothing when images are not resampled."""
        now = self.effective()
        spacing = now["resampledPixelSpacing"]
        if not isinstance(spacing, list) or now["interpolator"] is None:
            return None
        x, y, z = spacing
        return float(x), float(y), float(z)

    def required_margin(self) -> tuple[float, int]:
        """Returns how far filters reach beyond the region, in mm and in voxels; the larger of both counts.

        Where images are resampled the reach in voxels comes on top of the one in mm: see `reach_voxels`.
        """
        spacing = self.resampled_spacing_mm()
        pad = self._number("padDistance")
        if spacing is not None:
            return (pad + 2.0) * max(spacing), SPLINE_REACH_VOXELS
        if self.effective()["preCrop"]:
            return 0.0, int(pad)
        sigmas = self.effective("LoG")["sigma"] if "LoG" in self.image_types else []
        return LOG_REACH_SIGMA * max(sigmas, default=0.0), self._filter_voxels()  # type: ignore[call-overload]

    def reach_voxels(self, spacing_mm: Sequence[float]) -> tuple[int, ...]:
        """Returns how many voxels beyond the region decide its features, on each axis of an image.

        Args:
            spacing_mm: The image's spacing along x, y, z.
        """
        mm, voxels = self.required_margin()
        target = self.resampled_spacing_mm()
        if target is None:
            return tuple(max(math.ceil(mm / step), voxels) for step in spacing_mm)
        pad = self._number("padDistance") + 2.0
        return tuple(math.ceil(pad * (new or old) / old) + voxels for new, old in zip(target, spacing_mm, strict=True))

    def notes(self) -> tuple[str, ...]:
        """Returns what a person should know about these settings."""
        known = feature_definitions()
        removed = (
            f"featureClass.{family}.{name} gives no value any more; it equals {known[family, name].same_as}"
            for family, names in self.feature_classes.items()
            for name in names
            if known[family, name].status == "removed"
        )
        return (*(f"setting.{key}: {UNDECIDING[key]}" for key in UNDECIDING if key in self.setting), *removed)

    def _filter_voxels(self) -> int:
        reach = {"Gradient": 1, "LoG": LOG_SHORTEST_VOXELS}
        if "Wavelet" in self.image_types:
            from pywt import Wavelet

            now = self.effective("Wavelet")
            levels = int(now["level"]) + int(now["start_level"])  # type: ignore[call-overload]
            reach["Wavelet"] = levels * (Wavelet(now["wavelet"]).dec_len // 2)
        reach["LBP2D"] = math.ceil(self._number("lbp2DRadius", "LBP2D")) + 1
        reach["LBP3D"] = math.ceil(self._number("lbp3DIcosphereRadius", "LBP3D")) + LBP3D_REACH_VOXELS
        return max((reach.get(name, 0) for name in self.image_types), default=0)

    def _number(self, key: str, image_type: str = "") -> float:
        return float(self.effective(image_type)[key])  # type: ignore[arg-type]


def settings_by_phase(section: "ExtractionSection", phases: Sequence[str], root: Path) -> dict[str, ExtractionSettings]:
    """Returns the settings of each phase: the default with the phase's own keys laid over it, all in order of keys.

    Args:
        section: The `extraction` section of `params.yaml`.
        phases: The study's phases.
        root: The study's folder, which `file:` is relative to.

    Raises:
        SettingsError: The settings of a phase are not legal, or a file they name is not there.
    """
    # The models of the whole of params.yaml: who only extracts does not need them.
    from pipelines.params import in_key_order

    default = _resolved(section.default, root, "extraction.default")
    return {
        phase: ExtractionSettings.from_mapping(
            in_key_order(
                _laid_over(default, _resolved(section.by_phase.get(phase, {}), root, f"extraction.by_phase.{phase}"))
            ),
            where=f"extraction of {phase}",
        )
        for phase in phases
    }


def _laid_over(default: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    merged = {**default, **own}
    base, top = default.get("setting"), own.get("setting")
    if isinstance(base, Mapping) and isinstance(top, Mapping):
        merged["setting"] = {**base, **top}
    return merged


def _resolved(content: Mapping[str, object], root: Path, where: str) -> Mapping[str, object]:
    """Returns the mapping itself, or that of the file it names with the mapping's other keys laid over it."""
    if "file" not in content:
        return content
    read = _read_yaml(root / str(content["file"]))
    if not isinstance(read, Mapping):
        raise SettingsError(f"{content['file']} holds no mapping with {', '.join(SECTIONS)}", where=where)
    return _laid_over(read, {key: value for key, value in content.items() if key != "file"})


def _read_yaml(path: Path) -> object:
    from pipelines.params.plain_yaml import PlainYamlError, read_plain_yaml

    try:
        return read_plain_yaml(path)
    except FileNotFoundError as error:
        raise SettingsError("there is no such file", where=path.name) from error
    except (PlainYamlError, OSError) as error:
        raise SettingsError(f"not readable as YAML: {error}", where=path.name) from error


def _canonical(key: str, value: object) -> object:
    """Returns numbers as the type the key has, so that 25 and 25.0 are one setting; LoG's names need σ as written."""
    if SETTINGS[key].kind is not float or key == "sigma" or value is None:
        return list(value) if isinstance(value, tuple) else value
    return [float(item) for item in value] if isinstance(value, list | tuple) else float(value)  # type: ignore[arg-type]


def _deciding(values: Mapping[str, object], keys: Sequence[str]) -> dict[str, object]:
    return {key: values[key] for key in keys if SETTINGS[key].decides}


_FILTER_KEYS = {key for keys in FILTERS.values() for key in keys}
