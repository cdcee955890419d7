"""Label tables, as trainings, calibrations and evaluations read them."""

from collections.abc import Iterable

import numpy as np

from edge_ser.label_table import read_labels
from fuzz.small_bundle import new_folder

_HEADER = b"FileName,EmoAct,EmoVal,EmoDom,Split_Set\n"


def seeds() -> Iterable[bytes]:
    yield _HEADER + b"a.wav,1,7,3.5,Train\nb.wav,,,,Test1\n"
    yield b"\xef\xbb\xbf" + _HEADER + b'"a,""b.wav",4,4,4,Development\r\n"c\nd.wav",1,2,3,Train\r\n'
    yield _HEADER
    yield _HEADER + b"a.wav,nan,inf,1e999,Train\n"
    yield b"EmoAct,FileName\n\0,\n"


_FOLDER = new_folder()


def attempt(data: bytes) -> bool:
    path = _FOLDER / "labels.csv"
    path.write_bytes(data)
    table = read_labels(path)
    assert table.scores.shape == (len(table.files), 3) and table.files
    assert np.nanmin([1, *table.scores.ravel()]) >= 1 and np.nanmax([7, *table.scores.ravel()]) <= 7
    for split in set(table.splits):
        table.rows(split)
    return True
