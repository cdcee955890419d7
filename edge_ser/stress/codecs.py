"""Speech through codecs: by libsndfile where it writes them, or else by the program ffmpeg."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from edge_ser.audio import Samples, resample
from edge_ser.audio.sound_file import import_soundfile, reason_of
from edge_ser.errors import AudioError
from edge_ser.scratch import scratch_folder
from edge_ser.stress.places import fitted
from edge_ser.stress.signals import within_scale

# A decoder may begin so much later than what was encoded.
_MOST_DELAY_SECONDS = 0.15


@dataclass(frozen=True)
class Codec:
    """One codec at one rate.

    Attributes:
        rate: Hz that it is sent in; None: the model's.
        form: libsndfile's container and encoding; None: it writes none.
        compression: 0..1 of libsndfile, where the encoding has a choice.
        suffix: of a file of ffmpeg's.
        options: of ffmpeg that name the encoder and its rate.
    """

    rate: int | None
    form: tuple[str, str] | None
    compression: float | None
    suffix: str
    options: tuple[str, ...]


# what libsndfile makes of its compression: Opus 256..6 kbit/s, MP3 160..8 kbit/s
def _opus(kilobits: float) -> Codec:
    options = ("-c:a", "libopus", "-b:a", f"{kilobits:g}k")
    return Codec(None, ("OGG", "OPUS"), 1 - (kilobits - 6) / 250, ".opus", options)


def _mp3(kilobits: float) -> Codec:
    options = ("-c:a", "libmp3lame", "-b:a", f"{kilobits:g}k")
    return Codec(None, ("MP3", "MPEG_LAYER_III"), 1 - (kilobits - 8) / 152, ".mp3", options)


def _gsm(_: float) -> Codec:
    return Codec(8000, ("WAV", "GSM610"), None, ".wav", ("-c:a", "libgsm_ms"))


def _aac(kilobits: float) -> Codec:
    return Codec(None, None, None, ".m4a", ("-c:a", "aac", "-b:a", f"{kilobits:g}k"))


CODECS = {"opus": _opus, "mp3": _mp3, "gsm": _gsm, "aac": _aac}


def through_codec(samples: Samples, rate: int, name: str, kilobits: float) -> Samples:
    """Encode and decode `[n]` samples; as many come back, without the codec's delay.

    Args:
        samples: in -1..1.
        rate: Hz.
        name: of `CODECS`.
        kilobits: a second; codecs of one rate alone do not ask.

    Raises:
        AudioError: nothing here writes or reads this codec.
    """
    codec = CODECS[name](kilobits)
    sent_rate = codec.rate or rate
    sent = within_scale(resample(samples, rate, sent_rate))
    decoded, decoded_rate = _by_sndfile(sent, sent_rate, codec) or _by_ffmpeg(
        sent, sent_rate, codec
    )
    return _without_delay(resample(decoded, decoded_rate, rate), samples, rate)


def _by_sndfile(samples: Samples, rate: int, codec: Codec) -> tuple[Samples, int] | None:
    """Decoded samples and their rate; None where libsndfile does not write this codec."""
    soundfile = import_soundfile()

    if codec.form is None:
        return None
    container, encoding = codec.form
    if not soundfile.check_format(container, encoding):
        return None
    file = io.BytesIO()
    try:
        soundfile.write(
            file, samples, rate, format=container, subtype=encoding,
            compression_level=codec.compression,
        )  # fmt: skip
        file.seek(0)
        return _read(file)
    except (soundfile.LibsndfileError, RuntimeError, TypeError):  # without this codec's library
        return None


def _by_ffmpeg(samples: Samples, rate: int, codec: Codec) -> tuple[Samples, int]:
    """The same by the program ffmpeg.

    Raises:
        AudioError: there is no ffmpeg, or it lacks this codec.
    """
    from edge_ser.audio.ffmpeg import decode_by_ffmpeg, encode_by_ffmpeg

    soundfile = import_soundfile()
    with scratch_folder() as folder:
        source, encoded = folder / "speech.wav", folder / f"encoded{codec.suffix}"
        soundfile.write(source, samples, rate, subtype="PCM_16")
        encode_by_ffmpeg(source, encoded, codec.options)
        try:
            return _read(encoded)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            if codec.form is not None:
                reason = reason_of(error)
                raise AudioError(
                    encoded.name, expected="what libsndfile reads", found=reason
                ) from error
            decoded = decode_by_ffmpeg(encoded, None, encoded.name)
            return decoded.audio[:, 0], decoded.rate


def _read(file: object) -> tuple[Samples, int]:
    samples, rate = import_soundfile().read(file, dtype="float32")
    return samples, int(rate)


def _without_delay(decoded: Samples, sent: Samples, rate: int) -> Samples:
    """What was decoded, from where it is most like what was sent."""
    longest_delay = int(_MOST_DELAY_SECONDS * rate)
    size = 1 << (max(decoded.size, sent.size) + longest_delay).bit_length()
    likeness = np.fft.irfft(np.fft.rfft(decoded, size) * np.fft.rfft(sent, size).conj(), size)
    return fitted(decoded[int(np.argmax(likeness[:longest_delay])) :], sent.size)
