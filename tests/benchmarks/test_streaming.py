"""What the page about streams says of frames that windows share."""

from streaming import minute_of_speech, normalised, sharing

from edge_ser.data import DEFAULT_BUNDLE


def test_frames_computed_once_give_the_answers_of_every_window() -> None:
    speech = normalised(DEFAULT_BUNDLE, minute_of_speech()[: 8 * 48_000])
    shared = sharing(DEFAULT_BUNDLE, speech, seconds=0.5)
    assert 0 <= shared.apart < 1e-5
    assert 0 < shared.new_front < shared.front < shared.whole
