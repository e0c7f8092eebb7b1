"""Options: declared, read from the command line and ini, checked, in one place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import pytest

DISTS = ("worksteal", "loadscope", "loadfile", "loadgroup")
STARTS = ("auto", "fork", "spawn")
FLAKY_MODES = ("fixed", "adaptive")
MAX_WORKERS = 1024
MAX_PASSES = 100_000


#: Options that take a run to the core, those first that say most of it.
_ACTIVE = (
    "replay", "bisect_order", "queue", "flaky_budget", "flaky", "parallel", "timeout", "retries",
    "isolate", "json", "html", "trace", "metrics", "quarantine",
)  # fmt: skip


def flag_name(name: str) -> str:
    """How an option is typed."""
    return "--qe-" + name.replace("_", "-")


class Options:
    """What the user asked for. Times in seconds; None is "not asked".

    A plain class with its defaults: pytest loads this at every start, and a
    dataclass takes a millisecond to make.
    """

    parallel: int | str | None = None
    dist: str = "worksteal"
    timeout: float | None = None
    timeout_func_only: bool = False
    retries: int = 0
    retry_backoff: float = 0.0
    retry_only: re.Pattern[str] | None = None
    quarantine: str | None = None
    flaky_detect: bool = False
    start: str = "auto"
    max_worker_restart: int | None = None
    isolate: bool = False
    shard: tuple[int, int] | None = None
    shard_durations: str | None = None
    flaky: int | None = None
    flaky_mode: str = "adaptive"
    flaky_budget: float | None = None
    flaky_alpha: float = 0.05
    flaky_causes: float | None = None  # seconds; 0: none; None: by the hunt
    replay: str | None = None
    bisect_order: str | None = None
    queue: str | None = None
    run: str | None = None
    queue_project: str | None = None
    queue_password_file: str | None = None
    queue_ca_file: str | None = None
    queue_lease: float = 10.0
    seed: int | None = None
    json: str | None = None
    html: str | None = None
    trace: str | None = None
    metrics: str | None = None
    history: str | None = None
    no_history: bool = False
    grace: float = 30.0
    once: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        """Whether this run goes through the core at all."""
        return self.reason is not None

    @property
    def reports(self) -> bool:
        """Whether the result is written to a file."""
        paths = (self.json, self.html, self.trace, self.metrics)
        return any(path is not None for path in paths)

    @property
    def reason(self) -> str | None:
        """The option for which it does."""
        given = (n for n in _ACTIVE if getattr(self, n) not in (None, False, 0))
        return next((flag_name(name) for name in given), None)


class _Bad(ValueError):
    """A value that an option does not take; the text says what it takes."""


def _is_number(text: str) -> bool:
    """A whole number in ASCII digits, of a length that int() takes."""
    return text.isascii() and text.isdecimal() and len(text) <= 20


def _workers(text: str) -> int | str | None:
    if text in ("auto", "logical"):
        return "auto"
    if text in ("no", "off", "0"):
        return None
    if _is_number(text) and 1 <= int(text) <= MAX_WORKERS:
        return int(text)
    raise _Bad(f"a number of workers from 1 to {MAX_WORKERS}, or auto")


def _count(low: int, high: int, what: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if _is_number(text) and low <= int(text) <= high:
            return int(text)
        raise _Bad(f"{what} from {low} to {high}")

    return parse


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0.001 <= value <= 1e7:
        return value
    raise _Bad("a number of seconds from 0.001 to 1e7, such as 2.5")


def _seconds_or_0(text: str) -> float:
    return 0.0 if text in ("0", "0.0") else _seconds(text)


def _lease(text: str) -> float:
    value = _seconds(text)
    if 1 <= value <= 3600:
        return value
    raise _Bad("a number of seconds from 1 to 3600")


def _causes(text: str) -> float | None:
    if text in ("auto", "on"):
        return None
    if text in ("off", "no"):
        return 0.0
    try:
        return _seconds_or_0(text)
    except _Bad:
        raise _Bad("a number of seconds, auto, or off") from None


def _level(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 1e-9 <= value <= 0.5:
        return value
    raise _Bad("a number from 1e-9 to 0.5, such as 0.05")


def _regex(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise _Bad(f"a regular expression ({error})") from None


def _one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text in names:
            return text
        raise _Bad("one of " + ", ".join(names))

    return parse


def _shard(text: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text)
    if found and 1 <= int(found[1]) <= int(found[2]):
        return int(found[1]), int(found[2])
    raise _Bad("I/N with I from 1 to N, such as 2/4")


def _flag(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    raise _Bad("true or false")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if all(name.isidentifier() for name in names):
        return names
    raise _Bad("names of fixtures, such as server,database")


def _text(text: str) -> str:
    if text.strip():
        return text.strip()
    raise _Bad("a text")


def _path(text: str) -> str:
    if text:
        return text
    raise _Bad("a path")


class _Spec:
    """One option: its name without ``qe``, its parser, its help."""

    __slots__ = ("name", "parse", "metavar", "help", "ini_only")

    def __init__(
        self,
        name: str,
        parse: Callable[[str], Any],
        metavar: str | None,  # None: a flag
        help: str,
        ini_only: bool = False,
    ) -> None:
        self.name = name
        self.parse = parse
        self.metavar = metavar
        self.help = help
        self.ini_only = ini_only


_SPECS = (
    _Spec("parallel", _workers, "N",
          "Run tests in N worker processes. Without N, or with auto: as many "
          "as the CPUs this process may use (affinity and cgroup quota)."),
    _Spec("dist", _one_of(DISTS), "MODE",
          "How tests are placed: worksteal (default: a module's tests stay "
          "together while nobody is idle), loadscope, loadfile, loadgroup."),
    _Spec("timeout", _seconds, "S",
          "Hard limit in seconds for each test, setup to teardown. The stacks "
          "of all threads are shown, then the test is killed."),
    _Spec("timeout_func_only", _flag, "BOOL",
          "The limit covers the test function alone.", ini_only=True),
    _Spec("retries", _count(0, 100, "a number of retries"), "N",
          "Run a failed test again up to N times, each in a fresh process."),
    _Spec("retry_backoff", _seconds_or_0, "S",
          "Wait S seconds before the first retry, twice as long before each "
          "next one (with jitter). No worker waits meanwhile."),
    _Spec("retry_only", _regex, "REGEX",
          "Retry only failures whose text matches REGEX."),
    _Spec("quarantine", _path, "FILE",
          "Tests that FILE (.json or .toml) names run, are reported apart, and "
          "do not fail the run until their entries expire."),
    _Spec("flaky_detect", _flag, None,
          "List the tests that failed and then passed on a retry "
          "(--qe-retries)."),
    _Spec("start", _one_of(STARTS), "METHOD",
          "How workers start: fork, spawn, or auto (default): fork unless "
          "live threads or open descriptors make that unsafe."),
    _Spec("max_worker_restart", _count(0, 1_000_000, "a number of crashes"),
          "N", "End the run with an error after more than N crashed workers."),
    _Spec("isolate", _flag, None, "Run every test in a process of its own."),
    _Spec("shard", _shard, "I/N",
          "Run part I of N of the suite: by the hash of each file's path, or "
          "balanced with --qe-shard-durations."),
    _Spec("shard_durations", _path, "FILE",
          "Balance shards by the durations in FILE (JSON). The file is "
          "written by the run; pass the same one to every shard."),
    _Spec("flaky", _count(1, MAX_PASSES, "a number of runs"), "N",
          "Hunt flaky tests: N runs of a test on average, in orders, hash seeds, "
          "files and processes that differ, spent where they show most."),
    _Spec("flaky_mode", _one_of(FLAKY_MODES), "MODE",
          "How a hunt spends its runs: adaptive (default): those that are suspected "
          "run again until it is sure; fixed: N passes over all tests."),
    _Spec("flaky_budget", _seconds, "S",
          "Hunt flaky tests for about S seconds instead of N runs each, most often "
          "what shows most a second."),
    _Spec("flaky_alpha", _level, "A",
          "Of the tests that a hunt confirms as flaky, how many may be "
          "healthy on average (default 0.05)."),
    _Spec("flaky_causes", _causes, "S",
          "Look for about S seconds why tests are flaky, and for commands that "
          "prove it; auto (default): as long as the hunt took, at least 30 s; off."),
    _Spec("replay", _text, "TOKEN",
          "Run once more what TOKEN says (a hunt prints them): which tests, in which "
          "order, by which seeds, and what is changed around them."),
    _Spec("bisect_order", _text, "ID",
          "Find the tests that make test ID fail, or pass, by running before it."),
    _Spec("queue", _text, "URL",
          "Share the run with other nodes through a Redis or Valkey server, "
          "redis://HOST[:PORT][/DB] or rediss:// for TLS: each node, started with the "
          "same command, runs what it has room for."),
    _Spec("run", _text, "ID",
          "Which run of --qe-queue this is a node of (default: from the CI's own "
          "variables)."),
    _Spec("queue_project", _text, "NAME",
          "Whose runs these are on the server (default: the name of the repository)."),
    _Spec("queue_password_file", _path, "FILE",
          "The server's password, which is better there or in QE_QUEUE_PASSWORD than in "
          "the URL."),
    _Spec("queue_ca_file", _path, "FILE",
          "Certificates that vouch for a rediss:// server (default: the system's)."),
    _Spec("queue_lease", _lease, "S",
          "A node that has not been heard of for S seconds loses its tests to the others "
          "(default 10)."),
    _Spec("seed", _count(0, 2**64 - 1, "a number"), "S",
          "The seed of orders and random generators (printed always)."),
    _Spec("json", _path, "PATH",
          "Write the machine-readable result to PATH (docs/result.schema.json)."),
    _Spec("html", _path, "PATH",
          "Write the result to PATH as one page for a browser: timeline, failures, "
          "all tests."),
    _Spec("trace", _path, "PATH",
          "Write what ran where and when to PATH, as a trace for Perfetto or "
          "chrome://tracing."),
    _Spec("metrics", _path, "PATH",
          "Write the run's numbers to PATH as OpenMetrics text: tests by outcome, times, "
          "retries, workers."),
    _Spec("history", _path, "PATH",
          "Where runs are remembered: a file, or redis://HOST[:PORT][/DB] (rediss:// for TLS), "
          "which machines share, with the tests that it holds in quarantine (default: QE_HISTORY, "
          "then .qe/history.db in the rootdir)."),
    _Spec("no_history", _flag, None, "Neither read nor write the history."),
    _Spec("grace", _seconds_or_0, "S",
          "After Ctrl-C, how long running tests get for their teardown "
          "(default 30)."),
    _Spec("once", _names, "FIXTURE,...",
          "Set these session fixtures up once, for all workers, which share "
          "their values."),
)  # fmt: skip


def add_options(parser: pytest.Parser) -> None:
    """Declares every option and its ini key."""
    group = parser.getgroup("qe", "native parallel runs, retries and flaky hunting (qe)")
    for spec in _SPECS:
        dest = "qe_" + spec.name
        parser.addini(dest, spec.help, type="string", default=None)
        if spec.ini_only:
            continue
        if spec.metavar is None:
            group.addoption(
                flag_name(spec.name), dest=dest, action="store_const",
                const="true", default=None, help=spec.help,
            )  # fmt: skip
        elif spec.name == "parallel":
            group.addoption(
                flag_name(spec.name), dest=dest, nargs="?", const="auto",
                default=None, metavar="N", help=spec.help,
            )  # fmt: skip
        else:
            group.addoption(
                flag_name(spec.name), dest=dest, default=None,
                metavar=spec.metavar, help=spec.help,
            )  # fmt: skip


def normalise_args(args: list[str]) -> bool:
    """Keeps ``--qe-parallel tests/`` from taking ``tests/`` as its value.

    argparse cannot say "a value only after =". Rewrites in place; returns
    whether anything was changed.
    """
    changed = False
    for i, arg in enumerate(args):
        if arg == "--":
            break
        if arg != "--qe-parallel":
            continue
        following = args[i + 1] if i + 1 < len(args) else ""
        if re.fullmatch(r"-?\d+|auto|logical|no|off", following) and not os.path.exists(following):
            args[i] = f"--qe-parallel={following}"
            del args[i + 1]
        else:
            args[i] = "--qe-parallel=auto"
        changed = True
    return changed


def any_given(early_config: pytest.Config) -> bool:
    """Whether an option of ours is given at all; before ``read`` can be called."""
    known = vars(early_config.known_args_namespace)
    names = ["qe_" + spec.name for spec in _SPECS]
    return any(known.get(n) is not None for n in names) or any(map(early_config.getini, names))


def read(config: pytest.Config) -> Options:
    """The options of a run: command line first, then ini.

    Raises ``pytest.UsageError`` (exit status 4) with one line that names the
    option, what was given and what it takes.
    """
    options = Options()
    for spec in _SPECS:
        dest = "qe_" + spec.name
        text = None if spec.ini_only else config.getoption(dest, None)
        where = flag_name(spec.name)
        if text is None:
            text = config.getini(dest)
            where = dest + " (ini)"
            if text is None or text == "":
                continue
        try:
            value = spec.parse(str(text))
        except _Bad as error:
            raise pytest.UsageError(f"{where}={text}: takes {error}") from None
        setattr(options, spec.name, value)
    options.history = options.history or os.environ.get("QE_HISTORY") or None
    _settle_hunt(options)
    _check_hunt_typed(options, config)
    _check_queue(options, config)
    if options.once and options.start == "spawn":
        raise pytest.UsageError(
            "--qe-once: takes workers that are forked, as --qe-start=spawn shares nothing"
        )
    return options


def _settle_hunt(options: Options) -> None:
    """A run hunts in one way, and a mode of hunting needs a hunt."""
    asked = [
        name
        for name in ("replay", "bisect_order", "flaky_budget", "flaky")
        if getattr(options, name) is not None
    ]
    # A command that a hunt has printed works whatever the project's own options say.
    if options.replay is not None or options.bisect_order is not None:
        options.flaky = options.flaky_budget = None
        asked = [name for name in asked if name in ("replay", "bisect_order")]
    if len(asked) > 1:
        first, second = map(flag_name, asked[:2])
        raise pytest.UsageError(f"{first}: is instead of {second}")
    if options.flaky_budget is not None or "replay" in asked or "bisect_order" in asked:
        options.flaky, options.flaky_mode = 1, "adaptive"
    if options.replay is not None or options.bisect_order is not None:
        options.no_history = True  # an experiment is no result


def _check_queue(options: Options, config: pytest.Config) -> None:
    """What several nodes share is one plan, run once."""
    for name in ("run", "queue_project", "queue_password_file", "queue_ca_file", "queue_lease"):
        shared = options.queue is not None or (
            "://" in (options.history or "") and name not in ("run", "queue_lease")
        )
        if not shared and config.getoption("qe_" + name, None) is not None:
            raise pytest.UsageError(
                f"{flag_name(name)}: is of a run that is shared: give --qe-queue=URL, too"
            )
    for name in ("shard", "shard_durations", "flaky_budget", "replay", "bisect_order"):
        if options.queue is not None and getattr(options, name) is not None:
            raise pytest.UsageError(
                f"--qe-queue: shares one run of every test, so it takes no {flag_name(name)}"
                + (": --qe-flaky=N hunts" if name == "flaky_budget" else "")
            )
    if options.queue is not None and config.getoption("stepwise", False):
        raise pytest.UsageError(
            "--qe-queue: takes no --stepwise, as one node's cache alone knows where it stopped: "
            "-x stops all nodes"
        )


def _check_hunt_typed(options: Options, config: pytest.Config) -> None:
    """What is typed about a hunt is of one that there is; a project may ask for it always."""
    if options.flaky_budget is not None and config.getoption("qe_flaky_mode", None) == "fixed":
        raise pytest.UsageError(
            "--qe-flaky-budget: is of a hunt that decides on its runs: "
            "--qe-flaky-mode=fixed takes --qe-flaky=N"
        )
    for name in ("flaky_mode", "flaky_alpha", "flaky_causes"):
        if options.flaky is None and config.getoption("qe_" + name, None) is not None:
            raise pytest.UsageError(
                f"{flag_name(name)}: is of a hunt: give --qe-flaky=N or --qe-flaky-budget=S, too"
            )


def worker_count(config: pytest.Config, options: Options) -> int:
    """How many workers to use, by option, environment and xdist's hook."""
    from . import _core, compat

    asked = options.parallel
    if asked is None:
        asked = "auto" if options.flaky is not None else 1
    if asked == "auto":
        count = compat.auto_num_workers(config)
        if count is None:
            text = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS", "")
            if text and not text.isdecimal():
                raise pytest.UsageError(f"PYTEST_XDIST_AUTO_NUM_WORKERS={text}: takes a number")
            count = int(text) if text else _core.cpu_count()
    else:
        count = int(asked)
    limit = config.getoption("maxprocesses", None)
    if limit is not None:
        if not _is_number(str(limit)) or int(limit) < 1:
            raise pytest.UsageError(f"--maxprocesses={limit}: takes a number from 1")
        count = min(int(count), int(limit))
    return max(1, min(int(count), MAX_WORKERS))
