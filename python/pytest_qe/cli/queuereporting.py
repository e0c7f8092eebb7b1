"""``qe queue report``: one result of a whole run across machines."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import ends
from .ends import Cannot, Wrong
from .options import check_own, check_writable
from .queueoptions import command, name_of, reading, run_argument, run_option

if TYPE_CHECKING:
    from ..queuereport import Whole

_MOST_NAMES = 20  # of tests, on the screen

NOT_COMPLETE = 4


@command("report")
@run_argument
@run_option
@click.option(
    "--json",
    "json_path",
    type=click.Path(allow_dash=True),
    metavar="PATH",
    help="Write the result as JSON; - is standard output.",
)
@click.option("--junit", type=click.Path(), metavar="PATH", help="Write it as JUnit XML.")
@click.option(
    "--html", type=click.Path(), metavar="PATH", help="Write it as one page for a browser."
)
def report_command(
    run: str | None, named: str | None, json_path: str | None, junit: str | None,
    html: str | None, **where: Any,
) -> int:  # fmt: skip
    """Make one result of a whole run, of what its nodes have told.

    It is proved that each test that was collected has exactly one outcome.
    """
    from ..queuereport import Whole

    _check(json_path, junit, html)
    name = name_of(run, named)
    assert name is not None
    with reading(**where) as reader:
        whole = Whole(reader, name)
    _write(whole, json_path, junit, html)
    _summary(whole, json_path == "-")
    if not whole.complete:
        return NOT_COMPLETE
    return ends.FAILED if any(True for _ in whole.failed()) else ends.OK


def _check(json_path: str | None, junit: str | None, html: str | None) -> None:
    taken: set[str] = set()
    for option, path in (("--json", json_path), ("--junit", junit), ("--html", html)):
        if path is None:
            continue
        if option != "--json":
            check_own(option, path, taken)
        check_writable(option, path)
        taken.add(os.path.realpath(path))
    if html is not None:
        from .. import htmlreport

        trouble = htmlreport.missing()
        if trouble is not None:
            raise Wrong(f"--html: {trouble}")


def _write(whole: Whole, json_path: str | None, junit: str | None, html: str | None) -> None:
    from .. import htmlreport
    from .recorded import Recorded

    recorded = Recorded(whole.record, whole.run(), whole.flaky)
    try:
        if json_path == "-":
            with tempfile.TemporaryDirectory(prefix="qe-") as folder:
                file = Path(folder, "result.json")
                recorded.write_json(os.fsencode(file))
                click.echo(file.read_text("utf-8"), nl=False)
        elif json_path is not None:
            recorded.write_json(os.fsencode(json_path))
        if html is not None:
            htmlreport.write(Path(html), recorded.write_json)
    except OSError as error:
        raise Cannot(f"{error.filename or 'a report'}: {error.strerror or error}") from None
    if junit is not None:
        from .junitfile import write_junit

        write_junit(junit, whole.junit(), os.getcwd())


def _summary(whole: Whole, to_stderr: bool) -> None:
    from .safe import shown
    from .screen import many, seconds

    def say(text: str) -> None:
        click.echo(text, err=to_stderr)

    def name_some(what: str, names: list[str]) -> None:
        for name in names[:_MOST_NAMES]:
            say(f"{what} {shown(name)}")
        if len(names) > _MOST_NAMES:
            say(f"{what} and {len(names) - _MOST_NAMES} more")

    failed = [
        f"{test.name}" + (f": {test.message}" if test.message else "") for test in whole.failed()
    ]
    name_some("FAILED  ", failed)
    name_some("no outcome:", whole.missing)
    name_some("error:", whole.troubles)
    name_some("warning:", whole.warnings)
    counts = [
        f"{count} {name}" for name, count in whole.counts().items() if count and name != "none"
    ]
    missing = len(whole.missing)
    if missing:
        counts.append(f"{missing} without an outcome")
    told = whole.run()
    say(
        f"run {shown(whole.name)} ({whole.status['state']}): "
        f"{many(len(whole.tests), 'test')}: {', '.join(counts) or 'nothing'}; "
        f"{many(len(whole.nodes), 'node')}, {seconds(told['wall'])}"
    )
