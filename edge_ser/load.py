"""`edge_ser.load`: a bundle as a function from speech to emotion."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from edge_ser.audio import Channel
from edge_ser.audio.hearing import Hearing, OnPoor
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleChangedError
from edge_ser.recognizer import Recognizer
from edge_ser.session import ProviderName, RuntimeName

_TRIES = 5


def load(
    bundle: str | Path | None = None,
    runtime: RuntimeName = "auto",
    threads: int | None = None,
    *,
    provider: ProviderName | None = None,
    cuda_graphs: bool = False,
    channel: Channel = "mean",
    on_poor: OnPoor = "warn",
    min_speech: float | None = None,
    trusted_keys: str | Path | Sequence[str | Path] | None = None,
) -> Recognizer:
    """Load a bundle for use.

    Args:
        bundle: directory or .zip; None: the small default model inside this package.
        runtime: "onnx", "openvino", "trt", or "auto": the best for the bundle's target, which is
            never openvino. Where that one cannot run on this device, another one does, and a
            warning says why.
        threads: for the computation; None: what the variable EDGE_SER_THREADS says, or else as many
            as there are physical cores that this process may use, and its container's quota allows.
        provider: of ONNX Runtime: "cpu" (default), "cuda", "tensorrt" or "rtx".
        cuda_graphs: of TensorRT: replay the work of lengths that come again.
        channel: of recordings with several: "mean" of them, "left", "right", or a number from 1 on.
        on_poor: "warn" of recordings that are too quiet, clipped, interrupted, offset or without
            speech, and answer them, or "refuse" them. The answer's `sound` says it.
        min_speech: share of the time that must be speech, 0..1; None: what the bundle says, which
            is 0.2 where it says nothing.
        trusted_keys: a PEM file of a public key that must have signed the bundle, or several of
            which one must have; None: as the environment says (EDGE_SER_REQUIRE_SIGNATURE,
            EDGE_SER_TRUSTED_KEYS).

    Raises:
        MissingPathError: no such bundle.
        BundleError: incomplete, altered, or of another schema version.
        SignatureError: not signed by a trusted key, or altered since.
        UsageError: no such runtime or provider, no sensible number of threads.
        MissingExtraError: the runtime's library is not installed.
        LibraryError: it is, and does not load.
        DeviceError: this device cannot run it: no GPU, or another than the engine was built for.
    """
    # here, so that whoever imports this package for its types loads neither readers nor runtimes
    from edge_ser.bundle.bundle import Bundle
    from edge_ser.bundle.trust import Trust
    from edge_ser_runtimes import registry

    hearing = Hearing(channel, on_poor, min_speech)
    # absolute, as another process may stand in another folder
    if isinstance(trusted_keys, (str, Path)):
        trusted_keys = (trusted_keys,)
    keys = None if trusted_keys is None else tuple(Path(k).absolute() for k in trusted_keys)
    trust = None if keys is None else Trust.in_keys(keys, "trusted_keys")
    for tries_left in reversed(range(_TRIES)):
        opened = Bundle.open(DEFAULT_BUNDLE if bundle is None else bundle, trust)
        try:
            session = registry.open_session(opened, runtime, threads, provider, cuda_graphs)
            break
        except BundleChangedError:  # another one has taken its place: that one, then
            opened.close()
            if not tries_left:
                raise
    place = None if bundle is None else Path(bundle).absolute()
    return Recognizer(
        opened,
        session,
        partial(_reopen, place, runtime, threads, provider, cuda_graphs, keys),
        hearing,
    )


# The last one of each process. A pool sends the recogniser with every task: it is opened once.
_reopened: dict[int, tuple[tuple[object, ...], Recognizer]] = {}


def _reopen(
    bundle: Path | None,
    runtime: RuntimeName,
    threads: int | None,
    provider: ProviderName | None,
    cuda_graphs: bool,
    keys: tuple[Path, ...] | None,
) -> Recognizer:
    """What `load` gives, of this process."""
    asked = (bundle, runtime, threads, provider, cuda_graphs, keys)
    known, recognizer = _reopened.get(os.getpid(), (None, None))
    if recognizer is None or recognizer.closed or known != asked:
        recognizer = load(
            bundle,
            runtime,
            threads,
            provider=provider,
            cuda_graphs=cuda_graphs,
            trusted_keys=keys,
        )
        _reopened[os.getpid()] = asked, recognizer
    return recognizer
