"""Optimisation profiles: for which batches and lengths an engine is made."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edge_ser.audio import Preprocessing
from edge_ser.bundle.engine import Profile
from edge_ser.errors import UsageError

_PART = re.compile(r"(\d+)x(\d+(?:\.\d+)?)s")
# More take 6 GB of activations even with the default model, and overflow the builder's own count.
_MOST_ROWS = 1024
# Several rows share a run in servers; devices answer one utterance at a time.
_DEFAULT_BATCH, _DEFAULT_SECONDS = 8, 3.0
# Of the longest recorded answer, which the export makes and by which a device proves its engine.
GOLDEN_SECONDS = 2.0
_FORM = "--profile MIN:OPT:MAX, each batch x seconds, such as 1x0.5s:1x3s:8x12s"


def default_profile(preprocessing: Preprocessing) -> Profile:
    """All lengths that the model answers, up to eight rows, fastest for one of three seconds."""
    low, high = preprocessing.min_samples, preprocessing.max_samples
    common = min(max(low, int(_DEFAULT_SECONDS * preprocessing.sample_rate)), high)
    return Profile((1, 1, _DEFAULT_BATCH), (low, common, high))


def parse_profile(text: str, preprocessing: Preprocessing) -> Profile:
    """Read a profile in batch x seconds.

    Args:
        text: such as `1x0.5s:1x3s:8x12s`; a single part stands for all three.
        preprocessing: of the model, whose range of lengths it must keep to. A least length below
            the model's shortest becomes that.

    Raises:
        UsageError: not of that form, not in ascending order, too many rows, or longer than the
            model's longest.
    """
    parts = text.strip().lower().split(":")
    matches = [_PART.fullmatch(p) for p in parts]
    if len(parts) not in (1, 3) or None in matches:
        raise UsageError("--profile", expected=_FORM.removeprefix("--profile "), found=text)
    pairs = [(int(m[1]), round(float(m[2]) * preprocessing.sample_rate)) for m in matches if m]
    pairs = pairs * 3 if len(pairs) == 1 else pairs
    pairs = [(b, max(n, preprocessing.min_samples)) for b, n in pairs]
    batch, samples = zip(*pairs, strict=True)
    for values, what in ((batch, "batch"), (samples, "seconds")):
        if list(values) != sorted(values) or values[0] < 1:
            raise UsageError("--profile", expected=f"{what} of at least 1 sample and row, "
                             "in ascending order", found=text)  # fmt: skip
    if batch[2] > _MOST_ROWS:
        raise UsageError(
            "--profile",
            expected=f"at most {_MOST_ROWS} rows",
            found=text,
            advice="activations take memory for the largest batch, whatever runs",
        )
    if samples[2] > preprocessing.max_samples:
        raise UsageError(
            "--profile",
            expected=f"at most {preprocessing.max_seconds:g} s, the model's longest utterance",
            found=text,
            advice="raise --max-seconds too",
        )
    return Profile((batch[0], batch[1], batch[2]), (samples[0], samples[1], samples[2]))


def read_profiles(texts: Sequence[str], preprocessing: Preprocessing) -> tuple[Profile, ...]:
    """All profiles of an engine; the default one if none is given.

    Raises:
        UsageError: see `parse_profile`; none takes the longest recorded answer.
    """
    if not texts:
        return (default_profile(preprocessing),)
    profiles = tuple(parse_profile(t, preprocessing) for t in texts)
    golden = min(round(GOLDEN_SECONDS * preprocessing.sample_rate), preprocessing.max_samples)
    if all(p.samples[2] < golden for p in profiles):
        raise UsageError(
            "--profile",
            expected=f"a largest length of at least {golden / preprocessing.sample_rate:g} s, "
            "that of the recorded answers which prove the engine",
            found=", ".join(texts),
        )
    return profiles
