"""What tests of the report share: the content of a parity.json, and a reader of pages."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import numpy as np

from edge_ser.emotion.decode import Outputs
from edge_ser.emotion.sphere import Partition
from edge_ser.fidelity.compare import compare, label_fidelity
from edge_ser.fidelity.limits import Limits
from edge_ser.fidelity.verdict import Verdict
from edge_ser.host.facts import Machine
from edge_ser.report.data import Evidence, read_evidence
from edge_ser.report.device_run import DeviceAnswer, DeviceRun, EngineState

FP32 = Limits(1e-4, 1e-3)
INT8 = Limits(
    0.15, 1.5, ccc=0.995, pearson=0.995, vad_p99=0.05, angle_mean_degrees=2.0, flip_rate=0.01,
    boundary_margin=0.05,
)  # fmt: skip
MACHINE = Machine("Linux", "x86_64", "Test CPU", ("avx2",), 2, "3.12.0")
Vad = tuple[float, float, float]


def document(
    pairs: Sequence[tuple[Vad, Vad]] = (((0.2, 0.3, 0.4), (0.2, 0.3, 0.4)),),
    limits: Limits = FP32,
    group: str = "single",
    labelled: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """A parity.json of one group: (reference, candidate) per utterance, `changes` to the first."""
    sides = [Outputs.of(np.array(side, np.float32), None) for side in zip(*pairs, strict=True)]
    result = compare(*sides, Partition(), limits.margin)
    rows: list[dict[str, Any]] = [
        {
            "group": group,
            "name": f"utterance {i}",
            "seconds": 1.0 + i,
            "extreme": False,
            "vad_max": max(abs(a - b) for a, b in zip(*pair, strict=True)),
            "logits_max": None,
            "reference_vad": list(pair[0]),
            "candidate_vad": list(pair[1]),
        }
        for i, pair in enumerate(pairs)
    ]
    rows[0] |= changes
    labels = None
    if labelled:
        labels = label_fidelity(np.linspace(1, 7, 3 * len(pairs)).reshape(-1, 3), *sides).to_dict()
    judged = Verdict({group: result}, {group: limits})
    return {
        "limits": limits.to_dict(),
        "passed": judged.passed,
        "failures": judged.failures,
        "not_judged": judged.not_judged,
        "judged": {name: limits.to_dict() for name, limits in judged.judged.items()},
        "groups": {group: result.to_dict()},
        "labels": labels,
        "utterances": rows,
    }


def evidence(*arguments: Any, **keywords: Any) -> Evidence:
    return read_evidence(document(*arguments, **keywords), "parity.json")


def device_run(
    group: str, a: Vad, b: Vad, limits: Limits = FP32, engine: EngineState = "none"
) -> DeviceRun:
    """A device that answered `b` to the one recorded utterance, whose reference is `a`."""
    judged = verdict(group, a, b, limits)
    return DeviceRun(
        bundle="tiny", target="onnx-fp32", fingerprint="f" * 64, size_bytes=1_000_000,
        passed=judged.passed, failures=tuple(judged.failures),
        not_judged=tuple(judged.not_judged), judged=judged.judged,
        groups={name: r.to_dict() for name, r in judged.groups.items()},
        answers=(DeviceAnswer("utterance 0", a, b),), runtime="onnx (onnxruntime 1.30.0)",
        engine=engine, machine=MACHINE, date="2031-05-06T07:08:09+00:00",
    )  # fmt: skip


def verdict(group: str, a: Vad, b: Vad, limits: Limits = FP32) -> Verdict:
    """On one utterance of one group."""
    sides = [Outputs.of(np.array([side], np.float32), None) for side in (a, b)]
    return Verdict({group: compare(*sides, Partition())}, {group: limits})


def drawings(page: str) -> dict[str, ET.Element]:
    """The drawings of a page by the first word of their title's id; every one must be sound XML."""
    found = {}
    for part in page.split("<svg")[1:]:
        root = ET.fromstring("<svg" + part.split("</svg>")[0] + "</svg>")
        title = root.find("title")
        if title is not None:
            found[title.get("id", "").removesuffix("-title")] = root
    return found


def marks(drawing: ET.Element, class_: str = "mark") -> list[ET.Element]:
    return [e for e in drawing.iter() if class_ in e.get("class", "").split()]


def place(mark: ET.Element) -> tuple[float, float]:
    """Position of a round mark."""
    return float(mark.get("cx", "nan")), float(mark.get("cy", "nan"))


def rows(page: str) -> dict[str, str]:
    """Rows of the tables by their first cell."""
    parts = [part.split("</tr>")[0] for part in page.split("<tr")[1:]]
    return {p.split("</th>")[0].split(">")[-1]: p.split("</th>", 1)[1] for p in parts}


class Page(HTMLParser):
    """Reads a page: its text, its tags, whether they close, and what it would load."""

    VOID = ("meta",)

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.referred: list[str] = []
        self.loads: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "action", "data", "style"):
                self.loads.append(f"{tag} {name}={value}")
            if name.startswith("on"):
                self.loads.append(f"{tag} {name}={value}")
            if name == "id":
                self.ids.append(str(value))
            if name == "aria-labelledby":
                self.referred += str(value).split()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)
