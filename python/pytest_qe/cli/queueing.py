"""``qe queue``: runs across machines, as their server knows them."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from . import ends
from .ends import Cannot, Wrong
from .options import check_own, check_writable

if TYPE_CHECKING:
    from .. import _queue
    from ..queuereport import Whole

_F = TypeVar("_F", bound=Callable[..., Any])
_MOST_NAMES = 20  # of tests, on the screen
_MOST_LINES = 20  # of the nodes of a run

NOT_COMPLETE = 4

EXAMPLES = """\b
Examples:
  export QE_QUEUE=rediss://queue.example.org QE_QUEUE_PASSWORD_FILE=~/.queue
  qe queue status                   the runs of this project
  qe queue status 4711/1/test       how far one is, and who works on it
  qe queue report 4711/1/test --junit=all.xml --html=all.html
  qe queue abort 4711/1/test
  qe queue gc                       delete what is over, or left behind

A password is best in QE_QUEUE_PASSWORD, or in a file that nobody else can read: the address and
the command line are seen by all who may list processes.
"""

STATUSES = """\b
Exit status:
  0    it was done (report: every test has its outcome, and none failed)
  1    report: some failed
  2    wrong usage, a bad value, or no such run
  3    it could not be carried out: no server, a wrong password, nothing of ours there
  4    report: the run is not complete; tests without an outcome are named
