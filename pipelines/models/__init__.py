"""Models: one contract, and the kinds that keep it."""
