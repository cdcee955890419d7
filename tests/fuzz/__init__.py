"""Fuzzing of all that reads foreign bytes: `python -m fuzz TARGET --runs N`, in `tests/`."""
