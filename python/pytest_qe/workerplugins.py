"""What is made of the controller's plugins in workers: some are taken out, and the
terminal reporter only writes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from . import compat, logs

if TYPE_CHECKING:
    from .live import Screen


#: What a worker takes out: a hook, and whose part in it.
_QUIET = pytest.StashKey[list[tuple[Any, Any]]]()


def prepare(config: pytest.Config) -> None:
    """Before the fork: what is found and made there is not in each worker's memory."""
    _make_terminal(config)
    _plan_quiet(config)


def _plan_quiet(config: pytest.Config) -> None:
    """Finds what belongs to the controller."""
    manager = config.pluginmanager
    live_log = logs.wants_live_log(config)
    found: dict[tuple[str, int], tuple[Any, Any]] = {}
    for name in compat.NOT_IN_WORKERS:
        plugin = manager.get_plugin(name)
        callers = None if plugin is None else manager.get_hookcallers(plugin)
        for caller in callers or ():
            found[caller.name, id(plugin)] = (caller, plugin)
    for name in compat.CONTROLLER_HOOKS:
        caller = getattr(manager.hook, name)
        for impl in caller.get_hookimpls():
            own = compat.name_of(impl.plugin)
            labels = live_log and own in compat.LABEL_LIVE_LOG
            if not labels and compat.HEARD_IN_WORKERS.get(own) != name:
                found[name, id(impl.plugin)] = (caller, impl.plugin)
    config.stash[_QUIET] = list(found.values())


def quiet(config: pytest.Config) -> None:
    """Takes out of a worker what belongs to the controller."""
    manager = config.pluginmanager
    if _QUIET not in config.stash:
        _plan_quiet(config)
    # pluggy has no public way to take out one implementation, and to unregister a
    # plugin it looks through all that there are.
    for caller, plugin in config.stash[_QUIET]:
        caller._remove_plugin(plugin)
    for name in compat.NOT_IN_WORKERS:
        manager._name2plugin.pop(name, None)
    config.stash[_QUIET] = []  # what the keeper forks is quiet


def finish(session: pytest.Session) -> None:
    """The session's end in a forked worker, for compat.FINISHED_IN_WORKERS alone."""
    manager = session.config.pluginmanager
    others = [
        impl.plugin
        for impl in manager.hook.pytest_sessionfinish.get_hookimpls()
        if compat.name_of(impl.plugin) not in compat.FINISHED_IN_WORKERS
    ]
    status = pytest.ExitCode.TESTS_FAILED if session.testsfailed else pytest.ExitCode.OK
    finish = manager.subset_hook_caller("pytest_sessionfinish", others)
    finish(session=session, exitstatus=status)


class _CurrentStdout:
    """Whatever ``sys.stdout`` is when something is written."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()

    def isatty(self) -> bool:
        return False


class _WorkerTerminal:
    """What a worker has of the terminal reporter: methods that write, into the
    output of the running test; no hooks. pytest-timeout writes stacks to it."""

    def __init__(self, config: pytest.Config) -> None:
        from _pytest.terminal import TerminalReporter

        self._reporter = TerminalReporter(config, _CurrentStdout())  # type: ignore[arg-type]
        self._tw = self._reporter._tw

    def __getattr__(self, name: str) -> Any:
        if name.startswith("pytest_"):
            raise AttributeError(name)
        return getattr(self._reporter, name)


_TERMINAL = pytest.StashKey[_WorkerTerminal]()


def _make_terminal(config: pytest.Config) -> None:
    if hasattr(config.option, "color"):  # otherwise there is none at all
        config.stash[_TERMINAL] = _WorkerTerminal(config)


def add_terminal(config: pytest.Config, screen: Screen | None) -> None:
    """Gives plugins in a worker a terminal reporter to write to."""
    if _TERMINAL not in config.stash:
        _make_terminal(config)
    terminal = config.stash.get(_TERMINAL, None)
    if terminal is not None and not config.pluginmanager.has_plugin("terminalreporter"):
        if screen is not None:  # differences in assertions are coloured for it
            terminal._tw.hasmarkup = screen.markup
        # Nobody is told, as the collecting process has told of the real one: each retry
        # would look for hooks and fixtures in it anew.
        config.pluginmanager._name2plugin["terminalreporter"] = terminal
