"""``python -m pytest_qe``: what needs no test run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import _core, quarantine, remembered, sharding
from .errors import QeError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pytest_qe",
        description="Tools around pytest-qe runs.",
        epilog="Exit status: 0 fine, 1 the check failed, 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"qe {_core.VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    verify = commands.add_parser(
        "shard-verify",
        help="check that the results of all shards are disjoint and complete",
        description="Reads the --qe-json results of every shard of one run; fails unless "
        "they are shards of the same collection, disjoint and complete.",
    )
    verify.add_argument("results", nargs="+", type=Path, metavar="RESULT.json")
    durations = commands.add_parser(
        "shard-durations",
        help="make a durations file from results",
        description="Writes the durations file for --qe-shard-durations from the --qe-json "
        "results of all shards of a run, so that no unsharded run is needed.",
    )
    durations.add_argument("results", nargs="+", type=Path, metavar="RESULT.json")
    remembered.add_commands(commands)
    durations.add_argument("-o", "--output", required=True, type=Path, metavar="FILE")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        if args.command == "shard-verify":
            print(sharding.verify(args.results))
        elif args.command == "history":
            print(remembered.history(args))
        elif args.command == "quarantine":
            print(remembered.held(args))
        else:
            print(sharding.durations_from_results(args.results, args.output))
    except (
        sharding.ShardError, remembered.RememberedError, quarantine.QuarantineError, QeError,
    ) as error:  # fmt: skip
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
