"""What workers have of the terminal reporter."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .live import Screen


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


def make(config: pytest.Config) -> None:
    """Before the fork: made there, it is half a megabyte of each worker's memory."""
    if hasattr(config.option, "color"):  # otherwise there is none at all
        config.stash[_TERMINAL] = _WorkerTerminal(config)


def add(config: pytest.Config, screen: Screen | None) -> None:
    """Gives plugins in a worker a terminal reporter to write to."""
    if _TERMINAL not in config.stash:
        make(config)
    terminal = config.stash.get(_TERMINAL, None)
    if terminal is not None and not config.pluginmanager.has_plugin("terminalreporter"):
        if screen is not None:  # differences in assertions are coloured for it
            terminal._tw.hasmarkup = screen.markup
        config.pluginmanager.register(terminal, "terminalreporter")
