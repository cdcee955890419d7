"""What every model of this kind is for, what it cannot do, and what the law says, in plain words.

The law is Regulation (EU) 2024/1689, as published on 12 July 2024.
"""

from __future__ import annotations

MADE_FOR = (
    "Made for describing how recorded speech sounds, on the device that recorded it or on a "
    "machine of whoever may hear it, where the people who speak know of it. Which use its maker "
    "intends beyond that is not stated."
)
INTENDED = (
    "research on speech and emotion, with people who agreed to it",
    "voice interfaces, games and art that react to how somebody sounds, and say that they do",
    "people's own recordings, looked at by themselves",
    "comparing this bundle with other models and devices",
)
LIMITS = (
    "It hears how speech sounds. What a person feels, means or is going to do, it does not know.",
    "It answers every sound, also one that is no speech, another language, or several voices.",
    "Poor recordings move its answers: quiet, clipped, interrupted, noisy or echoing ones.",
    "How its errors differ between languages, accents, ages, sexes and voices that an illness "
    "changed is not stated; measure it on people like yours before you rely on it.",
    "It gives no diagnosis, and no evidence of lying, intention or character.",
)
# Of Art. 5: what nobody may use it for. Each is a sentence.
PROHIBITED = (
    "**At work and in education**: Art. 5(1)(f) prohibits AI systems that infer emotions of people "
    "at their workplace or in educational institutions from being placed on the market, put into "
    "service for that, or used. Applicants, employees, trainees, pupils and students are meant. "
    "The exception is for medical or safety reasons alone, and nothing in this bundle was made or "
    "tested for those. It applies since 2 February 2025.",
    "**To manipulate, or to exploit weakness**: Art. 5(1)(a) and (b) prohibit it where it causes, "
    "or is likely to cause, significant harm.",
    "**Without telling the people who are heard**: Art. 50(3) asks for it.",
    "**As the reason for a decision about a person**, such as on insurance, credit, asylum, "
    "police work or care: no such use was tested.",
)
DUTIES = (
    "**Tell people**: Art. 50(3) obliges whoever uses an emotion recognition system to inform the "
    "people who are exposed to it that it operates, and to process their personal data as the "
    "data protection law of the Union says. Art. 50(5): clearly, recognisably, accessibly, and at "
    "the latest when they first meet it. It applies from 2 August 2026; there is an exception for "
    "systems that a law permits to detect, prevent or investigate crimes.",
    "**Say that it is a machine**: Art. 50(1), where people talk with a system that contains it.",
    "**Mark what is made**: Art. 50(2) and (4) are about generated or manipulated content; this "
    "model generates none.",
    "**High risk**: Annex III, 1(c) counts systems intended for emotion recognition among those of "
    "high risk, where the law permits them at all. Whoever places one on the market, or uses one, "
    "has the further duties of Chapter III: management of risks, data, documentation, records, "
    "human oversight, accuracy and conformity assessment.",
)
