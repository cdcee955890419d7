"""A synthetic corpus of emotional prosody: generated speech with known arousal, valence, dominance.

The clips follow published rules of how emotion shapes the voice. A model trained on them answers
to prosody and serves for trying and testing a pipeline; it says nothing about people.

The modules, from the meaning to the file:

- `emotion`: the three dimensions, their draw, simulated raters, names of the octants.
- `texts`: sentence templates, with words for training and others held out.
- `voices`: speakers, and the rules from emotion to prosody and voice quality.
- `espeak`, `world`: the two synthesisers that obey the rules.
- `effects`: voice quality and recording channel, on samples.
- `corpus`: who says what in which split, and writing it to disk.

Make one with `python benchmarks/make_corpus.py OUT`; the extra `edge-ser[synth]` and the program
`flite` are what it needs.
"""
