"""Aliases in the window, set as the ledger has them.

One that a person moved there is named, and left until somebody says what to do with it.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from registry.lifecycle import Registry
from registry.mirror.place import DATABASE, connection, default_uri, own_uri
from registry.states import ModelVersion

HEAD_TAG = "ledger_head"
LEDGER_TAG = "ledger_version"
ALIASES = ("champion", "challenger", "previous")

_SHOWN = """
    SELECT a.alias, t.value FROM registered_model_aliases a
    JOIN model_version_tags t ON t.name = a.name AND t.version = a.version AND t.key = ?
    WHERE a.name = ?
"""


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
    uri = tracking_uri or default_uri(study)
    registry = Registry(study)
    is_own = uri == own_uri(study)
    if not registry.ledger.path.is_file() or (is_own and not (study / DATABASE).is_file()):
        return []
    shown = _shown_in(study / DATABASE, name) if is_own else None
    if shown is None:
        shown = _shown_at(uri, name)
    if shown is None:
        return []
    wanted = {alias: str(v.number) for v in registry.versions() for alias in v.aliases}
    now = {alias: number for alias, number in shown.items() if alias in ALIASES}
    return [_remark(alias, now.get(alias), wanted.get(alias)) for alias in _moved(now, wanted)]


def _shown_in(database: Path, name: str) -> dict[str, str] | None:
    """Returns the ledger's number behind each alias, read without MLflow, whose import takes longer than all the rest.

    None where the tables are not those that are known here, or the model is not among them.
    """
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as told:
            if not told.execute("SELECT 1 FROM registered_models WHERE name = ?", (name,)).fetchone():
                return None
            return dict(told.execute(_SHOWN, (LEDGER_TAG, name)).fetchall())
    except sqlite3.Error:
        return None


def _shown_at(uri: str, name: str) -> dict[str, str] | None:
    """Returns the same through MLflow; none where it does not know the model."""
    from mlflow.exceptions import MlflowException

    with connection(uri) as client:
        try:
            aliases = client.get_registered_model(name).aliases
            found = {alias: client.get_model_version_by_alias(name, alias).tags.get(LEDGER_TAG) for alias in aliases}
        except MlflowException:
            return None
    return {alias: number for alias, number in found.items() if number}


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
