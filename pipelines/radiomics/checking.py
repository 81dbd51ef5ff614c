"""Checks extraction settings against the declared tables and says every complaint at once."""

import difflib
from collections.abc import Iterable, Mapping

from pipelines.radiomics.definitions import (
    FEATURE_CLASSES,
    FILTERS,
    LOADING,
    SETTINGS,
    Legal,
    feature_names,
    override_keys,
)

SECTIONS = ("imageType", "featureClass", "setting")


def complaints(content: object) -> list[str]:
    """Returns what is wrong with a PyRadiomics parameter mapping; nothing when it is legal."""
    if not isinstance(content, Mapping):
        return [f"a mapping with {', '.join(SECTIONS)} is expected, seen {content!r}"]
    found = [_unknown("", key, SECTIONS) for key in content if key not in (*SECTIONS, "voxelSetting")]
    if content.get("voxelSetting"):
        given = content["voxelSetting"]
        keys = ", ".join(str(key) for key in given) if isinstance(given, Mapping) else repr(given)
        found.append(f"voxelSetting: feature maps by voxel are not supported; remove the section with {keys}")
    for section, check in (("imageType", _image_types), ("featureClass", _feature_classes), ("setting", _setting)):
        part = content.get(section)
        if part is not None and not isinstance(part, Mapping):
            found.append(f"{section}: a mapping is expected, seen {part!r}")
        elif part is not None:
            found += check(part)
    return found


def _image_types(part: Mapping[object, object]) -> list[str]:
    found = []
    for name, overrides in part.items():
        if name not in FILTERS:
            found.append(_unknown("imageType.", name, FILTERS))
        elif overrides is not None and not isinstance(overrides, Mapping):
            found.append(f"imageType.{name}: a mapping is expected, seen {overrides!r}")
        else:
            found += _overrides(str(name), overrides or {})
    return found


def _overrides(image_type: str, overrides: Mapping[object, object]) -> list[str]:
    place = f"imageType.{image_type}."
    known = override_keys(image_type)
    found = []
    for key, value in overrides.items():
        if key in known:
            found += _value(place + str(key), value, known[str(key)])
        elif key in LOADING:
            found.append(f"{place}{key}: acts before the filters, so it has no effect here; move it to setting")
        elif key in SETTINGS:
            found.append(f"{place}{key}: belongs to another image type and has no effect here")
        else:
            found.append(_unknown(place, key, known))
    return found


def _feature_classes(part: Mapping[object, object]) -> list[str]:
    found = []
    for family, features in part.items():
        if family not in FEATURE_CLASSES:
            found.append(_unknown("featureClass.", family, FEATURE_CLASSES))
        elif features is not None and not isinstance(features, list | tuple):
            found.append(f"featureClass.{family}: a list of features or null is expected, seen {features!r}")
        else:
            known = feature_names(str(family), status=("current", "deprecated", "removed"))
            found += [_unknown(f"featureClass.{family}.", name, known) for name in features or () if name not in known]
    return found


def _setting(part: Mapping[object, object]) -> list[str]:
    found = []
    for key, value in part.items():
        if key not in SETTINGS:
            found.append(_unknown("setting.", key, SETTINGS))
        else:
            found += _value(f"setting.{key}", value, SETTINGS[str(key)])
    return found


def _value(place: str, value: object, legal: Legal) -> list[str]:
    if place.endswith(".wavelet"):
        return _wavelet(place, value)
    if value is None:
        return [] if legal.optional else [f"{place}: null is not allowed; {legal.allowed()} is expected"]
    if not legal.lengths:
        fine = _is_legal(value, legal)
    else:
        fine = isinstance(value, list | tuple) and len(value) in legal.lengths
        fine = fine and all(_is_legal(item, legal) for item in value)  # type: ignore[attr-defined]
    return [] if fine else [f"{place}: {legal.allowed()} is expected, seen {value!r}"]


def _is_legal(value: object, legal: Legal) -> bool:
    if legal.choices:
        return not isinstance(value, bool) and value in legal.choices
    if legal.kind is bool or isinstance(value, bool):
        return legal.kind is bool and isinstance(value, bool)
    if not isinstance(value, int if legal.kind is int else int | float):
        return False
    low = (legal.minimum is None or value >= legal.minimum) and (legal.above is None or value > legal.above)
    finite = abs(value) < float("inf")
    return low and finite and (legal.maximum is None or value <= legal.maximum)


def _wavelet(place: str, value: object) -> list[str]:
    from pywt import wavelist

    known = wavelist(kind="discrete")
    return [] if value in known else [_unknown(f"{place}: wavelet ", value, known)]


def _unknown(place: str, key: object, known: Iterable[str]) -> str:
    names = list(known)
    folded = {name.lower(): name for name in names}
    near = difflib.get_close_matches(str(key).lower(), folded, n=1, cutoff=0.5)
    hint = f"did you mean {folded[near[0]]}?" if near else f"known are {', '.join(names)}"
    return f"{place}{key}: unknown; {hint}"
