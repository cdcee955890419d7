"""However utterances are put into batches, each is answered once, and a bad one stops no other."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.batching import in_batches
from edge_ser.errors import AudioError, GateError
from edge_ser.utterance import Utterance

kinds = st.lists(st.tuples(st.integers(1, 50), st.sampled_from(["good", "no audio", "refused"])),
                 max_size=150)  # fmt: skip


@given(kinds, st.integers(1, 20))
def test_each_is_answered_once(utterances: list[tuple[int, str]], batch_size: int) -> None:
    def prepared(index: int) -> Utterance:
        size, kind = utterances[index]
        if kind == "no audio":
            raise AudioError(f"{index}", expected="audio", found="none")
        return Utterance(np.full(size, index, np.float32), size, str(index), None)

    def run(batch: list[Utterance]) -> list[int]:
        assert 1 <= len(batch) <= batch_size
        positions = [int(utterance.samples[0]) for utterance in batch]
        if any(utterances[position][1] == "refused" for position in positions):
            raise GateError("batch", expected="finite answers", found="NaN")
        return positions

    answers = dict(in_batches(len(utterances), prepared, run, batch_size))
    assert sorted(answers) == list(range(len(utterances)))
    for index, answer in answers.items():
        expected = {"good": int, "no audio": AudioError, "refused": GateError}
        assert isinstance(answer, expected[utterances[index][1]])
        assert not isinstance(answer, int) or answer == index
