"""Make the synthetic corpus: `python benchmarks/make_corpus.py [--samples] OUT`.

Needs the extra `synth` and the system program `flite` (Debian's package `flite`); with
`--flite-train 0 --flite-test 0` it does without `flite`.
"""

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Makes the corpus or the samples.

    Args:
        arguments: Without the program's name; `sys.argv` by default.

    Returns:
        0 if all went well, 2 on wrong use or a missing program.
    """
    options = _parser().parse_args(arguments)
    try:
        # Imported here, so that a missing package is told in one line.
        from corpus.corpus import Sizes, write_corpus
        from corpus.samples import write_samples

        if options.samples:
            write_samples(options.out, options.seed)
        else:
            sizes = Sizes(
                train=options.train,
                dev=options.dev,
                test=options.test,
                flite_train=options.flite_train,
                flite_test=options.flite_test,
            )
            write_corpus(options.out, sizes, options.seed, options.workers)
    except ModuleNotFoundError as error:
        print(f"{error.name} is not installed: pip install 'edge-ser[synth]'", file=sys.stderr)
        return 2
    except (ValueError, OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Make a corpus of synthetic emotional prosody, laid out like MSP-Podcast.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="directory to make")
    parser.add_argument(
        "--samples", action="store_true", help="make sixteen demonstration clips instead"
    )
    parser.add_argument("--seed", type=int, default=7, help="equal seeds give equal clips")
    parser.add_argument("--train", type=int, default=10_000, help="espeak-ng clips, Train")
    parser.add_argument("--dev", type=int, default=600, help="espeak-ng clips, Development")
    parser.add_argument("--test", type=int, default=1_000, help="espeak-ng clips, Test1")
    parser.add_argument("--flite-train", type=int, default=2_400, help="flite clips, Train")
    parser.add_argument("--flite-test", type=int, default=200, help="flite clips, Test2")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
