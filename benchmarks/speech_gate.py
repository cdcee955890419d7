"""Speech or not: the gate by energy beside Silero VAD, a recurrent network, and what each takes.

    pip download --no-deps silero-vad==6.2.3 && unzip silero_vad-*.whl -d FOLDER/silero
    python benchmarks/real_speech.py FOLDER      # fetches recorded speech there
    python benchmarks/speech_gate.py FOLDER

Silero's frames of 32 ms run as one batch (`silero_vad_16k_sequence.onnx`), one thread; a frame is
speech from a probability of 0.5 on. Writes `results/speech-gate.md`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import machine_line
from numpy.typing import NDArray

import edge_ser
from edge_ser.audio.files import decode_file
from edge_ser.audio.sound import SoundLimits
from edge_ser.audio.speech import speech_share
from edge_ser.data import sample_utterances
from edge_ser.host.offline import import_onnxruntime

RATE, SECONDS = 16_000, 5
RESULT = Path(__file__).parent / "results" / "speech-gate.md"
ROOT = Path(__file__).parents[1]
Samples = NDArray[np.float32]
Gate = Callable[[Samples], float]


def open_silero(path: Path) -> Gate:
    """Share of speech as the network sees it."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    state = np.zeros((1, 1, 128), np.float32)

    def share(samples: Samples) -> float:
        count = -(-samples.size // 512)
        frames = np.zeros((count, 512), np.float32)
        frames.reshape(-1)[: samples.size] = samples
        before = np.zeros((count, 64), np.float32)
        before[1:] = frames[:-1, -64:]
        inputs = {"input": np.concatenate([before, frames], 1), "h": state, "c": state}
        return float(np.mean(session.run(["speech_probs"], inputs)[0] > 0.5))

    return share


def no_speech() -> dict[str, Samples]:
    """Sounds of five seconds that nobody says."""
    rng, t = np.random.default_rng(0), np.arange(SECONDS * RATE) / RATE
    white = rng.standard_normal(t.size)
    spectrum, hertz = np.fft.rfft(white), np.maximum(np.fft.rfftfreq(t.size, 1 / RATE), 20)
    pink, brown = np.fft.irfft(spectrum / np.sqrt(hertz)), np.fft.irfft(spectrum / hertz)

    def tone(f: float | NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sin(2 * np.pi * f * t)

    notes = np.array([262, 294, 330, 349, 392, 440])[(3 * t).astype(int) % 6]
    sounds = {
        "white noise": 0.1 * white,
        "faint white noise": 0.003 * white,
        "pink noise": 0.1 * pink / pink.std(),
        "brown noise": 0.1 * brown / brown.std(),
        "440 Hz": 0.1 * tone(440),
        "chord": 0.1 * (tone(262) + tone(330) + tone(392)),
        "hum of 50 Hz": 0.1 * sum(tone(50.0 * k) / k for k in range(1, 8)),
        "one flickering bit": (rng.random(t.size) < 0.01) / 32768,
        "clicks": 0.5 * (rng.random(t.size) < 0.0005),
        "typing": 0.2 * white * np.exp(-60 * (5 * t % 1)),
        "siren": 0.1 * np.sin(2 * np.pi * (600 * t - 50 * np.cos(2 * np.pi * t))),
        "telephone ringing": 0.1 * tone(450) * (t % 4 < 1),
        "beeps": 0.1 * tone(440) * (t % 1 < 0.4),
        "dialling": 0.1 * (tone(770) + tone(1336)) * (t % 0.2 < 0.1),
        "melody": 0.1 * tone(notes) * np.exp(-3 * (3 * t % 1)),
        "noise in the rhythm of speech": 0.1 * white * (1 + tone(4)),
    }
    return {name: np.asarray(x, np.float32) for name, x in sounds.items()}


def human_windows(folder: Path, seconds: float) -> list[Samples]:
    """Recorded speech cut to pieces; files of silence and of beeps are left out."""
    size, windows = round(seconds * RATE), []
    for path in sorted((folder / "speech").rglob("*.wav")):
        words = ("silence", "beep", "tone", "confbridge", "monkeys")
        if any(word in str(path) for word in words):
            continue
        samples = decode_file(path, RATE)
        windows += [samples[i : i + size] for i in range(0, samples.size - size + 1, size)]
    return [w for w in windows if w.any()]


def milliseconds(call: Callable[[], object]) -> float:
    """Median of a hundred calls."""
    times = []
    for _ in range(100):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with silero/ and speech/")
    folder = parser.parse_args().folder
    (model,) = folder.rglob("silero_vad_16k_sequence.onnx")
    silero = open_silero(model)

    def energy(samples: Samples) -> float:
        return speech_share(samples, RATE)

    limit = SoundLimits().min_speech
    lines = [
        "# Speech or not",
        "",
        "`python benchmarks/speech_gate.py FOLDER`: share of the time that is speech, by energy "
        "(`edge_ser/audio/speech.py`) and by Silero VAD 6.2.3 (MIT). Below "
        f"{limit:.0%} a recording of a second or more is called hardly any speech.",
        "",
        "| speech | pieces | by energy: least | 1 % | median | below the limit | by Silero: least "
        "| 1 % | median | below |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    clips = ROOT / "export" / "edge_ser_export_data" / "calibration"
    synthetic = [decode_file(p, RATE) for p in (*sample_utterances(), *clips.glob("*.flac"))]
    rows = {"synthetic clips, whole": synthetic}
    rows |= {f"recorded, {s:g} s": human_windows(folder, s) for s in (1, 2, 5)}
    for name, windows in rows.items():
        cells = [name, str(len(windows))]
        for gate in (energy, silero):
            shares = np.array([gate(window) for window in windows])
            cells += [f"{np.percentile(shares, p):.2f}" for p in (0, 1, 50)]
            cells.append(f"{np.mean(shares < limit):.1%}")
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"| no speech, {SECONDS} s | by energy | by Silero |", "|---|---|---|"]
    for name, samples in no_speech().items():
        lines.append(f"| {name} | {energy(samples):.2f} | {silero(samples):.2f} |")
    ser = edge_ser.load(threads=1, min_speech=0)
    speech = np.tile(synthetic[0], 3)[: SECONDS * RATE]
    took = [milliseconds(call) for call in (
        lambda: ser(speech, RATE), lambda: energy(speech), lambda: silero(speech)
    )]  # fmt: skip
    lines += [
        "",
        f"Time for {SECONDS} s, one thread, {machine_line()}: default model {took[0]:.2f} ms, "
        f"energy {took[1]:.3f} ms ({took[1] / took[0]:.1%}), Silero {took[2]:.2f} ms "
        f"({took[2] / took[0]:.0%}). File: energy none, Silero "
        f"{model.stat().st_size / 1e6:.2f} MB.",
        "",
        "So the gate by energy is what every answer has. It tells noise, hum, tones and silence, "
        "and takes what comes and goes - beeps, music, a ringing telephone - for speech, which "
        "Silero does not; Silero takes some of the synthetic speech that the default model was "
        "trained on for none, and more time than that model.",
    ]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
