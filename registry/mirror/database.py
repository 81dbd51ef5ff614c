"""The study's own database: begun whole or not at all, and put aside when it was made elsewhere."""

import sqlite3
from contextlib import closing
from pathlib import Path

from featurestore.files import TEMPORARY, atomic_path
from registry.mirror.place import ARTIFACTS, DATABASE, STUDY_TAG, connection, own_uri, sqlite_uri

_LOCATIONS = "SELECT artifact_location FROM experiments JOIN experiment_tags USING (experiment_id) WHERE key = ?"


def begin(study: Path, tracking_uri: str) -> str:
    """Sees to it that the study's own database, if it is the window, is there and whole.

    MLflow makes its tables one by one and takes up no database that was left half made, so that a kill meanwhile would
    close the window for ever: it is made under a temporary name.

    Returns:
        What a person should know of it; mostly nothing.
    """
    if tracking_uri != own_uri(study):
        return ""
    database, remark = study / DATABASE, ""
    if database.is_file() and not _asked(database, "SELECT experiment_id FROM experiments"):
        database.unlink()  # MLflow's own first experiment is the last that it makes
        remark = "the MLflow database was half made and is begun anew"
    elif database.is_file() and _was_made_elsewhere(study):
        database.replace(study / f"{DATABASE}.moved")
        remark = "the MLflow database was made elsewhere and put aside"
    if not database.is_file():
        _make(study, database)
    return remark


def _make(study: Path, database: Path) -> None:
    for left in study.glob(f"{TEMPORARY}*{DATABASE}*"):
        left.unlink()
    with atomic_path(database) as temporary, connection(sqlite_uri(temporary)):
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        store = SqlAlchemyStore(sqlite_uri(temporary), (study / ARTIFACTS).resolve().as_uri())
        store.engine.dispose()


def _was_made_elsewhere(study: Path) -> bool:
    """Returns whether our experiments keep artifacts where this study is not: their paths are absolute."""
    place = (study / ARTIFACTS).resolve().as_uri()
    return any(location != place for location in _asked(study / DATABASE, _LOCATIONS, STUDY_TAG))


def _asked(database: Path, query: str, *values: str) -> list[str]:
    """Returns a query's first column; asked without MLflow, which would keep the file open."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connected:
        try:
            return [row[0] for row in connected.execute(query, values)]
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []
