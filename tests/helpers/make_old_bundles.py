"""Make `tests/data/bundles-schema-N`: small bundles as an earlier version of edge-ser wrote them.

    git worktree add ../old COMMIT
    PYTHONPATH=tests python tests/helpers/make_old_bundles.py ../old tests/data/bundles-schema-1

The checkpoints (the smallest models with both heads, random weights) are made by the version that
runs this script; the bundles are written by the command line of the earlier one, with short speech,
so that the recorded answers stay small, and zipped. `tests/cli/test_cli_old_bundles.py` opens them.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import soundfile

from edge_ser_export.builtin import default_calibration_samples
from edge_ser_export.checkpoints.own_format import save_checkpoint
from helpers.tiny_models import encoder_config, half_exact, joint_config, random_joint

INT8 = ["--target", "onnx-int8", "--force", "--cpu", "x86-vnni", "--recipe", "dynamic"]
# target -> encoder, options; of WavLM's many small convolutions none is worth INT8, but its graphs
# are half as large
BUNDLES = {
    "onnx-fp32": ("wavlm-layer", ["--target", "onnx-fp32"]),
    # normalises over time in float64, with a product that ONNX Runtime 1.19 to 1.25 cannot fuse
    "onnx-fp32-group": ("wavlm-group", ["--target", "onnx-fp32"]),
    "onnx-fp16": ("wavlm-layer", ["--target", "onnx-fp16", "--force"]),
    "onnx-int8": ("spectral", INT8),
    "trt-fp16": ("wavlm-layer", ["--target", "trt-fp16", "--device", "orin"]),
    "trt-int8": ("spectral", ["--target", "trt-int8", "--device", "orin"]),
}
SECONDS = 1.25
CLIPS = 8


def write_inputs(folder: Path) -> None:
    """Checkpoints, and short speech for calibration and recorded answers."""
    for name in sorted({encoder for encoder, _ in BUNDLES.values()}):
        encoder = encoder_config(name, num_hidden_layers=1)
        model = random_joint(joint_config(encoder, pooling="mean", head="tanh"))
        half_exact(model)
        save_checkpoint(model, folder / f"{name}.safetensors")
    for name, count in (("calibration", CLIPS), ("speech", 1)):
        (folder / name).mkdir()
        for clip in sorted(default_calibration_samples().glob("*.flac"))[:count]:
            samples, rate = soundfile.read(clip, dtype="int16")
            soundfile.write(folder / name / clip.name, samples[: int(SECONDS * rate)], rate)


def export(folder: Path, name: str, old: Path) -> Path:
    """Write one bundle with the command line of the version in `old`; returns its folder."""
    encoder, options = BUNDLES[name]
    command = [sys.executable, "-m", "edge_ser", "export", f"{encoder}.safetensors", "-o", name]
    command += [*options, "--max-seconds", str(SECONDS), "--parity-audio", "speech"]
    if not name.startswith("onnx-fp32"):
        command += ["--calibration", "calibration"]
    path = os.pathsep.join(str(old / part) for part in (".", "export", "runtimes"))
    subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, check=True)
    return folder / name


def main() -> None:
    """Write a bundle of every target."""
    old, out = (Path(argument).resolve() for argument in sys.argv[1:])
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        write_inputs(folder)
        for name in BUNDLES:
            bundle = export(folder, name, old)
            with zipfile.ZipFile(out / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                for file in sorted(bundle.iterdir()):
                    archive.write(file, file.name)


if __name__ == "__main__":
    main()
