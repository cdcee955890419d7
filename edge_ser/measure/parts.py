"""Which part of a model a node of its graph belongs to, by the node's name.

Shares of an encoder's arithmetic decide about exports and engines: one definition serves them all.
"""

from __future__ import annotations

_ENCODER, _FRONT_END = "encoder", "encoder.log_mel"


def of_front_end(node: str) -> bool:
    """Whether a node computes log-mel spectra: audio pre-processing that is in the graph."""
    return node.startswith(_FRONT_END)


def of_encoder(node: str) -> bool:
    """Whether a node is the encoder's; its log-mel front end is not counted in."""
    return node.startswith(_ENCODER) and not of_front_end(node)
