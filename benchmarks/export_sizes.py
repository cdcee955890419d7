"""Export models of real size with random weights: the same answers? how long? how much memory?

    python benchmarks/export_sizes.py default wavlm-base wavlm-large

Random weights serve, because neither numerics nor time depend on what a model has learnt. Each is
written as a run directory of the EmoSphere-SER training code, then exported by the command line
in a process of its own, whose peak memory is the operating system's figure. Writes
`results/export-sizes.json` and `results/export-sizes.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
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
    """A run directory of the training code with random weights."""
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


def measure(size: str, work: Path) -> dict[str, Any]:
    """Export one size in a child process."""
    source = "spectral"
    if size != "default":
        source = str(work / size)
        # in a process of its own, so that its memory is not counted
        code = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import export_sizes, "
            f"pathlib; export_sizes.write_run({size!r}, pathlib.Path({source!r}))"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
    bundle = work / f"{size}-bundle"
    command = [sys.executable, "-m", "edge_ser", "export", source, "-o", str(bundle)]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        output = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"export of {size} failed")
    print(output)
    parity = json.loads((bundle / "parity.json").read_text())
    path = Path(source)
    weights = sum(f.stat().st_size for f in path.iterdir()) if path.is_dir() else None
    return {
        "size": size,
        "seconds": seconds,
        "peak_rss_bytes": usage.ru_maxrss * 1024,
        "checkpoint_bytes": weights,
        "bundle_bytes": sum(f.stat().st_size for f in bundle.iterdir()),
        "parity": {k: parity[k] for k in ("limits", "passed", "groups")},
    }


def table(results: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| model | runs | VAD max | VAD mean | logits max | angle max | regions changed "
        "| export | peak memory | checkpoint | bundle |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        groups = r["parity"]["groups"].values()
        runs = sum(g["count"] for g in groups)
        mean = sum(g["vad_mean"] * g["count"] for g in groups) / runs
        size = f"{r['checkpoint_bytes'] / 1e6:.0f} MB" if r["checkpoint_bytes"] else "2 MB"
        lines.append(
            f"| {r['size']} | {runs} | {max(g['vad_max'] for g in groups):.1e} | {mean:.1e} "
            f"| {max(g['logits_max'] for g in groups):.1e} "
            f"| {max(g['angle_max_degrees'] for g in groups):.4f}° "
            f"| {sum(g['flips_far'] + g['flips_near'] for g in groups)} "
            f"| {r['seconds']:.0f} s | {r['peak_rss_bytes'] / 1e9:.2f} GB | {size} "
            f"| {r['bundle_bytes'] / 1e6:.1f} MB |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", default=["default", *SIZES], help="what to export")
    sizes = parser.parse_args().sizes
    with tempfile.TemporaryDirectory(prefix="edge-ser-") as folder:
        results = [measure(size, Path(folder)) for size in sizes]
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    RESULTS.mkdir(exist_ok=True)
    record = {"machine": machine, "results": results}
    (RESULTS / "export-sizes.json").write_text(json.dumps(record, indent=1) + "\n")
    text = table(results)
    made = (
        f"`python benchmarks/export_sizes.py {' '.join(sizes)}` on {machine}, float32 to float32."
    )
    (RESULTS / "export-sizes.md").write_text(f"# Exports of real size\n\n{made}\n\n{text}\n")
    print(text)


if __name__ == "__main__":
    main()
