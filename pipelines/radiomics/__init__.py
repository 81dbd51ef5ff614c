"""The extraction engine, its settings and its catalogue of features."""