"""

_SERVER = (
    click.option(
        "--queue", "url", metavar="URL",
        help="The server: redis://HOST[:PORT][/DATABASE], rediss:// for TLS.  [default: QE_QUEUE]",
    ),
    click.option(
        "--project", metavar="NAME",
        help="Whose runs: the same for all nodes.  [default: QE_QUEUE_PROJECT, or by git's remote "
        "origin, or the folder]",
    ),
    click.option(
        "--queue-password-file", "password_file", metavar="FILE",
        help="Where the password is; nobody else may read it.  [default: QE_QUEUE_PASSWORD, or "
        "QE_QUEUE_PASSWORD_FILE; the user is QE_QUEUE_USER]",
    ),
    click.option(
        "--queue-ca-file", "ca_file", metavar="FILE",
        help="Who vouches for the server.  [default: QE_QUEUE_CA_FILE, or the system's list]",
    ),
)  # fmt: skip


def _told(command: _F) -> _F:
    """Every trouble is a line, and a status."""

    @functools.wraps(command)
    def with_errors(*args: Any, **kwargs: Any) -> Any:
        from ..errors import InvalidArgument, NoSuchRun, QeError
        from ..queues import QueueOptionError

        try:
            return command(*args, **kwargs)
        except (QueueOptionError, InvalidArgument, NoSuchRun) as error:
            raise Wrong(str(error)) from None
        except QeError as error:
            raise Cannot(str(error)) from None

    return with_errors  # type: ignore[return-value]


def _command(**more: Any) -> Callable[[_F], click.Command]:
    """A command that talks to a server; every trouble is a line, and a status."""

    def make(function: _F) -> click.Command:
        function = _told(function)
        for option in reversed(_SERVER):
            function = option(function)
        return queue_command.command(epilog=STATUSES, **more)(function)

    return make


def _complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    given = {name: ctx.params.get(name) for name in ("url", "project", "password_file", "ca_file")}
    try:
        with _reading(**given, timeout=1.0) as reader:
            return [name for name in reader.runs() if name.startswith(incomplete)]
    except Exception:  # a shell that completes has no place for errors
        return []


_run_argument = click.argument("run", required=False, shell_complete=_complete_run)
_run_option = click.option(
    "--run", "named", metavar="RUN", help="The same as RUN.  [default: QE_QUEUE_RUN, or the CI's]"
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def _reading(
    url: str | None, project: str | None, password_file: str | None, ca_file: str | None,
    timeout: float = 5.0,
) -> Iterator[_queue.Reader]:  # fmt: skip
    from .. import queues

    server = queues.server(url, password_file=password_file, ca_file=ca_file)
    reader = server.reader(queues.project(project, Path.cwd()), timeout=timeout)
    try:
        yield reader
    finally:
        reader.close()


def _name_of(run: str | None, named: str | None, *, needed: bool = True) -> str | None:
    from .. import queues

    if run is not None and named is not None and run != named:
        raise Wrong(f"--run: {named!r}, and the argument is {run!r}: take one of them")
    found = queues.run(run or named)
    if found is None and needed:
        raise Wrong(queues.NO_RUN)
    return found


@click.group(epilog=f"{EXAMPLES}\n\n{STATUSES}", no_args_is_help=True)
def queue_command() -> None:
    """Look after runs that several machines share through a Redis or Valkey server."""


# ---------------------------------------------------------------------- status


@_command(name="status")
@_run_argument
@_run_option
@_json_option
def status_command(
    run: str | None, named: str | None, as_json: bool, **where: Any
) -> int:
    """Tell how far a run is: what has come of its tests, and who works on it.

    RUN is its name, by default what the CI calls it (GitHub, GitLab, Buildkite, CircleCI,
    Jenkins). Without both: all runs of the project.
    """
    from .driving import print_json

    name = _name_of(run, named, needed=False)
    with _reading(**where) as reader:
        if name is None:
            rows = list(_all(reader))
            if as_json:
                print_json(rows, indent=2)
            else:
                _list(rows)
            return ends.OK
        found = _whole_status(reader, name)
    if as_json:
        print_json(found, indent=2)
    else:
        _status(found)
    return ends.OK


def _all(reader: _queue.Reader) -> Iterator[dict[str, Any]]:
    from ..errors import NoSuchRun, OtherPlan

    for name in reader.runs():
        try:
            yield {"run": name, **reader.status(name)}
        except NoSuchRun:
            continue  # it was deleted meanwhile
        except OtherPlan as error:
            yield {"run": name, "state": "unreadable", "trouble": str(error)}


def _whole_status(reader: _queue.Reader, name: str) -> dict[str, Any]:
    from .. import _core

    found = reader.status(name)
    counts, odd = reader.outcomes(name, found["units"])
    outcomes = {_core.outcome_name(number): count for number, count in enumerate(counts)}
    return {"run": name, **found, "outcomes": outcomes, "outcomes_of_others": odd}


def _list(rows: list[dict[str, Any]]) -> None:
    from .safe import shown
    from .screen import seconds

    if not rows:
        click.echo("the project has no runs on this server")
        return
    click.echo("state        tests   left  failed  workers     heard of  run")
    for row in rows:
        if row["state"] == "unreadable":
            click.echo(f"unreadable                                           {shown(row['run'])}")
            continue
        workers = sum(node["workers"] for node in row["nodes"])
        heard = f"{seconds(row['idle_s'])} ago"
        click.echo(
            f"{row['state']:9} {row['units']:>8} {row['left']:>6} {row['failures']:>7} "
            f"{workers:>8} {heard:>12}  {shown(row['run'])}"
        )


def _status(found: dict[str, Any]) -> None:
    from .safe import shown
    from .screen import many, seconds

    click.echo(f"run {shown(found['run'])}: {found['state']}, laid by {shown(found['laid_by'])}")
    done = found["units"] - found["left"]
    parts = [f"{count} {name}" for name, count in found["outcomes"].items() if count and name != "none"]
    click.echo(
        f"{done} of {many(found['units'], 'test')} done"
        + (f": {', '.join(parts)}" if parts else "")
        + f"; {many(found['attempts'], 'attempt')}"
    )
    if found["maxfail"]:
        click.echo(f"{many(found['failures'], 'failure')} of at most {found['maxfail']}")
    click.echo(f"{found['open']} of the pieces of work are open, {found['claimed']} claimed")
    nodes = sorted(found["nodes"], key=lambda one: (one["age_s"] is None, one["age_s"] or 0))
    for node in nodes[:_MOST_LINES]:
        age = "never heard of" if node["age_s"] is None else f"heard of {seconds(node['age_s'])} ago"
        waiting = f", {node['waiting']} waiting" if node["waiting"] else ""
        click.echo(
            f"  {shown(node['name'])}: {many(node['workers'], 'worker')}{waiting}, "
            f"{node['claimed']} claimed, {age}"
        )
    if len(nodes) > _MOST_LINES:
        click.echo(f"  and {many(len(nodes) - _MOST_LINES, 'node')} more")
    if found["outcomes_of_others"]:
        click.echo(f"warning: {found['outcomes_of_others']} outcomes are of no test of it")


# --------------------------------------------------------------- abort and gc


@_command(name="abort")
@_run_argument
@_run_option
@_json_option
def abort_command(run: str | None, named: str | None, as_json: bool, **where: Any) -> int:
    """Stop a run: nothing more of it starts, on any node."""
    from .driving import print_json
    from .safe import shown

    name = _name_of(run, named)
    assert name is not None
    with _reading(**where) as reader:
        stopped = reader.stop(name)
    if as_json:
        print_json({"run": name, "stopped": stopped}, indent=2)
    else:
        word = "is stopped" if stopped else "had ended already"
        click.echo(f"run {shown(name)} {word}")
    return ends.OK


@_command(name="gc")
@click.argument("run", required=False, shell_complete=_complete_run)
@click.option("--run", "named", metavar="RUN", help="The same as RUN.")
@click.option(
    "--age", type=click.FloatRange(0), default=3600.0, show_default=True, metavar="S",
    help="Runs that have not ended, and whose nodes have not been heard of for so many seconds.",
)
@click.option(
    "--over-age", type=click.FloatRange(0), default=600.0, show_default=True, metavar="S",
    help="Runs that are over, likewise: until then a report may still be made of them.",
)
@click.option("--force", is_flag=True, help="With RUN: also one that nodes work on.")
@_json_option
def gc_command(
    run: str | None, named: str | None, age: float, over_age: float, force: bool, as_json: bool,
    **where: Any,
) -> int:  # fmt: skip
    """Delete all that the server has of a run; without RUN, of those of the project that are over
    or left behind. What nobody deletes the server forgets by itself, a day after its last use."""
    from .driving import print_json
    from .safe import shown
    from .screen import many

    if run is not None or named is not None:
        name = _name_of(run, named)
        assert name is not None
        with _reading(**where) as reader:
            names, keys = [name], _delete_one(reader, name, force)
    else:
        with _reading(**where) as reader:
            names = [
                row["run"]
                for row in _all(reader)
                if row["state"] != "unreadable"
                and row["idle_s"] >= (over_age if row["state"] == "over" else age)
            ]
            keys = reader.delete([name.encode() for name in names]) if names else 0
    if as_json:
        print_json({"deleted": names, "keys": keys}, indent=2)
        return ends.OK
    for name in names:
        click.echo(f"deleted {shown(name)}")
    click.echo(f"{many(len(names), 'run')}, {many(keys, 'key')}")
    return ends.OK


_HEARD_S = 60.0  # of a run that nodes work on


def _delete_one(reader: _queue.Reader, name: str, force: bool) -> int:
    from ..errors import NoSuchRun, OtherPlan

    try:
        found = reader.status(name)
        if found["state"] in ("laying", "open") and found["idle_s"] < _HEARD_S and not force:
            raise Wrong(f"nodes work on run {name}: qe queue abort stops it; --force deletes it")
    except OtherPlan:
        pass  # what cannot be read can be deleted
    keys = reader.delete([name.encode()])
    if not keys:
        raise NoSuchRun(-8, f"there is no run {name}")
    return keys


# ---------------------------------------------------------------------- report


@_command(name="report")
@_run_argument
@_run_option
@click.option("--json", "json_path", type=click.Path(allow_dash=True), metavar="PATH",
              help="Write the result as JSON; - is standard output.")
@click.option("--junit", type=click.Path(), metavar="PATH", help="Write it as JUnit XML.")
@click.option("--html", type=click.Path(), metavar="PATH",
              help="Write it as one page for a browser.")
def report_command(
    run: str | None, named: str | None, json_path: str | None, junit: str | None,
    html: str | None, **where: Any,
) -> int:  # fmt: skip
    """Make one result of a whole run, of what its nodes have told.

    It is proved that each test that was collected has exactly one outcome.
    """
    from ..queuereport import Whole

    _check(json_path, junit, html)
    name = _name_of(run, named)
    assert name is not None
    with _reading(**where) as reader:
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
    counts = [f"{count} {name}" for name, count in whole.counts().items() if count and name != "none"]
    missing = len(whole.missing)
    if missing:
        counts.append(f"{missing} without an outcome")
    told = whole.run()
    say(
        f"run {shown(whole.name)} ({whole.status['state']}): "
        f"{many(len(whole.tests), 'test')}: {', '.join(counts) or 'nothing'}; "
        f"{many(len(whole.nodes), 'node')}, {seconds(told['wall'])}"
    )
