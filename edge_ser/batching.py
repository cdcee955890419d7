"""Many utterances through a model: in batches of like length, and one bad one stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from edge_ser.errors import EdgeSerError, UsageError
from edge_ser.utterance import Utterance

T = TypeVar("T")

# Utterances prepared ahead and sorted by length, so that a batch holds little padding.
_WINDOW = 64


def in_batches(
    count: int,
    prepared: Callable[[int], Utterance],
    run: Callable[[list[Utterance]], Sequence[T]],
    batch_size: int,
) -> Iterator[tuple[int, T | EdgeSerError]]:
    """Run what `prepared` makes of the positions below `count`.

    Args:
        count: utterances.
        prepared: the utterance at a position.
        run: answers a batch, one of it for each utterance.
        batch_size: most utterances of a batch.

    Yields:
        (position, its answer or its error), not in order.

    Raises:
        UsageError: `batch_size` is below 1.
    """
    check_batch_size(batch_size)
    for start in range(0, count, _WINDOW):
        ready: list[tuple[int, Utterance]] = []
        for index in range(start, min(start + _WINDOW, count)):
            try:
                ready.append((index, prepared(index)))
            except EdgeSerError as error:
                yield index, error
        ready.sort(key=lambda item: item[1].samples.size)
        for first in range(0, len(ready), batch_size):
            yield from _answered(ready[first : first + batch_size], run)


def check_batch_size(batch_size: int) -> None:
    """Refuse batches of nothing.

    Raises:
        UsageError: `batch_size` is below 1.
    """
    if batch_size < 1:
        raise UsageError("batch size", expected="at least 1", found=str(batch_size))


def _answered(
    part: list[tuple[int, Utterance]], run: Callable[[list[Utterance]], Sequence[T]]
) -> Iterator[tuple[int, T | EdgeSerError]]:
    """One batch; where the model refuses it, row by row, so that one row is not all of them."""
    try:
        answers = run([utterance for _, utterance in part])
    except EdgeSerError as error:
        if len(part) == 1:
            yield part[0][0], error
        else:
            for row in part:
                yield from _answered([row], run)
        return
    yield from zip((index for index, _ in part), answers, strict=True)
