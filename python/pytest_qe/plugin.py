"""The pytest plugin: hooks and wiring. Without an option it does nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .options import Options
    from .sharding import Sharding

_SERIAL_NOTICE = "qe: parallel runs need Linux; running serially"

#: Options that talk to the terminal while tests run.
_NEED_ONE_PROCESS = {
    "usepdb": "--pdb",
    "trace": "--trace",
    "setupshow": "--setup-show",
    "setuponly": "--setup-only",
    "setupplan": "--setup-plan",
}


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    # pytest rewrites the assertions of all plugins, and loads what it has
    # rewritten with code of its own, at twice the cost. Here are none.
    marked = getattr(getattr(pluginmanager, "rewrite_hook", None), "_must_rewrite", None)
    if isinstance(marked, set):
        marked.discard("pytest_qe")
    from . import compat, options

    options.add_options(parser)
    compat.add_options(parser, pluginmanager)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> None:
    import copy

    from . import compat, heap, options, startmethod

    # After all plugins, so that xdist can declare its hooks itself, and before
    # conftests, which may implement them.
    compat.add_hooks(early_config.pluginmanager)
    # Before conftests: what they open is shared by a fork.
    early_config.stash[startmethod.BEFORE] = startmethod.open_descriptors()
    if options.normalise_args(args):
        known = early_config.known_args_namespace
        early_config.known_args_namespace = parser.parse_known_args(
            args, namespace=copy.copy(early_config.option)
        )
        # pytest sets it between its own parse and this hook.
        early_config.known_args_namespace.confcutdir = known.confcutdir
    early_config.stash[heap.KEY] = heap.Heap()
    if options.any_given(early_config):
        early_config.stash[heap.KEY].freeze()
        # Before plugins are configured, so that it comes after their clean-ups.
        early_config.add_cleanup(early_config.stash[heap.KEY].leave)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    if not _prepare(config):
        from . import heap

        config.stash[heap.KEY].thaw()
    return (yield)


def _check_paths(config: pytest.Config, wanted: Options) -> None:
    """Refuses two reports in one file: the second would take the place of the first."""
    seen: dict[str, str] = {}
    for option in ("json", "trace", "html", "metrics"):
        given = getattr(wanted, option)
        if given is None:
            continue
        path = os.path.realpath(config.invocation_params.dir / given)
        if path in seen and (os.path.isfile(path) or not os.path.exists(path)):
            raise pytest.UsageError(
                f"--qe-{option}={given}: takes the path of a file of its own, "
                f"not that of --qe-{seen[path]}"
            )
        seen[path] = option


def _check_reports(config: pytest.Config, wanted: Options) -> None:
    """Says before a test is run, not after an hour of them, that a report cannot be written."""
    if not wanted.reports:
        return
    _check_paths(config, wanted)
    from . import htmlreport, openmetrics, places

    for option, given, missing in (
        ("--qe-json", wanted.json, None),
        ("--qe-trace", wanted.trace, None),
        ("--qe-html", wanted.html, htmlreport.missing),
        ("--qe-metrics", wanted.metrics, openmetrics.missing),
    ):
        if given is None:
            continue
        trouble = None if missing is None else missing()
        if trouble is not None:
            raise pytest.UsageError(f"{option}: {trouble}")
        path = config.invocation_params.dir / given
        trouble = places.unwritable(path)
        if trouble is not None:
            raise pytest.UsageError(f"{option}={path}: {trouble}")


def _share_history(config: pytest.Config, wanted: Options) -> None:
    """Where the history is on a server: takes in what is new there, and holds what it holds."""
    assert wanted.history is not None
    if "://" not in wanted.history:
        return
    from . import quarantining, queues, recording, sharedhistory

    try:
        sharedhistory.is_shared(wanted.history)
        shared = sharedhistory.SharedHistory(
            wanted.history, config.rootpath, project=wanted.queue_project,
            password_file=wanted.queue_password_file, ca_file=wanted.queue_ca_file,
        )  # fmt: skip
        queues.take_password()
        shared.pull()
    except sharedhistory.SharedHistoryError as error:
        raise pytest.UsageError(f"--qe-history: {error}") from None
    config.stash[recording.SHARED] = shared
    entries = shared.held() if wanted.quarantine is None else []
    if entries:
        quarantining.hold(config, shared.quarantine, entries)


def _prepare(config: pytest.Config) -> bool:
    """Reads the options, and takes the run over where they ask for it."""
    if hasattr(config, "workerinput") or "QE_WORKER" in os.environ:
        return True
    from . import compat, options

    wanted = options.read(config)
    if config.option.help or config.option.version:
        return False
    if wanted.quarantine is not None:
        from . import quarantining

        quarantining.register(config, wanted.quarantine)
    collect_only = config.option.collectonly
    if (wanted.shard or wanted.shard_durations) and (collect_only or not wanted.active):
        from .sharding import Sharding

        config.pluginmanager.register(_ShardOnly(Sharding(config, wanted)), "qe-shard")
    if collect_only:
        return False
    if not wanted.active:
        compat.refuse_lone_options(config)
        return False
    serially = next((v for k, v in _NEED_ONE_PROCESS.items() if getattr(config.option, k, 0)), None)
    if wanted.queue is not None and serially is not None:
        # Each node would run all of it.
        raise pytest.UsageError(
            f"--qe-queue: shares a run with other nodes, so it takes no {serially}"
        )
    if not sys.platform.startswith("linux"):
        if wanted.queue is not None:
            raise pytest.UsageError("--qe-queue: a node needs Linux")
        print(_SERIAL_NOTICE, file=sys.stderr)
        return False
    if wanted.history is not None and not wanted.no_history:
        _share_history(config, wanted)
    if serially is not None:
        print(f"qe: {serially} needs one process: running serially", file=sys.stderr)
        return False
    _check_reports(config, wanted)
    notices = [compat.override_xdist(config, wanted)]
    if wanted.queue is not None:
        from . import seeding

        notices.append(seeding.share(config, wanted))
    from .controller import Controller

    controller = Controller(config, wanted, [text for text in notices if text])
    if wanted.replay is not None:
        from . import deciding

        controller.recipe = deciding.recipe_of(config, wanted.replay)
    config.pluginmanager.register(controller, "qe-controller")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from .github import GitHub

        config.pluginmanager.register(GitHub(os.environ), "qe-github")
    compat.add_fixtures(config.pluginmanager)
    return True


class _ShardOnly:
    """``--qe-shard`` without anything else: selection, then plain pytest."""

    def __init__(self, sharding: Sharding) -> None:
        self.sharding = sharding

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.sharding.select(items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.sharding.add(report.nodeid, report.duration)

    def pytest_sessionfinish(self) -> None:
        self.sharding.write_durations()

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for text in self.sharding.warnings:
            terminalreporter.write_line("qe: warning: " + text, yellow=True)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "qe(timeout=None, retries=0, serial=False, group=None): time limit in seconds, "
        "retries of a failure, whether the test runs with no neighbour, and which tests "
        "it shares a worker with (pytest-qe).",
    )
    if not config.pluginmanager.hasplugin("xdist"):
        config.addinivalue_line(
            "markers", "xdist_group(name): tests of one group run in the same worker (pytest-qe)."
        )
