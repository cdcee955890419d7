"""Tables of who speaks when: RTTM and CSV, by the first byte."""

from collections.abc import Iterable

from edge_ser.segments.turns import read_turns, turns_of
from fuzz.small_bundle import new_folder

_NAMES = ("turns.rttm", "turns.csv")
_FOLDER = new_folder()


def seeds() -> Iterable[bytes]:
    yield b"\0SPEAKER call 1 0.5 2 <NA> <NA> A <NA> <NA>\nSPEAKER call 1 3 1 - - B\n"
    yield b"\0;; a comment\nSPKR-INFO call 1 <NA> <NA> <NA> unknown A <NA> <NA>\n"
    yield b"\0SPEAKER call 1 nan -1e999 <NA> <NA> A"
    yield b"\1speaker,start,end\nA,0,1\nB,1,2.5\n"
    yield b"\1file,speaker,start,end\na,A,0,1\nb,A,0,1\n"
    yield b'\1\xef\xbb\xbfstart,End, speaker,note\n0,1.5,"Ann\nB",x\n'


def attempt(data: bytes) -> bool:
    path = _FOLDER / _NAMES[(data[0] if data else 0) % 2]
    path.write_bytes(data[1:])
    turns = read_turns(path)
    ends: dict[str, float] = {}
    for turn in turns:
        assert turn.speaker and 0 <= turn.start < turn.end < float("inf")
        assert turn.start >= ends.get(turn.file, 0) - 0.01
        ends[turn.file] = turn.end
    turns_of(turns, turns[0].file, path)
    return True
