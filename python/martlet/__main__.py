"""``python -m martlet``: what is installed, what a file holds, the comparison, a training, the article, the sweep."""

from __future__ import annotations

import argparse
import sys

from . import MartletError, __version__, available_isas, isa, load, num_threads
from ._library import path


def _info(options: argparse.Namespace) -> int:
    print(f"martlet {__version__}")
    print(f"library: {path()}")
    print(f"instruction set: {isa()} (available: {', '.join(available_isas())})")
    print(f"threads: {num_threads()}")
    return 0


def _show(options: argparse.Namespace) -> int:
    print(load(options.file).summary())
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m martlet", description="Batch-normalised neural networks on the CPU.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    comparison = commands.add_parser("compare", help="train the same networks with and without batch norm")
    commands.add_parser("info", help="version, library, instruction set, threads").set_defaults(run=_info)
    show = commands.add_parser("show", help="the layers of a saved model")
    show.add_argument("file")
    show.set_defaults(run=_show)
    training = commands.add_parser("train", help="train a convolutional or another network on real data")
    claims = commands.add_parser("article", help="run the claims of an article on batch normalisation again, on real data")
    sizes = commands.add_parser("sweep", help="train one network over batch sizes and normalisations")
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["compare"]:
        from . import compare

        compare.add_arguments(comparison)
        comparison.set_defaults(run=compare.main)
    if given[:1] == ["train"]:
        from . import train

        train.add_arguments(training)
        training.set_defaults(run=train.main)
    if given[:1] == ["article"]:
        from . import article

        article.add_arguments(claims)
        claims.set_defaults(run=article.main)
    if given[:1] == ["sweep"]:
        from . import sweep

        sweep.add_arguments(sizes)
        sizes.set_defaults(run=sweep.main)
    options = parser.parse_args(given)
    try:
        return int(options.run(options))
    except MartletError as error:
        print(f"martlet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nmartlet: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
