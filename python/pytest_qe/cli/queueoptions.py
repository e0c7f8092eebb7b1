"""Options that the commands of `qe queue` share, and how they end."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .ends import Cannot, Wrong

if TYPE_CHECKING:
    from .. import _queue
    from ..agents.sharing import Shared

_F = TypeVar("_F", bound=Callable[..., Any])

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


#: Of commands that can be a node: the same, and which run.
_NODE = (
    click.option(
        "--queue", "queue_url", metavar="URL",
        help="Share the run with other nodes through a Redis or Valkey server: redis://HOST, "
        "rediss:// for TLS.",
    ),
    click.option(
        "--run", "queue_run", metavar="ID",
        help="Which run that is.  [default: QE_QUEUE_RUN, or the CI's]",
    ),
    click.option("--project", "queue_project", metavar="NAME", help="Whose runs: see `qe queue`."),
    click.option(
        "--queue-password-file", metavar="FILE", help="Where the server's password is."
    ),
    click.option("--queue-ca-file", metavar="FILE", help="Who vouches for the server."),
    click.option(
        "--queue-lease", type=click.FloatRange(1, 3600), metavar="S",
        help="A node that is not heard of for S seconds loses its files.  [default: 10]",
    ),
)  # fmt: skip
_OF_NODES = ("queue_url", "queue_run", "queue_project", "queue_password_file", "queue_ca_file",
             "queue_lease")  # fmt: skip


def queue_options(command: _F) -> _F:
    """Options of a command that can be a node of a run; it is given them as ``queue``."""

    @functools.wraps(command)
    def with_queue(*args: Any, **kwargs: Any) -> Any:
        return command(*args, queue={name: kwargs.pop(name) for name in _OF_NODES}, **kwargs)

    for option in reversed(_NODE):
        with_queue = option(with_queue)
    return with_queue  # type: ignore[return-value]


def shared_of(given: dict[str, Any], folder: str) -> Shared | None:
    """The run that the options say; None: they say none. Raises: ``Wrong``."""
    url = given["queue_url"]
    if url is None:
        for name in _OF_NODES:
            if given[name] is not None:
                option = {"queue_run": "run", "queue_project": "project"}.get(name, name)
                raise Wrong(f"--{option.replace('_', '-')}: is of a run that is shared: --queue")
        return None
    from .. import queues
    from ..agents.sharing import Shared

    try:
        target = queues.target(
            url, run=given["queue_run"], project=given["queue_project"], root=Path(folder),
            password_file=given["queue_password_file"], ca_file=given["queue_ca_file"],
        )  # fmt: skip
    except ValueError as error:
        raise Wrong(f"--queue: {error}") from None
    return Shared(target, given["queue_lease"] or 0.0)


def bad_elsewhere(result: dict[str, Any], what: str = "failures") -> bool:
    """Whether the part of the others fails the run, as far as this node knows.

    Args:
        what: of ``shared`` in the result, the names that do: ``failures``, or ``flaky``.
    """
    shared = result.get("shared")
    return shared is not None and bool(shared[what] or shared["stopped"] or not shared["proven"])


def check_server(result: dict[str, Any]) -> None:
    """Raises: ``Cannot``, where the server was lost, though what ran here has been told."""
    shared = result.get("shared")
    if shared is not None and shared["trouble"] is not None:
        raise Cannot(f"--queue: {shared['trouble']}")


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


def command(name: str) -> Callable[[_F], click.Command]:
    """A command that talks to a server; every trouble is a line, and a status."""

    def make(function: _F) -> click.Command:
        function = _told(function)
        for option in reversed(_SERVER):
            function = option(function)
        made: click.Command = click.command(name, epilog=STATUSES)(function)
        return made

    return make


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    given = {name: ctx.params.get(name) for name in ("url", "project", "password_file", "ca_file")}
    try:
        with reading(**given, timeout=1.0) as reader:
            return [name for name in reader.runs() if name.startswith(incomplete)]
    except Exception:  # a shell that completes has no place for errors
        return []


run_argument = click.argument("run", required=False, shell_complete=complete_run)
run_option = click.option(
    "--run", "named", metavar="RUN", help="The same as RUN.  [default: QE_QUEUE_RUN, or the CI's]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def reading(
    url: str | None, project: str | None, password_file: str | None, ca_file: str | None,
    timeout: float = 5.0,
) -> Iterator[_queue.Reader]:  # fmt: skip
    """Connects as one who reads the runs of a project, as the options say."""
    from .. import queues

    server = queues.server(url, password_file=password_file, ca_file=ca_file)
    reader = server.reader(queues.project(project, Path.cwd()), timeout=timeout)
    try:
        yield reader
    finally:
        reader.close()


def name_of(run: str | None, named: str | None, *, needed: bool = True) -> str | None:
    """The run's name, by the argument, the option, or the CI. Raises: ``Wrong``."""
    from .. import queues

    if run is not None and named is not None and run != named:
        raise Wrong(f"--run: {named!r}, and the argument is {run!r}: take one of them")
    found = queues.run(run or named)
    if found is None and needed:
        raise Wrong(queues.NO_RUN)
    return found
