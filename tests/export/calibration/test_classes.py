"""What calibration speech is balanced over."""

import numpy as np
from helpers.calibration_files import RULES, answer, speak

from edge_ser.emotion.decode import CATEGORY_LOGITS, VAD
from edge_ser.emotion.heads import describe_heads
from edge_ser.emotion.sphere import Partition
from edge_ser_export.calibration.classes import Categories, Regions, classes_of
from edge_ser_export.calibration.draw import draw

NAMES = ("angry", "happy", "sad")


def test_regions_where_there_are_dimensions_and_categories_else() -> None:
    both = describe_heads([VAD, CATEGORY_LOGITS], Partition(), NAMES)
    assert classes_of(both, Partition()) == Regions(Partition())
    alone = describe_heads([CATEGORY_LOGITS], Partition(), NAMES)
    assert classes_of(alone, Partition()) == Categories(NAMES)


def test_a_draw_is_balanced_over_what_a_classifier_names(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for number in range(9):
        speak(tmp_path / f"{number}.wav", number % 2, 0.1 + 0.02 * number)
    logits = {0: [0.0, 1.0, 0.0], 1: [0.0, 0.0, 1.0]}

    def classify(samples: np.ndarray) -> np.ndarray:
        """`answer` tells by arousal which of the two was spoken."""
        return np.array(logits[int(answer(samples)[0] < 0.5)])

    drawn = draw(tmp_path, RULES, Categories(NAMES), classify)
    assert drawn.regions == ("happy", "sad")
    assert {u.group for u in drawn.fit} == {u.group for u in drawn.judge} == {1, 2}
    assert all(u.scores is None for u in (*drawn.fit, *drawn.judge))
