"""What a caller may give as audio: files, streams, and samples in arrays of whichever library."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from edge_ser.audio.channels import Channel
from edge_ser.audio.files import Recording, read_file
from edge_ser.audio.samples import Preprocessing, decode_array
from edge_ser.errors import UsageError

# what is read at runtime is more: the bytes of a file, tensors, numbers; see `hear`
Source = str | Path | BinaryIO
# of any type that `decode_array` takes; spelt so that type checkers show it in a few words
Array = np.ndarray[Any, Any]


class Heard(NamedTuple):
    """Audio at the model's rate.

    Attributes:
        recording: its samples, and how long it was.
        source: name of a file, for the answer; "" for samples in memory.
        name: for errors.
    """

    recording: Recording
    source: str
    name: str


def hear(
    audio: object,
    sample_rate: float | None,
    rules: Preprocessing,
    name: str,
    channel: Channel = "mean",
) -> Heard:
    """Read a file, or take samples, as far as the model hears them.

    Args:
        audio: a path, a binary stream, the bytes of a file; or samples `[n]` or `[n, channels]`: an
            array, a tensor, a sequence of numbers.
        sample_rate: Hz, of samples; None for files, which say their own.
        rules: of the model.
        name: of samples, in errors.
        channel: see `edge_ser.audio.choose_channel`.

    Raises:
        MissingPathError: no such file.
        AudioError: audio that cannot be read, or not finite; no such channel.
        UsageError: samples without their rate, a file with one, or no audio at all.
    """
    rate, seconds = rules.sample_rate, rules.max_seconds
    if is_file(audio):
        file, source = open_file(audio, sample_rate, name)
        return Heard(read_file(file, rate, seconds, source, channel), source, source)
    array, own_rate = samples_of(audio, sample_rate, name)
    samples = decode_array(array, own_rate, rate, seconds, name, channel)
    return Heard(Recording(samples, array.shape[0] / own_rate), "", name)


def is_file(audio: object) -> bool:
    """Whether something is a path, a stream or the bytes of a file, and no samples."""
    kinds = str | Path | bytes | bytearray | memoryview
    return isinstance(audio, kinds) or hasattr(audio, "read")


def open_file(
    audio: Any, sample_rate: float | None, name: str
) -> tuple[str | Path | BinaryIO, str]:
    """A file as a path or a stream, and what to call it.

    Args:
        audio: of which `is_file` holds.
        sample_rate: None.
        name: for errors of bytes.

    Raises:
        UsageError: a rate beside it.
    """
    if isinstance(audio, bytes | bytearray | memoryview):
        if sample_rate is not None:
            raise UsageError(
                name,
                expected="an array of numbers beside a sample rate",
                found=type(audio).__name__,
                advice="call numpy.frombuffer(data, numpy.int16), or of the type that they are",
            )
        return io.BytesIO(audio), "<bytes>"
    if sample_rate is not None:
        raise UsageError(
            "sample rate",
            expected="none beside a file, which says its own",
            found=f"{sample_rate!r:.40}",
            advice="call ser(file), or ser(samples, sample_rate) with an array",
        )
    return audio, _name(audio)


def samples_of(audio: object, sample_rate: float | None, name: str) -> tuple[Array, float]:
    """Samples as numpy's array, and their rate in Hz.

    Raises:
        UsageError: no rate, or no samples.
    """
    array = _as_array(audio, name)
    if sample_rate is None:
        raise UsageError(
            name,
            expected="their sample rate in Hz",
            found="none",
            advice="call ser(samples, sample_rate), or ser([a, b], sample_rate)",
        )
    return array, sample_rate


def are_numbers(values: object) -> bool:
    """Whether a list or tuple holds samples, not one utterance each."""
    return (
        isinstance(values, list | tuple)
        and len(values) > 0
        and isinstance(values[0], int | float | np.number)
    )


def _as_array(audio: Any, name: str) -> Array:
    """Numbers of any library as numpy's, without importing that library."""
    if isinstance(audio, np.ndarray):
        return audio
    if not (hasattr(audio, "__array__") or hasattr(audio, "typecode") or are_numbers(audio)):
        raise UsageError(
            "audio",
            expected="a path, a binary stream, an array, or a list of files or of arrays",
            found=type(audio).__name__,
        )
    try:
        if hasattr(audio, "detach"):  # a tensor of torch: of a gradient, on a GPU
            audio = audio.detach().cpu()
        array = np.asarray(audio)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = f"{type(audio).__module__}.{type(audio).__qualname__}".removeprefix("builtins.")
        raise UsageError(
            name,
            expected="samples that numpy can take",
            found=f"{kind}, {str(error).splitlines()[0]}",
            advice="convert it to a numpy array of float32",
        ) from error
    if array.dtype == object:
        raise UsageError(
            name,
            expected="numbers",
            found=f"{type(audio).__name__} of other things",
            advice="convert it to a numpy array of float32",
        )
    return array


def _name(source: Any) -> str:
    if isinstance(source, str | Path):
        return str(source)
    if source is getattr(sys.stdin, "buffer", None):
        return "<stdin>"
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "<stream>"  # a pipe's is the number of it
