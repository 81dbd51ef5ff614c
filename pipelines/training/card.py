"""The model card that goes into a package: what was known when the model was made."""

from typing import Any

ESTIMATORS = {"lr": "logistic regression", "rf": "random forest", "mlp": "multilayer perceptron"}


def card(manifest: dict[str, Any]) -> str:
    """Returns the card as Markdown, from the package's own manifest."""
    model, oof = manifest["model"], manifest["metrics_oof"]
    phases = ", ".join(manifest["service"]["phases"])
    lines = [
        f"# {model['name']}",
        "",
        f"Predicts **{manifest['label']}** from {len(manifest['features'])} image features ({phases}): principal "
        f"components and a {ESTIMATORS[model['estimator']]}.",
        "",
        *_patients(manifest),
        f"- feature set {manifest['feature_set']}, engine {manifest['extraction']['engine']}, radmill "
        f"{manifest['release']}",
        "- " + ", ".join(f"{key} {_shown(value)}" for key, value in sorted(model["hyperparameters"].items())),
        "",
        "## Cross-validation",
        f"- AUC {_shown(oof['auc'])} ({_shown(oof['auc_low'])}–{_shown(oof['auc_high'])}), hyperparameters chosen "
        "without the patients they are judged on",
        f"- AUC of the chosen hyperparameters {_shown(oof['auc_best_trial'])}: it is the largest of all trials and "
        "flatters",
        *_calibration(manifest, "without its patients"),
        "- Use it on images made and outlined as the case rules in the manifest say; scoring doubts the others.",
    ]
    return "\n".join(lines) + "\n"


def deep_card(manifest: dict[str, Any]) -> str:
    """Returns the card of a network as Markdown."""
    model, oof = manifest["model"], manifest["metrics_oof"]
    recipe = model["network"]["recipe"]
    side = " × ".join([str(recipe["size"])] * (2 if recipe["dims"] == "25d" else 3))
    seen = f"{recipe['slices']} slices" if recipe["dims"] == "25d" else "a cube"
    lines = [
        f"# {model['name']}",
        "",
        f"Predicts **{manifest['label']}** with a {model['estimator'].replace('resnet', 'ResNet-')} that sees {seen} "
        f"of {side} pixels, {recipe['spacing_mm']:g} mm apart, around the region ({', '.join(recipe['phases'])}).",
        "",
        *_patients(manifest),
        f"- radmill {manifest['release']}",
        "- " + ", ".join(f"{key} {_shown(value)}" for key, value in sorted(model["hyperparameters"].items())),
        "",
        "## Cross-validation",
        f"- AUC {_shown(oof['auc'])} ({_shown(oof['auc_low'])}–{_shown(oof['auc_high'])}), each patient judged by a "
        "network that never saw him; nothing was searched",
        *_calibration(manifest, "with two numbers from the others"),
        "- Use it on images made and outlined as the case rules in the manifest say; scoring looks at how they were "
        "acquired, but nothing looks at what the network makes of them.",
    ]
    return "\n".join(lines) + "\n"


def direct_card(manifest: dict[str, Any]) -> str:
    """Returns the card of a clinical model, or of ready probabilities, as Markdown."""
    model = manifest["model"]
    kept = ", ".join(model.get("predictors", ())) or "none: nothing told the outcome"
    seen = {
        "clinical": f"logistic regression on clinical predictors that passed screening ({kept})",
        "probability": "what a table made elsewhere says, recalibrated",
    }[model["estimator"]]
    return _plain_card(manifest, seen)


def fusion_card(manifest: dict[str, Any], members: list[str]) -> str:
    """Returns the card of a late fusion as Markdown."""
    return _plain_card(manifest, f"weights on what other models say ({', '.join(members)})")


def _plain_card(manifest: dict[str, Any], seen: str) -> str:
    model, oof = manifest["model"], manifest["metrics_oof"]
    lines = [
        f"# {model['name']}",
        "",
        f"Predicts **{manifest['label']}**: {seen}.",
        "",
        *_patients(manifest),
        f"- radmill {manifest['release']}",
        "- " + ", ".join(f"{key} {_shown(value)}" for key, value in sorted(model["hyperparameters"].items())),
        "",
        "## Cross-validation",
        f"- AUC {_shown(oof['auc'])} ({_shown(oof['auc_low'])}–{_shown(oof['auc_high'])}), each patient judged by what "
        "was learned without him",
        *_calibration(manifest, "without its patients"),
        "- A value that no training patient had counts as missing.",
    ]
    return "\n".join(lines) + "\n"


def _patients(manifest: dict[str, Any]) -> list[str]:
    oof = manifest["metrics_oof"]
    return [
        "## Made from",
        f"- {oof['n']} training patients, {oof['events']} of them positive; training set "
        f"`{manifest['training_set'][:12]}`",
    ]


def _calibration(manifest: dict[str, Any], how: str) -> list[str]:
    """Returns the end of cross-validation, and the limit that every card begins with."""
    oof = manifest["metrics_oof"]
    return [
        f"- calibration slope {_shown(oof['calibration_slope'])}, intercept {_shown(oof['calibration_intercept'])}, "
        f"each fold recalibrated {how}",
        f"- {_recalibrated(manifest['model']['recalibration'])}",
        "- thresholds " + ", ".join(f"{name} {_shown(value)}" for name, value in manifest["thresholds"].items()),
        *_reference(manifest),
        "",
        "## Limits",
        "- Results on internal and external patients are evidence of a registered version, not part of this card.",
    ]


def _reference(manifest: dict[str, Any]) -> list[str]:
    """Returns what doubt and drift are measured against; nothing where the package remembers nothing."""
    told = manifest.get("reference")
    if not told:
        return []
    rows = {"internal": "internal patients, who trained nothing", "out_of_fold": "cross-validation's held-out patients"}
    lines = [
        "",
        "## Reference",
        f"- doubt about a score: {told['negative']} negative and {told['positive']} positive {rows[told['rows']]}",
    ]
    if told.get("distances"):
        lines.append(f"- distance from training: {told['distances']} {rows[told['distance_rows']]}")
    return lines + [f"- images, {phase}: {_acquired(one)}" for phase, one in manifest.get("acquisition", {}).items()]


def _acquired(told: dict[str, Any]) -> str:
    spans = {"spacing_x_mm": "in plane", "spacing_z_mm": "between slices", "kvp": "tube voltage"}
    units = {"kvp": "kV"}
    known = {name: values for name in spans if (values := told["numbers"].get(name))}
    parts = [f"{spans[n]} {v[0]:g}–{v[-1]:g} {units.get(n, 'mm')}" for n, v in known.items()]
    for name in ("kernel", "manufacturer"):
        said = [value for value in told["categories"].get(name, {}) if value]
        parts += [f"{name} {', '.join(said)}"] if said else []
    return f"{told['n']}; " + "; ".join(parts)


def _recalibrated(found: dict[str, Any]) -> str:
    if found["identity_because"]:
        return f"the probabilities are not recalibrated: {found['identity_because']}"
    return (
        f"the probabilities are recalibrated: log odds times {_shown(found['slope'])} plus "
        f"{_shown(found['intercept'])}, learned from held-out training patients"
    )


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "unknown" if value is None else str(value)
