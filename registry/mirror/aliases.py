"""Aliases in the window, set as the ledger has them.

One that a person moved there is named, and left until somebody says what to do with it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from registry.lifecycle import Registry
from registry.mirror.place import DATABASE, connection, default_uri, own_uri
from registry.states import ModelVersion

HEAD_TAG = "ledger_head"
LEDGER_TAG = "ledger_version"
ALIASES = ("champion", "challenger", "previous")


def set_aliases(
    client: Any, name: str, versions: Sequence[ModelVersion], present: Mapping[int, Any], head: str, *, restore: bool
) -> list[str]:
    """Sets the aliases and returns a remark for each that was moved since the ledger was last shown.

    Args:
        client: The MLflow client.
        name: The registered model's name.
        versions: All versions of the ledger.
        present: What the window has of them, by ledger number.
        head: The hash of the ledger's last line.
        restore: Whether an alias that a person moved is put back; a new event puts back all of them.
    """
    model = client.get_registered_model(name)
    now = {alias: str(number) for alias, number in model.aliases.items() if alias in ALIASES}
    wanted = {alias: str(present[v.number].version) for v in versions if v.number in present for alias in v.aliases}
    moved = _moved(now, wanted) if model.tags.get(HEAD_TAG) == head else []
    if moved and not restore:
        return [_remark(alias, now.get(alias), wanted.get(alias)) for alias in moved]
    for alias in now.keys() - wanted.keys():
        client.delete_registered_model_alias(name, alias)
    for alias, number in wanted.items():
        if now.get(alias) != number:
            client.set_registered_model_alias(name, alias, number)
    if model.tags.get(HEAD_TAG) != head:
        client.set_registered_model_tag(name, HEAD_TAG, head)
    return [f"alias {alias} was put back" for alias in moved]


def moved_aliases(study: Path, name: str, tracking_uri: str | None = None) -> list[str]:
    """Returns a remark for each alias that stands elsewhere in MLflow than in the ledger; empty without a window.

    Args:
        study: The study.
        name: The registered model's name.
        tracking_uri: The tracking store; `MLFLOW_TRACKING_URI` or the study's own database when left out.
    """
    from mlflow.exceptions import MlflowException

    uri = tracking_uri or default_uri(study)
    registry = Registry(study)
    if not registry.ledger.path.is_file() or (uri == own_uri(study) and not (study / DATABASE).is_file()):
        return []
    with connection(uri) as client:
        try:
            aliases = client.get_registered_model(name).aliases
            shown = {alias: client.get_model_version_by_alias(name, alias).tags.get(LEDGER_TAG) for alias in aliases}
        except MlflowException:
            return []
    wanted = {alias: str(v.number) for v in registry.versions() for alias in v.aliases}
    now = {alias: number for alias, number in shown.items() if alias in ALIASES and number}
    return [_remark(alias, now.get(alias), wanted.get(alias)) for alias in _moved(now, wanted)]


def _moved(now: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    return sorted(alias for alias in now.keys() | wanted.keys() if now.get(alias) != wanted.get(alias))


def _remark(alias: str, seen: str | None, wanted: str | None) -> str:
    """Says what was moved, and how it is made true or undone."""
    there = f"version {seen}" if seen else "no version"
    here = f"version {wanted}" if wanted else "none"
    verb = {"champion": "promote", "challenger": "challenge"}.get(alias)
    adopt = f"`radmill {verb} {seen}` adopts it if it may; " if verb and seen else ""
    back = "`radmill mirror --restore` puts it back"
    return f"alias {alias} was moved in MLflow to {there}, the ledger has {here}: {adopt}{back}"
