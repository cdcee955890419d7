"""Sentences that carry no emotion in their words, so that only the voice can tell it.

Training and evaluation share no template and no content word.
"""

from dataclasses import dataclass

from numpy.random import Generator


@dataclass(frozen=True)
class Lexicon:
    """Templates and the words that fill them.

    A template may hold {n} and {n2} (two nouns), {v}, {o}, {w} (adverbial) and {W} (the same
    adverbial with a capital, for the start of a sentence). Final punctuation is left to the voice,
    because it is prosody: it decides how the sentence ends.
    """

    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    adverbials: tuple[str, ...]
    templates: tuple[str, ...]


TRAIN = Lexicon(
    nouns=(
        "teacher", "driver", "doctor", "farmer", "pilot", "sister", "neighbour", "student",
        "captain", "gardener", "painter", "uncle", "lawyer", "baker", "sailor", "nurse",
    ),
    verbs=(
        "carried", "opened", "forgot", "painted", "counted", "borrowed", "noticed", "followed",
        "repaired", "described", "ordered", "promised", "collected", "returned",
    ),
    objects=(
        "seven letters", "the broken window", "a basket of apples", "the last train ticket",
        "my old umbrella", "some warm bread", "the green notebook", "two silver keys",
        "their long report", "a bottle of water", "the garden gate", "every single photograph",
        "the kitchen table", "a map of the city",
    ),
    adverbials=(
        "near the river", "before the meeting", "on the second floor", "after lunch",
        "in the middle of the night", "at the station", "behind the school", "every morning",
        "without saying a word", "this afternoon",
    ),
    templates=(
        "The {n} {v} {o} {w}", "{W}, the {n} {v} {o}", "I think the {n} {v} {o}",
        "You said that the {n} {v} {o} {w}", "It was the {n} who {v} {o}",
        "We have to go now, the {n} {v} {o}", "They never told me the {n} {v} {o}",
        "Look, the {n} {v} {o}", "My {n} {v} {o} again", "Nobody knows why the {n} {v} {o}",
        "Well, the {n} {v} {o} {w}", "So the {n} and the {n2} {v} {o}",
    ),
)  # fmt: skip

HELD_OUT = Lexicon(
    nouns=(
        "mechanic", "grandmother", "butcher", "singer", "minister", "cousin", "tailor",
        "librarian",
    ),
    verbs=("measured", "delivered", "ignored", "covered", "finished", "gathered"),
    objects=(
        "nine candles", "the yellow bicycle", "a box of pencils", "the empty bucket",
        "our winter coats", "three wooden chairs",
    ),
    adverbials=(
        "under the bridge", "during the concert", "at the corner shop", "last Wednesday",
    ),
    templates=(
        "Listen, the {n} {v} {o} {w}", "{W} my {n} {v} {o}",
        "I am telling you that the {n} {v} {o}",
        "And then the {n} {v} {o}", "Did you hear that the {n} {v} {o}",
    ),
)  # fmt: skip


def draw_sentence(rng: Generator, lexicon: Lexicon) -> str:
    """Draws a sentence without its final punctuation."""
    noun, second_noun = rng.choice(lexicon.nouns, size=2, replace=False)
    adverbial = str(rng.choice(lexicon.adverbials))
    return str(rng.choice(lexicon.templates)).format(
        n=noun,
        n2=second_noun,
        v=rng.choice(lexicon.verbs),
        o=rng.choice(lexicon.objects),
        w=adverbial,
        W=adverbial[0].upper() + adverbial[1:],
    )
