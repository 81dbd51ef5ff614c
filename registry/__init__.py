"""The model registry: models as packages of data, their lifecycle, gates and ledger."""
