"""The pickled mean and deviation of a training corpus, which no unpickler reads."""

import pickle
from collections.abc import Iterable

import numpy as np

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.pickled_numbers import NotNumbersError, read_pair


def seeds() -> Iterable[bytes]:
    pair = (-8.28e-05, 0.0848)
    arrays = [np.array(pair), np.array(pair, np.float32), tuple(np.float32(n) for n in pair)]
    for content in (pair, list(pair), (1, 2), *arrays, [np.array([n]) for n in pair]):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            yield pickle.dumps(content, protocol)


def attempt(data: bytes) -> bool:
    try:
        mean, std = read_pair(data)
    except NotNumbersError as error:  # which its caller turns into this
        raise CheckpointError("pickle", expected="two numbers", found=str(error)) from error
    assert type(mean) is float and type(std) is float
    return True
