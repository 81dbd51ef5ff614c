"""The manifest of a package: which keys it has and what must hold, as a table."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from featurestore.fingerprints import canonical_json
from registry.acquisition import is_acquisition, is_held_out
from registry.arrays import ESTIMATORS
from registry.networks import ARCHITECTURES, KIND, is_golden, is_network
from registry.predict import ACTIVATIONS
from registry.stacking import ESTIMATOR, MAX_MEMBERS, POLICIES
from registry.stacking import KIND as FUSION

FORMAT = 1
KINDS = ("tabular", KIND, FUSION)
RECALIBRATIONS = "recalibrations"
DATA_FILES = ("arrays.safetensors", "card.md", "golden.parquet")
MAX_FEATURES = 100_000

Manifest = dict[str, Any]

_SHA256 = re.compile(r"[0-9a-f]{64}")


class ManifestRuleError(ValueError):
    """A manifest breaks a rule; the message names it."""


def is_digest(value: object) -> bool:
    """Returns whether `value` is a SHA-256 in hexadecimal."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def manifest_bytes(manifest: Mapping[str, object]) -> bytes:
    """Returns the one byte form of a manifest; its hash is the package's digest."""
    return canonical_json(manifest, indent=2) + b"\n"


def parse_manifest(data: bytes) -> Manifest:
    """Reads and checks a manifest.

    Raises:
        ManifestRuleError: It is no JSON, not in its one byte form, or breaks a rule.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ManifestRuleError(f"no JSON: {error}") from error
    if not isinstance(content, dict) or manifest_bytes(content) != data:
        raise ManifestRuleError("not in canonical form")
    check_manifest(content)
    return content


def check_manifest(content: Manifest) -> None:
    """Checks every key against the table of rules.

    Raises:
        ManifestRuleError: A key is missing, unknown, or its value is not allowed.
    """
    for key, (rule, allowed) in (_RULES | _OPTIONAL).items():
        if key not in content and key in _RULES:
            raise ManifestRuleError(f"key {key} is missing")
        if key in content and not rule(content[key]):
            raise ManifestRuleError(f"{key} is not {allowed}")
    unknown = sorted(set(content) - set(_RULES) - set(_OPTIONAL))
    if unknown:
        raise ManifestRuleError(f"unknown keys {unknown[:5]}")
    _check_kind(content)
    if content["kind"] == FUSION:
        _check_members(content)


def _check_kind(content: Manifest) -> None:
    """Checks that estimator, golden, members and features are those of the kind."""
    kind, estimator = content["kind"], content["model"]["estimator"]
    expected = {KIND: ARCHITECTURES, FUSION: (ESTIMATOR,)}.get(kind, ESTIMATORS)
    if (
        estimator not in expected
        or (kind == KIND) != ("golden" in content)
        or (kind == FUSION) != ("members" in content)
    ):
        raise ManifestRuleError(f"kind {kind} does not go with its model, golden and members")
    if kind != FUSION and (kind == KIND) == bool(content["features"]):
        raise ManifestRuleError(f"kind {kind} does not go with {len(content['features'])} features")


def _check_members(content: Manifest) -> None:
    """Checks what a fusion's manifest says of its members.

    Raises:
        ManifestRuleError: A member breaks a rule of its kind, is a fusion, or has features that the fusion lacks.
    """
    names = [member["model"]["name"] for member in content["members"]]
    if len(set(names)) != len(names):
        raise ManifestRuleError("two members have one name")
    for member in content["members"]:
        if member["kind"] == FUSION:
            raise ManifestRuleError("a member is itself a fusion")
        _check_kind(member)
    order = dict.fromkeys(item["name"] for member in content["members"] for item in member["features"])
    if list(order) != [item["name"] for item in content["features"]]:
        raise ManifestRuleError("features are not those of its members")


def _is_members(value: object) -> bool:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_MEMBERS:
        return False
    return all(isinstance(one, dict) and _is_member(one) for one in value)


def _is_member(value: Manifest) -> bool:
    if set(value) - set(_MEMBER) - set(_OPTIONAL) or not set(_MEMBER) <= set(value):
        return False
    return all((_RULES | _OPTIONAL)[key][0](value[key]) for key in value)


def _is_features(value: object) -> bool:
    if not isinstance(value, list) or len(value) > MAX_FEATURES:
        return False
    if not all(isinstance(item, dict) and _is_texts(item) and item.get("name") for item in value):
        return False
    return len({item["name"] for item in value}) == len(value)


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _is_model(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and (value.get("estimator") in ESTIMATORS or is_network(value) or _is_stack(value))
        and isinstance(value.get("hyperparameters", {}), dict)
        and (value["estimator"] != "mlp" or value.get("activation") in ACTIVATIONS)
    )


def _is_stack(value: Manifest) -> bool:
    return value.get("estimator") == ESTIMATOR and value.get("absent_member") in POLICIES


def _is_thresholds(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(item, int | float) and not isinstance(item, bool) and 0 <= item <= 1 for item in value.values()
    )


def _is_files(value: object) -> bool:
    return isinstance(value, dict) and sorted(value) == sorted(DATA_FILES) and all(map(is_digest, value.values()))


def _is_harmonization(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("rules"), dict):
        return False
    centers = value.get("centers")
    return (
        isinstance(centers, list) and all(isinstance(one, str) for one in centers) and centers == sorted(set(centers))
    )


def _is_recalibrations(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(one, dict) and set(one) == set(_FITTED) and _is_fitted(one) for one in value)


def _is_fitted(one: Manifest) -> bool:
    return (
        is_digest(one["parent"])
        and is_digest(one["cases"])
        and isinstance(one["center"], str)
        and type(one["n"]) is int
        and type(one["events"]) is int
        and 0 < one["events"] < one["n"]
        and all(isinstance(one[name], float) and abs(one[name]) < MAX_FITTED for name in ("intercept", "slope"))
        and one["slope"] > 0
    )


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_FITTED = ("parent", "center", "n", "events", "cases", "intercept", "slope")
"""What a manifest says of each recalibration that its package went through."""
MAX_FITTED = 1e6

_MEMBER = ("kind", "model", "features", "service", "training_set")
"""What a fusion's manifest repeats of a member's."""

_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "format": (lambda value: value == FORMAT and isinstance(value, int), f"{FORMAT}, the format this radmill reads"),
    "kind": (lambda value: value in KINDS, f"one of {', '.join(KINDS)}"),
    "model": (
        _is_model,
        f"name, estimator ({', '.join(ESTIMATORS)} , {ESTIMATOR} or a network), and what goes with it",
    ),
    "features": (_is_features, "a list of {name, unit} with no name twice"),
    "service": (_is_mapping, "a mapping of view, phases, columns"),
    "rules": (_is_mapping, "a mapping of case rules"),
    "extraction": (_is_mapping, "a mapping of engine, by_phase, fingerprint"),
    "feature_set": (_is_text, "text"),
    "training_set": (is_digest, "the SHA-256 of a training set"),
    "label": (lambda value: isinstance(value, str | dict), "text or a mapping"),
    "thresholds": (_is_thresholds, "a mapping of probabilities"),
    "metrics_oof": (_is_mapping, "a mapping of metrics"),
    "release": (_is_text, "text"),
    "files": (_is_files, f"a mapping of {', '.join(DATA_FILES)} to SHA-256"),
}
_OPTIONAL: dict[str, tuple[Callable[[Any], bool], str]] = {
    "acquisition": (is_acquisition, "by phase, what images were acquired with: n, numbers, categories"),
    "drift": (_is_mapping, "a mapping of quantiles"),  # of packages made before there was a reference; not used
    "golden": (is_golden, "a mapping of seed, n, and as many probabilities"),
    "harmonization": (_is_harmonization, "a mapping of sorted centers and rules"),
    "reference": (is_held_out, "what the held-out rows were, and how many"),
    RECALIBRATIONS: (_is_recalibrations, f"a list of recalibrations, each with {', '.join(_FITTED)}"),
    "members": (_is_members, f"a list of 1 to {MAX_MEMBERS} members, each with {', '.join(_MEMBER)}"),
}
