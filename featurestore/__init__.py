"""The feature store: entities, schemas, partitioned Parquet tables and frozen training sets."""
