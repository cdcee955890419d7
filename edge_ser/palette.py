"""Colours and names that every drawing shares, whatever draws it.

Pages of a device are drawn as SVG by `edge_ser.report.svg`, without a library; pictures of bench
figures, of a training run and of benchmarks are drawn by matplotlib, where that is installed.
"""

from __future__ import annotations

# On white; told apart by people who see few colours as well. The style sheet of pages has the same.
COLOURS = ("#0067b1", "#b26a00", "#007a5a", "#9b3d80", "#1b1f24", "#b3261e")
# Of regions, by their names: one hue each for what is active and positive, calm and positive, calm
# and negative, active and negative; dark where it is dominant, light where it is not.
REGION_COLOURS = {
    "I exuberant": "#b26a00",
    "II relaxed": "#007a5a",
    "III disdainful": "#0067b1",
    "IV hostile": "#b3261e",
    "V dependent": "#f0bd7a",
    "VI docile": "#83cbb3",
    "VII bored": "#8dc0ea",
    "VIII anxious": "#f0a49e",
    "neutral": "#767b85",
}
OTHER_COLOUR = "#d7dae0"
LENGTH_AXIS, LATENCY_AXIS, EPOCH_AXIS = "length of the utterance, s", "latency, ms", "epoch"


def colour(index: int) -> str:
    """Of the line or group of an index; they begin again after the last."""
    return COLOURS[index % len(COLOURS)]
