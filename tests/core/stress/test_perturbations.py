"""Each perturbation does to the signal what its name and level say."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.signals import make_syllables
from numpy.typing import NDArray

from edge_ser.audio import ffmpeg
from edge_ser.audio.files import decode_file
from edge_ser.errors import AudioError, UsageError
from edge_ser.stress import codecs
from edge_ser.stress.perturbations import CONDITIONS, KINDS, Condition, choose

RATE = 16_000
Samples = NDArray[np.float32]
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg here")


@pytest.fixture(scope="module")
def speech() -> Samples:
    return make_syllables(3, RATE, seed=1)


@pytest.fixture(scope="module")
def others() -> list[Samples]:
    return [make_syllables(2, RATE, seed=seed) for seed in range(10, 15)]


def tone(hz: float, seconds: float = 2.0, peak: float = 0.5) -> Samples:
    return (peak * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype(
        np.float32
    )


def perturb(name: str, samples: Samples, others: list[Samples] | None = None) -> Samples:
    (condition,) = choose([name])
    return condition.apply(samples, RATE, "clip", others or [])


def decibels(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


def pitch(samples: Samples) -> float:
    """Hz of the largest part of the spectrum."""
    size = samples.size
    return float(np.abs(np.fft.rfft(samples * np.hanning(size))).argmax() * RATE / size)


def applicable(condition: Condition) -> bool:
    return condition.kind != "aac" or shutil.which("ffmpeg") is not None


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: c.name)
def test_every_condition_gives_the_same_sound_signal_again(
    condition: Condition, speech: Samples, others: list[Samples]
) -> None:
    if not applicable(condition):
        pytest.skip("no ffmpeg here")
    first = condition.apply(speech, RATE, "a.wav", others)
    assert first.dtype == np.float32 and first.ndim == 1
    assert np.isfinite(first).all() and np.abs(first).max() <= 1.0
    np.testing.assert_array_equal(first, condition.apply(speech, RATE, "a.wav", others))
    assert not np.array_equal(first, speech)
    length = condition.level / 100 if condition.kind in ("speed", "tempo") else 1.0
    assert first.size == pytest.approx(speech.size / length, rel=0.02)


def test_what_is_random_differs_between_clips_and_not_between_levels(speech: Samples) -> None:
    faint, loud = (Condition("noise", level) for level in (30, 20))
    noise = faint.apply(speech, RATE, "a.wav") - speech
    assert not np.allclose(noise, faint.apply(speech, RATE, "b.wav") - speech, atol=1e-4)
    np.testing.assert_allclose(
        loud.apply(speech, RATE, "a.wav") - speech, noise * 10**0.5, atol=1e-5
    )


@pytest.mark.parametrize("name", ["noise-20db", "noise-10db", "pink-10db", "babble-10db"])
def test_noise_has_the_ratio_of_its_name(name: str, speech: Samples, others: list[Samples]) -> None:
    quiet = speech * np.float32(0.3)
    noise = perturb(name, quiet, others) - quiet
    ratio = float(name.split("-")[1].removesuffix("db"))
    assert decibels(quiet) - decibels(noise) == pytest.approx(ratio, abs=0.01)


def test_pink_noise_falls_by_three_decibels_an_octave(speech: Samples) -> None:
    long = np.tile(speech, 8) * np.float32(0.3)
    spectrum = np.abs(np.fft.rfft(perturb("pink-10db", long) - long)) ** 2
    hz = np.fft.rfftfreq(long.size, 1 / RATE)
    low, high = (spectrum[(hz > a) & (hz < 2 * a)].mean() for a in (250, 2000))
    assert 10 * np.log10(low / high) == pytest.approx(9, abs=1)


def test_babble_needs_others_to_talk(speech: Samples, others: list[Samples]) -> None:
    with pytest.raises(AudioError, match="at least 3 other clips, found 2; give a folder"):
        perturb("babble-10db", speech, others[:2])


def test_a_room_rings_as_long_as_it_says() -> None:
    click = np.zeros(2 * RATE, np.float32)
    click[0] = 0.5
    heard = perturb("room-500ms", click).astype(np.float64)
    left = np.cumsum(heard[::-1] ** 2)[::-1]
    left = 10 * np.log10(left / left[int(0.005 * RATE)] + 1e-12)
    # Schroeder: the time from -5 to -25 dB is a third of that for 60 dB
    times = [int(np.argmax(left < level)) / RATE for level in (-5, -25)]
    assert 3 * (times[1] - times[0]) == pytest.approx(0.5, rel=0.1)
    assert decibels(heard) == pytest.approx(decibels(click), abs=0.01)


def test_a_telephone_line_lets_its_band_pass() -> None:
    kept = [
        decibels(perturb("telephone", tone(hz))) - decibels(tone(hz)) for hz in (600, 1000, 2500)
    ]
    lost = [decibels(perturb("telephone", tone(hz))) - decibels(tone(hz)) for hz in (100, 5000)]
    assert max(map(abs, kept)) < 0.5
    assert max(lost) < -35


def test_levels_and_clipping() -> None:
    wave = tone(440)
    np.testing.assert_allclose(perturb("quieter-20db", wave), wave / 10, atol=1e-6)
    assert np.abs(perturb("louder-12db", wave)).max() == 1.0
    clipped = perturb("clipping-12db", wave)
    at_peak = np.isclose(np.abs(clipped), 0.5, atol=1e-4).mean()
    # a sine is above a quarter of its peak for 1 - 2/pi arcsin(1/4) of the time
    assert at_peak == pytest.approx(1 - 2 / np.pi * np.arcsin(10 ** (-12 / 20)), abs=0.01)


@pytest.mark.parametrize(("name", "slope"), [("duller-3db", -3), ("brighter-3db", 3)])
def test_a_tilt_has_its_slope(name: str, slope: float) -> None:
    two = tone(500, peak=0.1) + tone(2000, peak=0.1)
    spectrum = np.abs(np.fft.rfft(perturb(name, two)))
    low, high = (spectrum[int(hz * two.size / RATE)] for hz in (500, 2000))
    assert 20 * np.log10(high / low) == pytest.approx(2 * slope, abs=0.1)


def test_speed_changes_the_pitch_and_tempo_does_not() -> None:
    wave = tone(200)
    assert pitch(perturb("speed-110", wave)) == pytest.approx(220, rel=0.01)
    assert pitch(perturb("tempo-110", wave)) == pytest.approx(200, rel=0.01)
    assert pitch(perturb("tempo-80", wave)) == pytest.approx(200, rel=0.01)


def test_tempo_goes_on_smoothly() -> None:
    slow = perturb("tempo-80", tone(200))[RATE // 10 : -RATE // 10]
    # a seam would be a jump, which a sine of 200 Hz has none of
    assert np.abs(np.diff(slow)).max() < 1.3 * 0.5 * 2 * np.pi * 200 / RATE


def test_a_clip_too_short_for_a_frame_keeps_its_tempo() -> None:
    short = tone(200, 0.02)
    np.testing.assert_array_equal(perturb("tempo-110", short), short)


def test_lost_packets_are_silent_and_as_many_as_said() -> None:
    wave = np.tile(tone(440), 20)
    packets = perturb("dropped-10", wave).reshape(-1, 320)
    assert (~packets.any(1)).mean() == pytest.approx(0.1, abs=0.02)
    kept = packets.any(1)
    np.testing.assert_array_equal(packets[kept], wave.reshape(-1, 320)[kept])


@pytest.mark.parametrize(
    "name", ["opus-24k", "mp3-32k", "gsm", pytest.param("aac-32k", marks=needs_ffmpeg)]
)
def test_a_codec_gives_back_the_signal_without_its_delay(name: str, utterances: list[Path]) -> None:
    speech = decode_file(utterances[0], RATE)
    smooth = Condition("telephone", 0).apply(speech, RATE, "clip")
    heard = perturb(name, smooth)
    likeness = np.fft.irfft(np.fft.rfft(heard, 2**17) * np.fft.rfft(smooth, 2**17).conj())
    assert int(np.argmax(likeness)) == 0
    assert np.corrcoef(heard, smooth)[0, 1] > 0.7


@needs_ffmpeg
def test_what_libsndfile_lacks_is_encoded_by_ffmpeg(
    speech: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codecs, "_by_sndfile", lambda *_: None)
    for name in ("opus-24k", "mp3-32k"):
        assert np.corrcoef(perturb(name, speech), speech)[0, 1] > 0.5


def test_without_ffmpeg_the_error_says_what_is_missing(
    speech: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg, "_find_program", lambda: None)
    with pytest.raises(AudioError, match="m4a: expected the program ffmpeg, which encodes"):
        perturb("aac-32k", speech)


def test_conditions_are_chosen_by_kind_name_and_pattern() -> None:
    assert len(choose([])) == len(CONDITIONS) == len({c.name for c in CONDITIONS})
    assert [c.name for c in choose(["gsm", "noise"])][:2] == ["noise-30db", "noise-20db"]
    assert [c.name for c in choose(["*-10db"])] == [
        "noise-10db", "pink-10db", "babble-10db", "quieter-10db",
    ]  # fmt: skip
    with pytest.raises(UsageError, match=r"expected one of noise, pink, .*, found nois-20db"):
        choose(["nois-20db"])


def test_the_table_tells_everything() -> None:
    for name, kind in KINDS.items():
        assert len(kind.levels) == 1 or (kind.level_name and kind.unit), name
