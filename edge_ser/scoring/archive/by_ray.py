"""Parts through Ray Data: a worker per core, each with a model of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from edge_ser.errors import ArchiveError
from edge_ser.libraries import import_library
from edge_ser.scoring.archive.parts import Part
from edge_ser.scoring.archive.scorer import Scorer
from edge_ser.scoring.archive.work import Metrics, PartWorker

# Parts that a worker has beside the one that it answers.
_WAITING = 1
# For figures alone: recordings do not go through it.
_STORE_BYTES = 128 << 20


def import_ray(module: str = "ray") -> Any:
    """Ray, which then tells its makers nothing of its use.

    Raises:
        MissingExtraError: it is not installed.
        LibraryError: it is, and does not load.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    return import_library(module, "engine ray", "ray")


def answered_by_ray(
    parts: Sequence[Part], scorer: Scorer, out: str, workers: int
) -> Iterator[Metrics]:
    """The metrics of each part, as they are completed.

    Ray gives a worker its next part when it has answered one, so that nothing piles up; what is
    between the machines are names of files and figures. The part of a worker that was ended goes
    to the one that takes its place.

    Args:
        parts: to be answered.
        scorer: that answers.
        out: folder of the answers.
        workers: at once.

    Raises:
        BundleError, DeviceError: the model cannot be run.
        OSError: the answers cannot be written.
        ArchiveError: Ray gave up.
    """
    ray = import_ray()
    data = import_ray("ray.data")
    with _cluster(ray, workers), _quiet(data):
        rows = [{"part": part.to_json()} for part in parts]
        dataset = data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            PartWorker,
            fn_constructor_args=(scorer, out),
            batch_size=1,
            compute=data.ActorPoolStrategy(
                size=min(workers, len(parts)), max_tasks_in_flight_per_actor=1 + _WAITING
            ),
            num_cpus=1,
        )
        try:
            for row in dataset.iter_rows():
                failure = row.pop("failure")
                if failure:
                    raise pickle.loads(failure)  # of a worker of ours
                yield Metrics(**row)
        except ray.exceptions.RayError as error:
            raise ArchiveError(
                "Ray",
                expected="workers that answer every part",
                found=_first_line(error),
                advice="run it again: what is answered is kept",
            ) from error


@contextlib.contextmanager
def _cluster(ray: Any, workers: int) -> Iterator[None]:
    """Ray as it runs already, or at RAY_ADDRESS, or for this block on this machine."""
    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if os.environ.get("RAY_ADDRESS"):
            ray.init(**quiet)
        else:
            ray.init(
                address="local", num_cpus=workers, include_dashboard=False,
                object_store_memory=_STORE_BYTES, **quiet,
            )  # fmt: skip
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ArchiveError(
            "Ray", expected="a cluster that starts or answers", found=_first_line(error)
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _quiet(data: Any) -> Iterator[None]:
    """Without Ray's own bars and plans on stderr."""
    context = data.DataContext.get_current()
    bars, context.enable_progress_bars = context.enable_progress_bars, False
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = bars
        logger.setLevel(level)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
