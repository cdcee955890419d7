"""Whether two sets of answers are the same, and by which limits."""
