"""How a command ends: the exit statuses, and the errors that lead to them."""

from __future__ import annotations

import click

OK = 0
FAILED = 1  # some tests failed, something is flaky, a check did not hold
USAGE = 2
CANNOT = 3
INTERRUPTED = 128  # and the signal's number
NO_READER = 141  # as what SIGPIPE ends

STATUSES = """\b
Exit status:
  0    all passed (hunt: nothing is flaky)
  1    some failed (hunt: something is flaky)
  2    wrong usage: an unknown framework, a missing tool or file, a bad value
  3    it could not be carried out
  130  interrupted (Ctrl-C); 143: ended by SIGTERM, 129: with its terminal;
       141: nobody reads what it prints
"""


class Refused(click.ClickException):
    """A line on standard error for each thing that is wrong, and an exit status."""

    exit_code = CANNOT

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Wrong(Refused):
    """What was asked for makes no sense."""

    exit_code = USAGE


def lines_of(error: Exception) -> list[str]:
    """What an error has to say: a mistake in a configuration a line each, others one."""
    from ..orchestration.mistakes import ConfigError

    return error.lines() if isinstance(error, ConfigError) else [str(error)]


class Failed(Refused):
    """What was asked for is not so."""

    exit_code = FAILED


class Cannot(Refused):
    """What was asked for cannot be done here and now."""

    exit_code = CANNOT
