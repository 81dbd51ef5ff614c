"""The fast extraction engine: PyRadiomics's values without filtering the air around the region."""
