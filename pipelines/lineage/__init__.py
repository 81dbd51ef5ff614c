"""Where a value comes from, what used it, and how a patient is taken out again."""
