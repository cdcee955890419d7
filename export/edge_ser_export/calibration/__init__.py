"""Which speech calibrates a model, and the ranges measured on it."""
