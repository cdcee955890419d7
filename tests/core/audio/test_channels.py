"""A file of a few kilobytes does not become hundreds of megabytes by its number of channels."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

import edge_ser
from edge_ser.errors import AudioError


@pytest.mark.parametrize("kind", ["WAV", "OGG"])
@pytest.mark.parametrize("as_stream", [False, True])
def test_more_channels_than_recordings_have_are_refused(
    kind: str, as_stream: bool, ser: edge_ser.Recognizer, tmp_path: Path
) -> None:
    path = tmp_path / f"many.{kind.lower()}"
    soundfile.write(path, np.full((16_000, 255), 0.1, np.float32), 16_000, format=kind)
    source = io.BytesIO(path.read_bytes()) if as_stream else path
    with pytest.raises(AudioError, match="expected at most 64 channels, found 255"):
        ser(source)
