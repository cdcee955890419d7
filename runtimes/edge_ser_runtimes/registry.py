"""Which runtimes there are, and how one is opened."""

from __future__ import annotations

import importlib
from typing import cast

from edge_ser.bundle import Bundle
from edge_ser.errors import UsageError
from edge_ser.session import Session

# name -> (module:class, prefixes of the targets it runs); loaded only when asked for
RUNTIMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "onnx": ("edge_ser_runtimes.ort:OrtSession", ("onnx-",)),
    "openvino": ("edge_ser_runtimes.openvino:OpenVinoSession", ("onnx-",)),
}


def open_session(bundle: Bundle, runtime: str = "auto", threads: int | None = None) -> Session:
    """Open a bundle.

    Args:
        bundle: verified model.
        runtime: a name in `RUNTIMES`, or "auto": the first that runs the bundle's target.
        threads: for the computation; None: the runtime's own choice.

    Raises:
        UsageError: no such runtime, or none for the target.
        MissingExtraError: the runtime's library is not installed.
    """
    if threads is not None and threads < 1:
        raise UsageError("threads", expected="at least 1", found=str(threads))
    target = bundle.manifest.target
    fitting = [n for n, (_, prefixes) in RUNTIMES.items() if target.startswith(prefixes)]
    names = ", ".join(RUNTIMES)
    if runtime == "auto":
        if not fitting:
            raise UsageError(
                bundle.root,
                expected=f"a target that a runtime here can run ({names})",
                found=target,
                advice="upgrade edge-ser",
            )
        runtime = fitting[0]
    elif runtime not in RUNTIMES:
        raise UsageError("runtime", expected=f"auto or one of {names}", found=runtime)
    elif runtime not in fitting:
        raise UsageError("runtime", expected=f"one that runs {target}", found=runtime)
    module, name = RUNTIMES[runtime][0].split(":")
    session = getattr(importlib.import_module(module), name)
    return cast(Session, session(bundle, threads))
