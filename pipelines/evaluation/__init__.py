"""How well models discriminate, how honest their probabilities are, and what acting on them would gain."""
