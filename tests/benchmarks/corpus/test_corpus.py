"""The synthetic corpus: reproducible, honestly split, and acoustically what the rules say."""

import csv
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpus import samples as demo
from corpus.corpus import (
    COLUMNS,
    MAX_SECONDS,
    PEAK_RANGE,
    Sizes,
    write_corpus,
    write_flac,
)
from corpus.effects import SAMPLE_RATE, Samples, apply_channel, apply_quality
from corpus.emotion import OCTANTS, Emotion, draw_emotion, rate_emotion
from corpus.espeak import Espeak
from corpus.texts import HELD_OUT, TRAIN
from corpus.voices import Habits, Quality, deliver, draw_speaker
from corpus.world import PseudoSpeaker, analyse, express, require_flite, speak
from helpers import recorded_flite
from helpers.recorded_flite import SENTENCE as TEXT
from make_corpus import main

SPLITS = ("Train", "Development", "Test1", "Test2")

Row = dict[str, str]
Render = Callable[[Emotion], Samples]


@pytest.fixture(scope="module", autouse=True)
def flite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The real program where it is installed; a recording of it elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        if recorded_flite.installed_flite() is None:
            folder = tmp_path_factory.mktemp("flite")
            recorded_flite.install(folder)
            patch.setenv("PATH", str(folder), prepend=os.pathsep)
        yield


