"""Less speech is no easier gate: the package's own is judged on beside too little of a user's."""

from pathlib import Path

import numpy as np
import pytest
from helpers.answers import outputs

from edge_ser.audio import Preprocessing
from edge_ser.bundle.files import sha256
from edge_ser.emotion.decode import Outputs
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import DataError, MissingExtraError
from edge_ser.fidelity.limits import MIN_JUDGED
from edge_ser_export.calibration import enough
from edge_ser_export.calibration.classes import Regions
from edge_ser_export.calibration.draw import CalibrationSet, draw
from edge_ser_export.calibration.enough import judge_enough
from edge_ser_export.proof.golden import UTTERANCES, make_golden
from edge_ser_export.proof.reference import Reference
from edge_ser_export.proof.speech import CLIPS, ProofSpeech, SpeechSet, with_enough


@pytest.fixture
def own(tmp_path: Path, clips: Path) -> list[Path]:
    """Twelve recordings that are not this package's."""
    folder = tmp_path / "callers"
    folder.mkdir()
    for source in sorted(clips.glob("*.flac"))[:12]:
        # bytes after the last frame change the hash, and no sample
        (folder / source.name).write_bytes(source.read_bytes() + b"\0")
    return sorted(folder.iterdir())


class Anything(Reference):
    """Answers without a model: what is cut is asked about here, not what is said of it."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def one(self, samples: np.ndarray) -> Outputs:
        self.asked.append(samples.size)
        return outputs(1, len(self.asked))


@pytest.mark.parametrize("count", [0, 1, 7, 8, 12])
def test_few_files_get_the_packages_beside_them(count: int, own: list[Path]) -> None:
    files = with_enough(own[:count])
    assert files[:count] == own[:count]
    assert len(files) == (count if count >= MIN_JUDGED else UTTERANCES)
    assert len({sha256(p) for p in files}) == len(files), "no copies"


def test_of_a_mixture_it_is_said_whose_it_is(own: list[Path]) -> None:
    mixed = SpeechSet.of(with_enough(own[:3]))
    assert mixed.source == f"callers, 13 of them {CLIPS}" and mixed.is_foreign
    assert SpeechSet.of(own).source == "callers" and not SpeechSet.of(own).is_foreign
    assert ProofSpeech(SpeechSet.of(own), mixed, SpeechSet.of(own)).notes == (
        f"agreement judged on 16 of callers, 13 of them {CLIPS}: fewer than 8 of one's own say "
        "nothing about agreement",
    )


def test_recorded_clips_of_others_are_not_judged_as_a_whole(own: list[Path], clips: Path) -> None:
    theirs, package = SpeechSet.of(own), SpeechSet.of(sorted(clips.glob("*.flac")))
    for agreement, recorded, expected in (
        (None, package, True), (package, package, True), (theirs, theirs, True),
        (package, theirs, True), (theirs, package, False), (theirs, None, True),
        (theirs, SpeechSet.of(with_enough(own[:2])), False),
    ):  # fmt: skip
        assert ProofSpeech(theirs, agreement, recorded).agrees_on_recorded is expected


def drawn(files: list[Path]) -> CalibrationSet:
    return draw(files[0].parent, Preprocessing(), Regions(Partition()), lambda _: np.full(3, 0.5))


def test_a_small_calibration_set_is_judged_on_more_than_itself(own: list[Path]) -> None:
    small = drawn(own)
    assert len(small.judge) == 6 < MIN_JUDGED
    enlarged = judge_enough(small, Regions(Partition()))
    assert enlarged.judge[:6] == small.judge and len(enlarged.judge) == UTTERANCES
    assert enlarged.fit == small.fit, "ranges are measured on the user's speech"
    assert {u.scores for u in enlarged.judge[6:]} == {None}
    known = {sha256(u.path) for u in enlarged.judge}
    assert len(known) == UTTERANCES and not known & {sha256(u.path) for u in small.fit}
    assert judge_enough(enlarged, Regions(Partition())) is enlarged


def test_without_the_packages_clips_a_small_set_is_refused(
    own: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = drawn(own)

    def missing(*_: object) -> CalibrationSet:
        raise MissingExtraError("the clips", "edge_ser_export_data", "", advice="install them")

    monkeypatch.setattr(enough, "draw", missing)
    with pytest.raises(DataError, match=r"callers: expected at least 16 .*, found 12; .*install"):
        judge_enough(small, Regions(Partition()))


def test_recorded_utterances_differ_and_are_as_small_as_promised(
    own: list[Path], tmp_path: Path
) -> None:
    rules = Preprocessing()
    golden = make_golden(Anything(), rules, with_enough(own[:2]))
    assert len(golden.names) == len({x.tobytes() for x in golden.samples}) == UTTERANCES + 1
    assert golden.names[:2] == [p.stem for p in own[:2]]
    seconds = sorted({x.size / rules.sample_rate for x in golden.samples})
    assert seconds == [0.025, 0.6, 0.8, 0.9, 1.2], "padded batches have something to pad"
    golden.save(tmp_path / "golden.npz")
    assert (tmp_path / "golden.npz").stat().st_size < 420_000


def test_few_files_are_used_in_several_places(own: list[Path]) -> None:
    golden = make_golden(Anything(), Preprocessing(), own[:8])
    assert len(golden.names) == UTTERANCES + 1
    assert f"{own[0].stem}, part 2" in golden.names
    contents = {x.tobytes() for x in golden.samples}
    assert len(contents) == UTTERANCES + 1, "each in another place"
