"""What a report is drawn from: the comparisons of `parity.json` and what `sensitivity.json` tells.

Both were written by another machine, so nothing in them is taken for granted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.bundle import PARITY, SENSITIVITY, Bundle
from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.errors import BundleError

# Longer than any utterance, and than any difference of VAD.
_LARGEST = 1e9

Measures = dict[str, float]


@dataclass(frozen=True)
class Utterance:
    """One comparison.

    Attributes:
        group: that it belongs to.
        name: of the utterance.
        seconds: of audio; None where the exporter did not say.
        extreme: a signal that is hardly speech.
        reference: VAD on 0..1, `[3]`.
        candidate: VAD on 0..1, `[3]`; None if there was no answer, or it was not recorded.
        vad_max: largest difference of VAD; None if there was no answer.
        failure: why there was no answer; empty if there was.
    """

    group: str
    name: str
    seconds: float | None
    extreme: bool
    reference: NDArray[np.float64]
    candidate: NDArray[np.float64] | None
    vad_max: float | None
    failure: str


@dataclass(frozen=True)
class Evidence:
    """The comparison with the reference, as recorded.

    Attributes:
        passed: whether no limit was broken.
        failures: broken limits, in words.
        not_judged: limits that a group was too small for, in words.
        groups: per group its measures by name; those per dimension as `ccc.arousal`.
        labels: agreement with labels: `count`, `before.arousal`, ...; None without labels.
        utterances: the comparisons one by one.
    """

    passed: bool
    failures: tuple[str, ...]
    not_judged: tuple[str, ...]
    groups: dict[str, Measures]
    labels: Measures | None
    utterances: tuple[Utterance, ...]


@dataclass(frozen=True)
class Damage:
    """What lower precision of one part of a model costs.

    Attributes:
        name: of the part.
        vad_p99: 99th percentile of the largest difference of VAD, on 0..1.
        vad_mean: mean difference of VAD, on 0..1.
        flips: changed regions.
        macs: multiplications that it saves.
        kept: precision that the part has in the bundle, such as `int8` or `float32`.
    """

    name: str
    vad_p99: float
    vad_mean: float
    flips: int
    macs: int
    kept: str


def load_evidence(bundle: Bundle) -> Evidence:
    """The comparison that was made when a bundle was exported.

    Raises:
        BundleError: the bundle has none, or it is damaged.
    """
    data = _load(bundle, PARITY)
    if data is None:
        raise BundleError(bundle.root, expected=PARITY, found="none", advice="export again")
    return read_evidence(data, PARITY)


def read_evidence(data: object, source: str) -> Evidence:
    """The content of a `parity.json`.

    Args:
        data: as JSON gives it; those of earlier versions, which say less, are read too.
        source: named in errors.

    Raises:
        BundleError: a field that is missing or wrong.
    """
    top = _table(data, source)
    groups = _table(top.get("groups"), f"{source}: groups")
    labels = top.get("labels")
    return Evidence(
        passed=_flag(top.get("passed"), f"{source}: passed"),
        failures=_words(top.get("failures"), f"{source}: failures"),
        not_judged=_words(top.get("not_judged", []), f"{source}: not_judged"),
        groups={name: measures(g, f"{source}: groups: {name}") for name, g in groups.items()},
        labels=None if labels is None else measures(labels, f"{source}: labels"),
        utterances=tuple(
            _utterance(row, f"{source}: utterances[{i}]")
            for i, row in enumerate(_rows(top.get("utterances"), f"{source}: utterances"))
        ),
    )


def load_damage(bundle: Bundle) -> tuple[Damage, ...]:
    """What a bundle says about lower precision of its parts; nothing if it has no such file.

    Raises:
        BundleError: the file is damaged.
    """
    data = _load(bundle, SENSITIVITY)
    if data is None:
        return ()
    groups = _rows(_table(data, SENSITIVITY).get("groups"), f"{SENSITIVITY}: groups")
    return tuple(_damage(row, f"{SENSITIVITY}: groups[{i}]") for i, row in enumerate(groups))


def measures(data: object, where: str) -> Measures:
    """Numbers by name, those of an inner table as `outer.inner`; what is None is left out.

    Raises:
        BundleError: something else than finite numbers.
    """
    found: Measures = {}
    for name, value in _table(data, where).items():
        if isinstance(value, dict):
            inner = _table(value, f"{where}: {name}")
            found |= {f"{name}.{k}": _number(v, f"{where}: {name}: {k}") for k, v in inner.items()}
        elif value is not None:
            found[name] = _number(value, f"{where}: {name}")
    return found


def _utterance(data: object, where: str) -> Utterance:
    row = _table(data, where)
    numbers = {
        key: None if row.get(key) is None else _size(row[key], f"{where}: {key}")
        for key in ("seconds", "vad_max")
    }
    candidate = row.get("candidate_vad")
    return Utterance(
        group=_string(row.get("group"), f"{where}: group"),
        name=_string(row.get("name"), f"{where}: name"),
        seconds=numbers["seconds"],
        extreme=_flag(row.get("extreme", False), f"{where}: extreme"),
        reference=_vad(row.get("reference_vad"), f"{where}: reference_vad"),
        candidate=None if candidate is None else _vad(candidate, f"{where}: candidate_vad"),
        vad_max=numbers["vad_max"],
        failure=_string(row.get("failure", ""), f"{where}: failure"),
    )


def _damage(data: object, where: str) -> Damage:
    row = _table(data, where)
    numbers = {
        key: _number(row.get(key), f"{where}: {key}")
        for key in ("vad_p99", "vad_mean", "flips", "macs")
    }
    return Damage(
        name=_string(row.get("name"), f"{where}: name"),
        vad_p99=numbers["vad_p99"],
        vad_mean=numbers["vad_mean"],
        flips=int(numbers["flips"]),
        macs=int(numbers["macs"]),
        kept=_string(row.get("kept"), f"{where}: kept"),
    )


# --- typed reading


def _load(bundle: Bundle, name: str) -> object:
    """A JSON file of a bundle; None if its manifest lists no such file."""
    if name not in {f.path for f in bundle.manifest.files}:
        return None

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"the number {constant}")

    try:
        text = (bundle.root / name).read_text(encoding="utf-8")
        data: object = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        _refuse(name, "JSON", error)
    return data if data is not None else _refuse(name, "an object", None)


def _table(value: object, where: str) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _refuse(where, "an object", value)


def _rows(value: object, where: str) -> list[object]:
    return value if isinstance(value, list) else _refuse(where, "a list", value)


def _string(value: object, where: str) -> str:
    return value if isinstance(value, str) else _refuse(where, "text", value)


def _flag(value: object, where: str) -> bool:
    return value if isinstance(value, bool) else _refuse(where, "true or false", value)


def _words(value: object, where: str) -> tuple[str, ...]:
    return tuple(_string(v, f"{where}[{i}]") for i, v in enumerate(_rows(value, where)))


def _number(value: object, where: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            if math.isfinite(number := float(value)):
                return number
        except OverflowError:
            pass
    _refuse(where, "a finite number", value)


def _size(value: object, where: str) -> float:
    """A number that has a place on a log scale, or is 0."""
    number = _number(value, where)
    return number if 0 <= number < _LARGEST else _refuse(where, "a number >= 0", value)


def _vad(value: object, where: str) -> NDArray[np.float64]:
    row = _rows(value, where)
    if len(row) != len(DIMENSIONS):
        _refuse(where, f"{len(DIMENSIONS)} numbers", value)
    return np.array([_number(v, f"{where}[{i}]") for i, v in enumerate(row)])


def _refuse(where: str, expected: str, found: object) -> NoReturn:
    shown = found if isinstance(found, Exception) else f"{found!r:.60}"
    raise BundleError(where, expected=expected, found=str(shown), advice="export again")
