"""From feature tables to candidate models: splits, training sets, search, candidates."""
