"""From a recording, and how it is to be cut, to its segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edge_ser.audio import Channel, Samples
from edge_ser.audio.inputs import Array, Source
from edge_ser.segments.source import AudioSource
from edge_ser.segments.stream import Segments, Steps
from edge_ser.segments.turns import Turn, check_turns, cut_turns, read_turns, turns_of
from edge_ser.segments.windows import cut_windows, window_rule
from edge_ser.utterance import Utterance


def cut(
    steps: Steps,
    prepare: Callable[[Samples, str], Utterance],
    audio: Source | Array,
    sample_rate: float | None,
    channel: Channel,
    window: float,
    hop: float | None,
    turns: Sequence[Turn] | str | Path | None,
    batch_size: int,
) -> Segments:
    """The segments of a recording.

    Args:
        steps: the model.
        prepare: its first step, see `Segments`.
        audio: see `Recognizer.segments`.
        sample_rate: see there.
        channel: that is heard.
        window: see there.
        hop: see there.
        turns: see there.
        batch_size: see there.

    Raises:
        MissingPathError, AudioError, DataError, UsageError: see there.
    """
    rules = steps.manifest.preprocessing
    rule = window_rule(window, hop, rules)
    if isinstance(turns, str | Path):
        turns = read_turns(Path(turns))
    elif turns is not None:
        check_turns(turns, "turns")
    source = AudioSource(audio, sample_rate, "samples", rules.sample_rate, channel)
    try:
        if turns is None:
            windows = cut_windows(source, rule)
        else:
            chosen = turns_of(turns, source.source, "turns") if source.source else list(turns)
            windows = cut_turns(
                source, chosen, rule, rules.max_samples, rules.sample_rate, source.name
            )
        return Segments(steps, prepare, source, windows, batch_size)
    except BaseException:
        source.close()
        raise
