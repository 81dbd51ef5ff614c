"""SQL over the tables of a store, by DuckDB on the partitions themselves: nothing is copied."""

from typing import TYPE_CHECKING

from featurestore.errors import InputError
from featurestore.store import Store

if TYPE_CHECKING:
    import pandas as pd


class SqlError(InputError):
    """DuckDB does not take the query."""

    default_remedy = "tables are named as `radmill features list` shows them, with a dot: development.radiomics"


class NoSqlEngineError(InputError):
    """DuckDB is not installed."""

    default_remedy = 'pip install "radmill[sql]"'


def query(store: Store, text: str) -> "pd.DataFrame":
    """Answers a query; a table is a view of its role: `SELECT count(*) FROM development.radiomics`.

    Args:
        store: A store in a study's folder.
        text: The query.

    Raises:
        SqlError: The query is wrong.
        NoSqlEngineError: DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise NoSqlEngineError("DuckDB is not installed", where="radmill features sql") from error

    with duckdb.connect(":memory:") as connection:
        for name, folder in sorted(store.folders().items()):
            schema, table = name.split("/")
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            files = str(folder / "center=*" / "*.parquet").replace("'", "''")
            source = f"read_parquet('{files}', hive_partitioning=true, hive_types={{'center': VARCHAR}})"
            connection.execute(f'CREATE VIEW "{schema}"."{table}" AS SELECT * FROM {source}')
        try:
            return connection.execute(text).df()
        except duckdb.Error as error:
            raise SqlError(str(error).strip(), where="query") from error
