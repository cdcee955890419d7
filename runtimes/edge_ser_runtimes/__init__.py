"""Runtimes of edge-ser: a bundle in, model outputs out. Nothing here imports torch."""
