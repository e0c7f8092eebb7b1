"""``qe quarantine``: the entries of a quarantine file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .history import history_option, told

PATH: Any = click.Path(path_type=Path)

EXAMPLES = """\b
Examples:
  qe quarantine held.json
  qe quarantine held.json --release
  qe quarantine held.json --add 'test_bank.py::test_rate' --owner ann --days 14 \\
      --reason 'the bank is slow'
  qe quarantine --history=redis://history.example.org
"""


@click.command(epilog=EXAMPLES)
@click.argument("file", type=PATH, required=False)
@click.option("--release", is_flag=True, help="Remove what may be released.")
@click.option("--add", metavar="TESTID", help="Hold this test.")
@click.option("--reason", help="With --add: why.")
@click.option("--owner", help="With --add: who answers for it.")
@click.option("--days", type=int, help="With --add: for how many days, at most 3650.")
@click.option("--evidence", help="With --add: what was seen.")
@history_option
@told
def quarantine_command(**asked: Any) -> int:
    """List, release and add entries of a quarantine file, or of a project's on a server.

    Without FILE it is that of the history, which must be on a server then:
    --history=redis://HOST, or QE_HISTORY.

    An entry of a --qe-quarantine file whose tests have passed 59 executions in a row since
    they last failed may be released.
    """
    from ..remembered import Asked, held

    click.echo(held(Asked(**asked)))
    return 0
