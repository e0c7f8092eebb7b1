"""Which of the options that were typed a command must repeat to run the same tests.

Left out is what chooses among tests, orders them, stops early or reports: a token says
what runs. All else stays, also options that nobody here knows: a test may ask for them.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from .options import normalise_args

if TYPE_CHECKING:
    import pytest

#: Our own that say how a test runs.
_OURS = ("--qe-timeout", "--qe-start", "--qe-once")

#: Our own that take no value.
_ALONE = frozenset(("--qe-isolate", "--qe-no-history", "--qe-flaky-detect"))

#: Left out, with the value that follows.
_VALUES = frozenset(
    (
        "-k", "-m", "-n", "-r", "--basetemp", "--code-highlight", "--color", "--cov-config",
        "--cov-context", "--cov-fail-under", "--deselect", "--dist", "--durations",
        "--durations-min", "--html", "--json-report-file", "--junit-prefix", "--junit-xml",
        "--junitprefix", "--junitxml", "--last-failed-no-failures", "--lfnf", "--maxfail",
        "--maxprocesses", "--numprocesses", "--pastebin", "--random-order-bucket",
        "--random-order-seed", "--report-log", "--show-capture", "--tb", "--tx", "--verbosity",
    )
)  # fmt: skip

#: Left out; a value may follow.
_OPTIONAL = frozenset(("--cov", "--cov-report", "--debug"))

#: Left out.
_FLAGS = frozenset(
    (
        "-d", "--cache-clear", "--cov-append", "--cov-branch", "--exitfirst", "--failed-first",
        "--ff", "--full-trace", "--fulltrace", "--json-report", "--last-failed", "--lf",
        "--new-first", "--nf", "--no-cov", "--no-header", "--no-showlocals", "--no-summary",
        "--pdb", "--quiet", "--self-contained-html", "--setup-show", "--showlocals", "--stepwise",
        "--stepwise-reset", "--stepwise-skip", "--sw", "--sw-reset", "--sw-skip", "--trace",
        "--verbose",
    )
)  # fmt: skip

#: Letters that may stand together behind one dash.
_SHORT = re.compile(r"-[qvxl]+")
#: A letter with its value: -kname, -n4, -rA.
_JOINED = re.compile(r"-[kmnr][^-].*")


def options_typed(config: pytest.Config) -> list[str]:
    """Typed options that a command must repeat, with their values."""
    args = [str(arg) for arg in config.invocation_params.args]
    return needed(args, [str(arg) for arg in config.known_args_namespace.file_or_dir])


def needed(args: list[str], places: list[str]) -> list[str]:
    """What of a command line is needed; `places` are the files and folders in it, which
    a token has."""
    left, typed = Counter(places), list(args[: args.index("--")] if "--" in args else args)
    kept: list[str] = []
    normalise_args(typed)
    while typed:
        arg = typed.pop(0)
        name, equals, _ = arg.partition("=")
        follows = bool(typed) and not equals
        if name in _FLAGS or name in _ALONE or _SHORT.fullmatch(arg) or arg.startswith("@"):
            continue
        if name == "--qe-parallel":
            continue  # a value is behind "=" by now
        if name in _VALUES or (name.startswith("--qe-") and not name.startswith(_OURS)):
            del typed[: 1 if follows else 0]
        elif name in _OPTIONAL:
            del typed[: 1 if follows and not typed[0].startswith("-") else 0]
        elif left[arg] > 0:
            left[arg] -= 1
        elif not _JOINED.fullmatch(arg):
            kept.append(arg)
    return kept
