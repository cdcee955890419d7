"""From samples in memory to the samples a model takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from helpers.signals import RATE, Floats, make_noise
from numpy.typing import NDArray

from edge_ser.audio import Preprocessing, decode_array, mix_to_mono, resample
from edge_ser.audio.files import decode_file
from edge_ser.errors import AudioError, UsageError


def prepare(array: NDArray[Any], rate: float) -> Floats:
    p = Preprocessing()
    return p.apply(decode_array(array, rate, p.sample_rate, p.max_seconds))


# Mixing and resampling


def test_mono_is_the_mean_of_the_channels() -> None:
    audio = make_noise(0.1, RATE, channels=3)
    np.testing.assert_allclose(mix_to_mono(audio), (audio @ np.ones(3)) / 3, atol=1e-7)
    assert mix_to_mono(audio[:, :1]).tolist() == audio[:, 0].tolist()
    np.testing.assert_allclose(decode_array(audio, RATE, RATE), audio.mean(1), atol=1e-7)


def test_same_rate_changes_nothing() -> None:
    x = make_noise(0.5, RATE)
    assert resample(x, RATE, RATE) is x
    assert decode_array(x, RATE, RATE).tolist() == x.tolist()


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_000])
def test_a_tone_keeps_frequency_phase_and_level(rate: int) -> None:
    t = np.arange(2 * rate) / rate
    got = decode_array(0.5 * np.sin(2 * np.pi * 440 * t), rate, RATE)
    assert abs(got.size - 2 * RATE) <= 1
    t = np.arange(got.size) / RATE
    expected = 0.5 * np.sin(2 * np.pi * 440 * t)
    inner = slice(RATE // 4, -RATE // 4)  # a filter rings at the ends
    np.testing.assert_allclose(got[inner], expected[inner], atol=1e-4)


def test_a_tone_above_the_new_nyquist_frequency_is_removed() -> None:
    t = np.arange(44_100) / 44_100
    got = decode_array(0.5 * np.sin(2 * np.pi * 12_000 * t), 44_100, RATE)
    assert np.abs(got[2000:-2000]).max() < 1e-4


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_reading_the_first_seconds_gives_what_decoding_everything_gives(
    rate: int, tmp_path: Path
) -> None:
    audio = make_noise(15, rate, channels=2)
    path = tmp_path / "long.wav"
    soundfile.write(path, audio, rate, subtype="FLOAT")
    mono = audio.mean(axis=1, dtype=np.float32)
    everything = mono if rate == RATE else soxr.resample(mono, rate, RATE, quality="HQ")
    cut = decode_file(path, RATE, 12.0)
    assert cut.size == 12 * RATE
    np.testing.assert_allclose(cut, everything[: 12 * RATE], atol=1e-6)
    np.testing.assert_allclose(cut, decode_file(path, RATE)[: 12 * RATE], atol=1e-6)
    np.testing.assert_allclose(decode_array(audio, rate, RATE, 12.0), cut, atol=1e-6)


def test_eight_channels_at_96_khz(tmp_path: Path) -> None:
    audio = make_noise(2, 96_000, channels=8)
    path = tmp_path / "array.wav"
    soundfile.write(path, audio, 96_000, subtype="FLOAT")
    expected = soxr.resample(audio.mean(axis=1, dtype=np.float32), 96_000, RATE, quality="HQ")
    np.testing.assert_allclose(decode_file(path, RATE), expected, atol=1e-6)


# Types and shapes of arrays


def test_all_sample_types_agree() -> None:
    ints = np.random.default_rng(2).integers(-32768, 32768, 8000).astype(np.int16)
    ints[:2] = -32768, 32767
    expected = ints / 32768
    for array in (
        ints,
        ints.astype(np.int32) << 16,
        expected.astype(np.float32),
        expected,
        ints.astype(">i2"),
        ints[::-1].copy()[::-1],
    ):
        got = decode_array(array, RATE, RATE)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, expected.astype(np.float32))


def test_one_column_is_mono() -> None:
    x = make_noise(0.1, RATE)
    assert decode_array(x[:, None], RATE, RATE).tolist() == x.tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int8, np.int64, np.complex64, bool, str])
def test_other_sample_types_are_refused(dtype: Any) -> None:
    with pytest.raises(AudioError, match=r"expected .*int16.* found dtype"):
        decode_array(np.ones(1000).astype(dtype), RATE, RATE)


@pytest.mark.parametrize("shape", [(), (10, 10, 2), (2, 16_000), (1, 1, 16_000), (1000, 0)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioError, match=r"expected an array \[n\] or \[n, channels\]") as caught:
        decode_array(np.ones(shape, np.float32), RATE, RATE)
    assert str(list(shape)) in str(caught.value)
    assert ("transpose" in str(caught.value)) == (len(shape) == 2)


@pytest.mark.parametrize("shape", [(0,), (0, 2)])
def test_no_samples_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioError, match="expected samples, found an empty array"):
        decode_array(np.ones(shape, np.float32), RATE, RATE)


@pytest.mark.parametrize(
    "rate", [0, -1, -16_000, 1e-3, 1e9, 1e300, float("nan"), float("inf"), "16000", None]
)
def test_an_impossible_rate_is_refused(rate: Any) -> None:
    with pytest.raises(AudioError, match=r"expected .*rate.*Hz"):
        decode_array(make_noise(1, RATE), rate, RATE)


def test_numpy_rates_are_rates() -> None:
    x = make_noise(0.1, 8000)
    expected = decode_array(x, 8000, RATE)
    for rate in (np.int64(8000), np.float32(8000), 8000.0):
        assert decode_array(x, rate, RATE).tolist() == expected.tolist()


def test_floats_of_integer_scale_are_refused() -> None:
    x = 30_000 * make_noise(1, RATE)
    with pytest.raises(AudioError, match=r"expected float samples in \[-1, 1\], found a peak"):
        decode_array(x, RATE, RATE)


def test_loud_floats_are_not_integers() -> None:
    x = 20 * make_noise(1, RATE)
    assert 2 < np.abs(x).max() < 16
    assert decode_array(x, RATE, RATE).tolist() == x.tolist()


def test_float64_beyond_float32_is_refused_without_a_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    with pytest.raises(AudioError):
        prepare(np.full(RATE, 1e300), RATE)
    assert not recwarn.list


# Broken samples


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("rate", "second"),
    [(16_000, 0.0), (16_000, 11.9), (8_000, 5.0), (44_100, 0.1), (44_100, 8.0), (48_000, 11.9)],
)
def test_one_bad_sample_within_the_first_seconds_is_refused(
    rate: int, second: float, bad: float, tmp_path: Path
) -> None:
    x = make_noise(14, rate)
    x[int(second * rate)] = bad
    with pytest.raises(AudioError, match=r"expected finite samples, found .*NaN or infinite"):
        prepare(x, rate)
    soundfile.write(tmp_path / "bad.wav", x, rate, subtype="FLOAT")
    p = Preprocessing()
    with pytest.raises(AudioError, match="expected finite samples"):
        p.apply(decode_file(tmp_path / "bad.wav", RATE, 12.0))


def test_a_bad_sample_after_the_part_that_is_read_is_not_heard() -> None:
    x = make_noise(15, 44_100)
    clean = prepare(x, 44_100)
    x[14 * 44_100] = np.nan
    np.testing.assert_array_equal(prepare(x, 44_100), clean)


def test_a_bad_sample_just_after_the_cut_spoils_nothing_silently() -> None:
    x = make_noise(15, 44_100)
    clean = prepare(x, 44_100)
    x[int(12.3 * 44_100)] = np.nan
    try:
        got = prepare(x, 44_100)
    except AudioError:
        return
    np.testing.assert_allclose(got, clean, atol=1e-3)


def test_silence_is_refused() -> None:
    with pytest.raises(AudioError, match="expected a signal, found 16000 samples, all zero"):
        prepare(np.zeros(RATE, np.float32), RATE)
    with pytest.raises(AudioError, match="all zero"):
        prepare(np.zeros((2 * 44_100, 2), np.int16), 44_100)


def test_silence_in_the_used_part_is_refused() -> None:
    x = make_noise(14, RATE)
    x[: 12 * RATE] = 0
    with pytest.raises(AudioError, match="all zero"):
        prepare(x, RATE)


# Length


def test_too_short_is_refused_by_default() -> None:
    p, x = Preprocessing(), make_noise(1, RATE)
    with pytest.raises(AudioError, match=r"speech.wav: expected at least 400 samples \(25 ms\)"):
        p.apply(x[:399], "speech.wav")
    assert p.apply(x[:400]).size == 400


def test_too_short_is_padded_with_zeros_after_normalisation() -> None:
    p = Preprocessing(short="pad", mean=0.25, std=0.5)
    x = make_noise(1, RATE)
    y = p.apply(x[:100])
    assert y.shape == (400,) and y.dtype == np.float32
    np.testing.assert_allclose(y[:100], (x[:100] - 0.25) / 0.500001, atol=1e-6)
    assert not y[100:].any()
    assert p.apply(x[:1]).size == 400


@pytest.mark.parametrize("normalization", ["corpus", "utterance"])
def test_audio_is_cut_before_it_is_normalised(normalization: Any) -> None:
    p = Preprocessing(normalization=normalization, max_seconds=0.5)
    x = make_noise(1, RATE)
    x[RATE // 2 :] += 0.5
    assert p.max_samples == 8000
    assert p.apply(x).tolist() == p.apply(x[:8000]).tolist()


def test_an_empty_signal_is_refused_even_where_short_ones_are_padded() -> None:
    with pytest.raises(AudioError):
        Preprocessing(short="pad").apply(np.zeros(0, np.float32))


# Normalisation


def test_corpus_normalisation() -> None:
    x = make_noise(1, RATE)
    p = Preprocessing(normalization="corpus", mean=0.01, std=0.2, eps=1e-3)
    got = p.normalize(x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, (x.astype(np.float64) - 0.01) / 0.201, atol=1e-6)


def test_utterance_normalisation() -> None:
    x = make_noise(1, RATE) + np.float32(0.3)
    p = Preprocessing(normalization="utterance", eps=1e-3)
    got = p.normalize(x)
    assert got.dtype == np.float32
    wide = x.astype(np.float64)
    expected = (wide - wide.mean()) / np.sqrt(wide.var() + 1e-3)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert abs(got.mean()) < 1e-6
    # eps belongs under the root
    assert got.var() == pytest.approx(wide.var() / (wide.var() + 1e-3), rel=1e-4)


# What a preparation must be


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sample_rate": 0}, "sample_rate in 1000..1000000 Hz, found 0"),
        ({"sample_rate": 10**400}, "sample_rate in"),
        ({"max_seconds": 0}, "max_seconds in 0..300, found 0"),
        ({"max_seconds": 3601}, "max_seconds in"),
        ({"max_seconds": float("inf")}, "finite numbers"),
        ({"min_samples": 0}, "min_samples > 0, found 0"),
        ({"max_seconds": 0.024}, "max_seconds that hold min_samples, 400, found 0.024 s, 384"),
        ({"std": 0}, "std > 0, found 0"),
        ({"std": float("nan")}, "finite numbers"),
        ({"eps": -1e-9}, "eps >= 0, found -1e-09"),
        ({"short": "skip"}, "short refuse or pad, found 'skip'"),
        ({"normalization": "none"}, "normalization corpus or utterance, found 'none'"),
    ],
    ids=lambda x: str(x)[:30] if isinstance(x, dict) else "",
)
def test_a_senseless_preparation_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Preprocessing(**changes)
    assert f"pre-processing: expected {words}" in str(caught.value)
