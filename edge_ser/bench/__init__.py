"""`edge-ser bench`: what is measured of a model, against what, and how it is told."""
