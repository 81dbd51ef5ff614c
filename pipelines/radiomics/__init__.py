"""The extraction engines, their settings and the catalogue of features."""