def read_rows(directory: Path) -> list[Row]:
    with (directory / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus with several speakers in each espeak-ng part and several sentences in each other."""
    out = tmp_path_factory.mktemp("made") / "corpus"
    write_corpus(out, Sizes(train=24, dev=12, test=12, flite_train=18, flite_test=4), workers=1)
    return out


# Reproducibility


def test_clips_depend_on_neither_workers_nor_size(tmp_path: Path, corpus: Path) -> None:
    sizes = Sizes(train=4, dev=2, test=2, flite_train=2, flite_test=2)
    write_corpus(tmp_path / "one", sizes, workers=1)
    write_corpus(tmp_path / "two", sizes, workers=2)
    labels = (tmp_path / "one" / "labels.csv").read_bytes()
    assert labels == (tmp_path / "two" / "labels.csv").read_bytes()
    larger = {row["FileName"]: row for row in read_rows(corpus)}
    rows = read_rows(tmp_path / "one")
    assert len(rows) == 12
    for row in rows:
        assert row == larger[row["FileName"]]
        audio = [root / "audio" / row["FileName"] for root in (tmp_path / "one", corpus)]
        assert audio[0].read_bytes() == audio[1].read_bytes()
        assert audio[0].read_bytes() == (tmp_path / "two" / "audio" / audio[0].name).read_bytes()


def test_another_seed_gives_other_clips(tmp_path: Path, corpus: Path) -> None:
    write_corpus(tmp_path / "out", Sizes(2, 0, 0, 0, 0), seed=8, workers=1)
    assert read_rows(tmp_path / "out") != read_rows(corpus)[:2]


def test_espeak_instances_do_not_influence_each_other() -> None:
    voice = "language en-gb\nname test\nflutter 5\nklatt 3\n"
    with Espeak() as espeak:
        first = espeak.say(TEXT, voice)
        second = espeak.say(TEXT, voice)
    with Espeak() as espeak:
        np.testing.assert_array_equal(espeak.say(TEXT, voice), first)
    assert len(first) != len(second) or (first != second).any(), "private copies are needless now"


@pytest.mark.parametrize("voice", recorded_flite.VOICES)
def test_recordings_are_what_flite_gives(voice: str) -> None:
    program = recorded_flite.installed_flite()
    if program is None:
        pytest.skip(f"{recorded_flite.VERSION} is not installed")
    recorded, rate = soundfile.read(recorded_flite.RECORDINGS / f"{voice}.flac")
    assert rate == SAMPLE_RATE
    np.testing.assert_array_equal(speak(program, voice, TEXT), recorded)


def test_the_recorded_program_answers_as_flite_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded_flite.install(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    program = require_flite(recorded_flite.VOICES)
    assert Path(program).parent == tmp_path
    recorded, _ = soundfile.read(recorded_flite.RECORDINGS / "slt.flac")
    np.testing.assert_array_equal(speak(program, "slt", TEXT), recorded)
    with pytest.raises(RuntimeError, match="lacks the voices nobody"):
        require_flite(("nobody",))


# Layout and labels


def test_labels(corpus: Path) -> None:
    rows = read_rows(corpus)
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 70
    counts = {split: sum(row["Split_Set"] == split for row in rows) for split in SPLITS}
    assert counts == {"Train": 42, "Development": 12, "Test1": 12, "Test2": 4}
    for row in rows:
        for column in ("EmoAct", "EmoVal", "EmoDom"):
            assert 1.0 <= float(row[column]) <= 7.0
            assert len(row[column].split(".")[1]) == 4
    assert {row["FileName"] for row in rows} == {p.name for p in (corpus / "audio").iterdir()}
    assert sorted(path.name for path in corpus.iterdir()) == ["audio", "labels.csv"]


def test_audio(corpus: Path) -> None:
    for path in (corpus / "audio").iterdir():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels) == (SAMPLE_RATE, 1)
        assert (info.format, info.subtype) == ("FLAC", "PCM_16")
        assert 0.8 <= info.duration <= MAX_SECONDS
        peak = np.abs(soundfile.read(path)[0]).max()
        assert PEAK_RANGE[0] - 1e-3 <= peak <= PEAK_RANGE[1]


def test_splits_share_no_speaker_and_no_text_with_training(corpus: Path) -> None:
    rows = read_rows(corpus)
    speakers = {s: {r["SpkrID"] for r in rows if r["Split_Set"] == s} for s in SPLITS}
    for one, other in itertools.combinations(SPLITS, 2):
        assert not speakers[one] & speakers[other]
    assert len(speakers["Train"]) == 3 + 3
    assert speakers["Test2"] == {"flite_slt"}
    texts = {s: {r["Transcript"][:-1] for r in rows if r["Split_Set"] == s} for s in SPLITS}
    for other in SPLITS[1:]:
        assert not texts["Train"] & texts[other]


def test_lexicons_share_no_content_word() -> None:
    for field in ("nouns", "verbs", "objects", "adverbials", "templates"):
        assert not set(getattr(TRAIN, field)) & set(getattr(HELD_OUT, field))

    def words(phrases: tuple[str, ...]) -> set[str]:
        return {word for phrase in phrases for word in phrase.split() if len(word) > 5}

    assert not words(TRAIN.objects + TRAIN.adverbials) & words(
        HELD_OUT.objects + HELD_OUT.adverbials
    )


def test_raters_bound_agreement_as_documented() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_emotion(rng) for _ in range(4000)]
    truth = np.array([emotion.arousal for emotion in drawn])
    rated = np.array([rate_emotion(emotion, rng).arousal for emotion in drawn])
    covariance = np.cov(truth, rated, bias=True)
    ccc = 2 * covariance[0, 1] / (covariance.trace() + (truth.mean() - rated.mean()) ** 2)
    assert ccc == pytest.approx(0.955, abs=0.01)


# Acoustics, measured on the samples, against what is published


def median_f0_hz(samples: Samples) -> float:
    f0_hz = analyse(samples).f0_hz
    return float(np.median(f0_hz[f0_hz > 0]))


def brightness_db(samples: Samples) -> float:
    """Energy above 1 kHz over energy below, the inverse of Banse and Scherer's spectral slope."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    return float(10 * np.log10(power[(hz > 1000) & (hz < 5000)].sum() / power[hz <= 1000].sum()))


def roughness(samples: Samples) -> float:
    """Share of the envelope's modulation in 30..90 Hz, under the F0 of the voices tested."""
    envelope = np.abs(samples)
    power = np.abs(np.fft.rfft(envelope - envelope.mean())) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    return float(power[(hz > 30) & (hz < 90)].sum() / power[(hz > 1) & (hz < 90)].sum())


def with_espeak(voice: int) -> Render:
    def render(emotion: Emotion) -> Samples:
        rng = np.random.default_rng([voice, 1])
        delivery = deliver(draw_speaker(np.random.default_rng([voice, 0])), emotion, rng)
        with Espeak() as espeak:
            spoken = espeak.say(TEXT + ".", delivery.voice, delivery.rate_wpm, delivery.word_gap)
            count = len(spoken) * SAMPLE_RATE // espeak.sample_rate
        spoken = np.interp(np.linspace(0, len(spoken) - 1, count), np.arange(len(spoken)), spoken)
        return apply_quality(spoken, delivery.quality, rng)

    return render


def with_world(voice: str) -> Render:
    analysis = analyse(speak(require_flite((voice,)), voice, TEXT))
    speaker = PseudoSpeaker(0.0, 1.0, Habits(1.3, 0.0, 0.1, 0.1))
    return lambda emotion: express(analysis, speaker, emotion, np.random.default_rng(0), 0.3)


@pytest.fixture(scope="module", params=["espeak 0", "espeak 1", "espeak 2", "slt", "rms"])
def render(request: pytest.FixtureRequest) -> Render:
    engine, _, number = request.param.partition(" ")
    return with_espeak(int(number)) if number else with_world(engine)


def test_arousal_raises_pitch_and_rate_and_brightens(render: Render) -> None:
    calm, excited = render(Emotion(-0.7, 0.0, 0.0)), render(Emotion(0.7, 0.0, 0.0))
    assert median_f0_hz(excited) > 1.15 * median_f0_hz(calm)
    assert len(excited) < 0.85 * len(calm)
    assert brightness_db(excited) > brightness_db(calm) + 2


def test_dominance_lowers_pitch(render: Render) -> None:
    submissive, dominant = render(Emotion(0.0, 0.0, -0.7)), render(Emotion(0.0, 0.0, 0.7))
    assert median_f0_hz(dominant) < 0.95 * median_f0_hz(submissive)


def test_displeasure_is_rough(render: Render) -> None:
    displeased, pleased = render(Emotion(0.3, -0.8, 0.3)), render(Emotion(0.3, 0.8, 0.3))
    assert roughness(displeased) > 1.5 * roughness(pleased)


@pytest.mark.parametrize("breath, tilt_db", [(0.6, 0.0), (0.0, 3.0)])
def test_breath_and_tilt_brighten(breath: float, tilt_db: float) -> None:
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    harmonics = [np.sin(2 * np.pi * 150 * k * time_s) / k**2 for k in range(1, 40)]
    voice = np.sum(harmonics, axis=0)
    neutral = Quality(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    changed = Quality(tilt_db, 0.0, breath, 0.0, 0.0, 0.0)
    before = brightness_db(apply_quality(voice, neutral, np.random.default_rng(0)))
    assert brightness_db(apply_quality(voice, changed, np.random.default_rng(0))) > before + 3


@pytest.mark.parametrize("seed", range(8))
def test_channel_keeps_length_and_is_finite(seed: int) -> None:
    rng = np.random.default_rng(seed)
    recorded = apply_channel(rng.normal(0.0, 0.1, 12_345), rng)
    assert recorded.shape == (12_345,)
    assert np.isfinite(recorded).all()


# Demonstration clips


def test_samples(tmp_path: Path) -> None:
    demo.write_samples(tmp_path / "samples")
    with (tmp_path / "samples" / "samples.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == demo.COLUMNS
    assert len(rows) == 16
    assert "slt_iv_hostile.flac" in {row["FileName"] for row in rows}
    for row, octant in zip(rows, OCTANTS * 2, strict=True):
        label = [float(row[column]) for column in ("EmoAct", "EmoVal", "EmoDom")]
        assert label == pytest.approx([4 + 1.95 * sign for sign in octant.signs])
        assert soundfile.info(tmp_path / "samples" / row["FileName"]).duration <= 3.2
    assert sum(path.stat().st_size for path in (tmp_path / "samples").iterdir()) <= 1_100_000


# Wrong use


def test_existing_directory_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("mine")
    with pytest.raises(FileExistsError, match="name a new directory"):
        write_corpus(tmp_path, Sizes(1, 0, 0, 0, 0))
    with pytest.raises(FileExistsError, match="name a new directory"):
        demo.write_samples(tmp_path)
    assert (tmp_path / "labels.csv").read_text() == "mine"


def test_missing_flite_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["--train=0", "--dev=0", "--test=0", str(tmp_path / "out")]) == 2
    assert "Debian's package `flite`" in capsys.readouterr().err
    assert main(["--samples", str(tmp_path / "out")]) == 2
    assert list(tmp_path.iterdir()) == []


def test_missing_espeak_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(RuntimeError, match=r"edge-ser\[synth\]"):
        write_corpus(tmp_path / "out", Sizes(1, 0, 0, 0, 0))
    assert list(tmp_path.iterdir()) == []


def test_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no more words")

    monkeypatch.setattr("corpus.corpus.draw_sentence", fail)
    with pytest.raises(RuntimeError, match="no more words"):
        write_corpus(tmp_path / "out", Sizes(1, 0, 0, 0, 0), workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--train=-1"], "train: expected 0 or more, found -1"),
        (["--workers=0"], "workers: expected 1 or more, found 0"),
        (["--seed=-3"], "seed: expected 0 or more, found -3"),
    ],
)
def test_wrong_numbers_exit_with_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_emotion_outside_the_cube_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dominance must lie in \[-1, 1\], found 1.5"):
        Emotion(0.0, 0.0, 1.5)


def test_another_espeak_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus.espeak.ESPEAK_VERSION", "9.9")
    with pytest.raises(RuntimeError, match=r"expected espeak-ng 9\.9, found 1\.52\.0"):
        Espeak()


def test_silence_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="expected sound"):
        write_flac(tmp_path / "clip.flac", np.zeros(100), peak=0.5)
    assert list(tmp_path.iterdir()) == []
