"""Scoring new hospitals: an operation beside the study, with its own root, lock and history."""
