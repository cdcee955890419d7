"""Checkpoints: found out by looking, loaded safely, every tensor accounted for."""
