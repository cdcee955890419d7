"""Audio, as libsndfile's callers read it: a file, a stream, a pipe, or block by block."""

import io
from collections.abc import Iterable

import numpy as np
import soundfile

from edge_ser.audio import Preprocessing
from edge_ser.audio.files import decode_file
from edge_ser.segments.source import AudioSource
from fuzz.small_bundle import new_folder

_RULES = Preprocessing()
_KINDS = (
    ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("AIFF", "PCM_24"),
    ("AU", "ULAW"), ("MP3", "MPEG_LAYER_III"), ("CAF", "ALAC_16"), ("W64", "PCM_16"),
)  # fmt: skip
_FOLDER = new_folder()


class _Pipe(io.RawIOBase):
    """Bytes that come once."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        return self._file.readinto(buffer)  # type: ignore[arg-type]


def seeds() -> Iterable[bytes]:
    samples = (0.1 * np.random.default_rng(0).standard_normal((500, 2))).astype(np.float32)
    for number, (kind, subtype) in enumerate(_KINDS):
        out = io.BytesIO()
        soundfile.write(out, samples[:, : 1 + number % 2], 8000, format=kind, subtype=subtype)
        for way in range(4):
            yield bytes([way]) + out.getvalue()


def attempt(data: bytes) -> bool:
    way, content = (data[0] if data else 0) % 4, data[1:]
    rate, seconds = _RULES.sample_rate, _RULES.max_seconds
    if way == 0:
        path = _FOLDER / "speech.wav"
        path.write_bytes(content)
        samples = decode_file(path, rate, seconds)
    elif way == 1:
        samples = decode_file(io.BytesIO(content), rate, seconds)
    elif way == 2:
        samples = decode_file(io.BufferedReader(_Pipe(content)), rate, seconds)
    else:
        source = AudioSource(io.BytesIO(content), None, "speech", rate, "mean")
        try:
            size = 0
            for block in source:  # of a recording of any length, which a model hears piece by piece
                assert block.dtype == np.float32 and np.isfinite(block).all()
                size += block.size
                if size > 60 * rate:
                    break
        finally:
            source.close()
        return True
    assert samples.dtype == np.float32 and samples.size <= _RULES.max_samples
    return True
