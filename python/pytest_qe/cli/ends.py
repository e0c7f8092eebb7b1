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
  130  interrupted (Ctrl-C); 143: ended by SIGTERM; 141: nobody reads what it prints
"""


class Refused(click.ClickException):
    """One line on standard error, and an exit status."""

    exit_code = CANNOT


class Wrong(Refused):
    """What was asked for makes no sense."""

    exit_code = USAGE


class Failed(Refused):
    """What was asked for is not so."""

    exit_code = FAILED


class Cannot(Refused):
    """What was asked for cannot be done here and now."""

    exit_code = CANNOT
