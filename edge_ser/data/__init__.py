"""Files inside the package: the default bundle and sample utterances."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).parent

# The spectral joint model, trained on synthetic prosody: to try the pipeline with.
DEFAULT_BUNDLE = _ROOT / "default"


def sample_utterances() -> list[Path]:
    """Speech to try the default model on; synthetic, see the model card."""
    return sorted((_ROOT / "samples").glob("*.flac"))
