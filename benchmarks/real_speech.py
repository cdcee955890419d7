"""The main job on recorded human speech, which this repository does not hold.

    python benchmarks/real_speech.py FOLDER

Fetches two Debian packages of recorded speech into FOLDER with `apt-get download` (telephone
prompts by one speaker, CC-BY-SA 3.0; read sentences and digits of pocketsphinx's tests, BSD),
predicts every file with the default bundle, and repeats the parity gate on them for the default
and the tiny WavLM model. There are no emotion labels: this shows that the pipeline holds on real
recordings and what range of answers it gives, not that the answers are right. Writes
`results/real-speech.md`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from edge_ser.host.child import module_command

PACKAGES = ("asterisk-core-sounds-en-wav", "pocketsphinx-testdata")
RESULT = Path(__file__).parent / "results" / "real-speech.md"


def fetch(folder: Path) -> Path:
    """Unpacked speech; downloaded once."""
    audio = folder / "speech"
    if not audio.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", *PACKAGES], cwd=folder, check=True)
        for package in sorted(folder.glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(audio)], check=True)
    return audio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="for the packages and their audio")
    audio = fetch(parser.parse_args().folder)

    started = time.perf_counter()
    done = subprocess.run(
        module_command("edge_ser", "predict", str(audio), "--json"),
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    refused = [line for line in done.stderr.splitlines() if "error:" in line]
    if not rows:
        sys.exit(f"nothing was predicted: {done.stderr}")
    length = sum(r["seconds"] for r in rows)
    lines = [
        "# Recorded human speech",
        "",
        f"`python benchmarks/real_speech.py FOLDER`: {len(rows)} files of "
        f"{' and '.join(PACKAGES)}, {length / 60:.1f} minutes, predicted in {seconds:.1f} s with "
        f"the default bundle; {len(refused)} refused.",
        "",
        "No emotion labels exist for them. The default model was trained on synthetic prosody: its "
        "absolute values on human speech are uncalibrated.",
        "",
        "| dimension | mean | 5 % | 95 % |",
        "|---|---|---|---|",
    ]
    for name in ("arousal", "dominance", "valence"):
        values = np.array([r[name] for r in rows])
        low, high = np.percentile(values, [5, 95])
        lines.append(f"| {name} | {values.mean():.2f} | {low:.2f} | {high:.2f} |")
    regions = Counter(f"{r['region']['name']} {r['region']['temperament']}" for r in rows)
    shares = ", ".join(f"{k} {100 * n / len(rows):.0f} %" for k, n in regions.most_common())
    lines += ["", f"Regions: {shares}.", "", "Refused:" if refused else "", ""]
    lines += [f"- `{Path(r.split('error: ')[1].split(':')[0]).name}`: "
              f"{r.split(': ', 3)[-1]}" for r in refused[:10]]  # fmt: skip
    for name in ("spectral", "wavlm-tiny"):
        bundle = audio.parent / f"{name}-bundle"
        out = subprocess.run(
            module_command(
                *("edge_ser", "-v", "export", name, "-o", str(bundle), "--parity-audio", str(audio))
            ),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        lines += ["", f"Parity of `{name}` on this speech:", "", "```", out.rstrip(), "```"]
    RESULT.write_text("\n".join(lines).replace(f"{audio.parent}/", "") + "\n")
    print(RESULT.read_text())


if __name__ == "__main__":
    main()
