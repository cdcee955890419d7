"""Poor recordings, through the whole of a recogniser: told, or refused."""

import json
import pickle
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.signals import make_noise

import edge_ser
from edge_ser.audio.sound import SoundLimits
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.manifest import Manifest
from edge_ser.errors import AudioError, BundleError, PoorAudioWarning

RATE = 16_000


@pytest.fixture
def quiet(noise: np.ndarray) -> np.ndarray:
    return noise / 100  # of -20 dBFS


def test_the_answer_says_what_the_recording_is_like(
    noise: np.ndarray, ser: edge_ser.Recognizer
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        emotion = ser(noise, RATE)
    assert emotion.sound is not None
    assert emotion.sound.level_dbfs == pytest.approx(-20, abs=0.1)
    assert emotion.sound.quality == ()
    assert json.loads(json.dumps(emotion.to_dict()))["sound"] == {
        "level_dbfs": emotion.sound.level_dbfs, "clipped_share": 0.0, "silent_share": 0.0,
        "offset": emotion.sound.offset, "speech_share": emotion.sound.speech_share, "quality": [],
    }  # fmt: skip


def test_poor_audio_is_answered_with_a_warning(quiet: np.ndarray) -> None:
    with edge_ser.load(threads=1) as ser:
        with pytest.warns(
            PoorAudioWarning, match="samples is poor audio, .*too quiet: -60"
        ) as told:
            emotion = ser(quiet, RATE)
        assert told[0].filename == __file__
        assert emotion.sound is not None and len(emotion.sound.quality) == 1


def test_ten_warnings_are_enough(quiet: np.ndarray) -> None:
    with edge_ser.load(threads=1) as ser, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(15):
            ser(quiet, RATE)
    assert len(told) == 10
    assert str(told[-1].message).endswith("poor audio after this is answered without a warning")


def test_poor_audio_is_refused_if_that_is_asked_for(quiet: np.ndarray, noise: np.ndarray) -> None:
    with edge_ser.load(threads=1, on_poor="refuse") as ser:
        assert ser(noise, RATE).sound is not None
        for one in (ser, pickle.loads(pickle.dumps(ser))):
            with pytest.raises(AudioError, match=r"samples: expected a recording .* too quiet"):
                one(quiet, RATE)


def test_a_channel_is_heard_alone(noise: np.ndarray, ser: edge_ser.Recognizer) -> None:
    other = np.roll(noise, 500)
    with edge_ser.load(threads=1, channel=2) as second:
        heard = second.prepare(np.stack([other, noise], 1), RATE)
    np.testing.assert_array_equal(heard.samples, ser.prepare(noise, RATE).samples)


def test_a_manifest_may_say_its_own_limits(
    tiny_bundle: Callable[..., Path], quiet: np.ndarray
) -> None:
    limits = SoundLimits(quiet_dbfs=-70)
    folder = tiny_bundle(change=lambda m: replace(m, sound=limits))
    assert Bundle.open(folder).manifest.sound == limits
    with edge_ser.load(folder, on_poor="refuse") as ser:
        assert ser(quiet, RATE).sound is not None
    text = Bundle.open(tiny_bundle("usual")).manifest.to_json()
    assert "sound" not in json.loads(text), "as earlier versions know no such field"
    assert Manifest.from_json(text, "m").sound is None


def test_the_command_says_and_refuses(
    quiet: np.ndarray, noise: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge_ser.cli import main

    path = tmp_path / "two.wav"
    soundfile.write(path, np.stack([quiet, noise], 1), RATE, subtype="FLOAT")

    def predict(*options: str) -> tuple[int, str, str]:
        code = main(["predict", "--threads", "1", "--format", "csv", *options, str(path)])
        out, err = capsys.readouterr()
        return code, out, err

    code, out, err = predict("--channel", "right")
    assert (code, err) == (0, "")
    header, row = (line.split(",") for line in out.splitlines())
    cells = dict(zip(header, row, strict=True))
    assert float(cells["level_dbfs"]) == pytest.approx(-20, abs=0.1) and cells["quality"] == ""
    code, out, err = predict("--channel", "1")
    assert code == 0 and "too quiet: -60 dBFS" in out
    assert err.startswith(f"edge-ser: warning: {path} is poor audio")
    code, out, err = predict("--channel", "left", "--on-poor", "refuse")
    assert code == 2 and "expected a recording that the model can judge" in err
    code, out, err = predict("--channel", "3")
    assert code == 2 and "expected channel 3, found 2 of them, from 1 on" in err
    code, out, err = predict("--channel", "centre")
    assert code == 2 and "channel: expected mean, left, right or a number" in err


def test_noise_and_tones_are_not_answered_without_a_word() -> None:
    noise = make_noise(3, RATE)
    tone = (0.1 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)).astype(np.float32)
    with edge_ser.load(threads=1) as ser:
        for samples in (noise, tone):
            with pytest.warns(PoorAudioWarning, match="hardly any speech: 0% of the time"):
                emotion = ser(samples, RATE)
            assert emotion.sound is not None and emotion.sound.speech_share == 0
    with edge_ser.load(threads=1, on_poor="refuse") as ser:
        for samples in (noise, tone):
            with pytest.raises(AudioError, match="hardly any speech"):
                ser(samples, RATE)
    with edge_ser.load(threads=1, min_speech=0) as ser, warnings.catch_warnings():
        warnings.simplefilter("error")
        ser(noise, RATE)


def test_a_manifest_may_say_how_much_speech(
    noise: np.ndarray, bundle_dir: Path, edit_manifest: Callable[..., None]
) -> None:
    edit_manifest(bundle_dir, lambda data: data.update(sound={"min_speech": 0.9}))
    with (
        edge_ser.load(bundle_dir, threads=1, on_poor="refuse") as ser,
        pytest.raises(AudioError, match=r"hardly any speech: 7\d% of the time, of at least 90"),
    ):
        ser(noise, RATE)
    edit_manifest(bundle_dir, lambda data: data.update(sound={"min_speech": 1.5}))
    with pytest.raises(BundleError, match=r"sound: min_speech: expected a share, 0 to 1, found 1"):
        edge_ser.load(bundle_dir)
