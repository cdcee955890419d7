"""What several benchmarks share: random checkpoints of real size, children with memory, results.

Random weights serve where neither numerics nor time depend on what a model has learnt.
"""

from __future__ import annotations

import os
import pickle
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SIZES: dict[str, dict[str, Any]] = {
    "wavlm-base": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "feat_extract_norm": "group",
        "do_stable_layer_norm": False,
    },
    "wavlm-large": {},
}


def write_run(size: str, folder: Path) -> None:
    """Write a run directory of EmoSphere-SER's training code with random weights.

    Args:
        size: a key of `SIZES`.
        folder: is made.
    """
    import torch

    from edge_ser_export.models.config import EncoderConfig, ModelConfig
    from edge_ser_export.models.joint import JointModel

    torch.manual_seed(0)
    encoder = EncoderConfig(**SIZES[size])
    width = encoder.hidden_size
    model = JointModel(ModelConfig(encoder=encoder, pooling_dim=width, head_dim=width))
    with torch.no_grad():  # a fresh WavLM has no position bias to get wrong: give it one
        for name, parameter in model.named_parameters():
            if "gru_rel_pos_const" in name:
                parameter.normal_(1.0, 0.3)
            elif "rel_attn_embed" in name:
                parameter.normal_()
    parts = {
        "ssl": model.encoder.model,
        "pool": model.pooling,
        "dim_ser": model.vad_head,
        "sev_ser": model.region_head,
    }
    folder.mkdir()
    for part, module in parts.items():
        torch.save(module.state_dict(), folder / f"best_{part}.pt")
    # published statistics of MSP-Podcast (challenge baseline)
    statistics = (-8.278621631819787e-05, 0.08485510250851999)
    (folder / "train_norm_stat.pkl").write_bytes(pickle.dumps(statistics))


def checkpoint(size: str, work: Path) -> str:
    """Name or path of a model to export: the default, or random weights written once into `work`.

    They are written in a process of its own, so that its memory is not counted.
    """
    if size == "default":
        return "spectral"
    folder = work / size
    if not folder.exists():
        subprocess.run([sys.executable, str(HERE / "common.py"), size, str(folder)], check=True)
    return str(folder)


@dataclass(frozen=True)
class Child:
    """A command that has ended.

    Attributes:
        status: its exit code.
        output: what it printed on stdout.
        seconds: wall time.
        peak_rss_bytes: the operating system's figure.
    """

    status: int
    output: str
    seconds: float
    peak_rss_bytes: int


def run_child(command: Sequence[str]) -> Child:
    """Run a command, and ask the operating system how much memory it took."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        output = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    return Child(process.returncode, output, seconds, usage.ru_maxrss * 1024)


def machine_line() -> str:
    """The machine in a few words, without its name."""
    cores = f"{os.cpu_count()} cores"
    return f"{platform.machine()}, {cores}, Python {platform.python_version()}"


if __name__ == "__main__":
    write_run(sys.argv[1], Path(sys.argv[2]))
