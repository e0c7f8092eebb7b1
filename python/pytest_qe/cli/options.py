"""Arguments that `qe exec` and `qe hunt` share."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from .ends import Wrong

if TYPE_CHECKING:
    from ..agents.running import Settings

_F = TypeVar("_F", bound=Callable[..., Any])
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_ARGS = "pytest_qe.args"  # what follows `--`


class Bytes(click.ParamType[int]):
    """A number of bytes, such as 512M."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", value.strip(), re.IGNORECASE)
        if match is None or len(match[1]) > 20:
            self.fail(f"{value!r} is no size: take a number of bytes, or one such as 512M", param)
        return int(float(match[1]) * _UNITS[match[2].upper()])


class Change(click.ParamType["tuple[str, str]"]):
    """NAME=VALUE."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, of = value.partition("=")
        if not name or not equals:
            self.fail(f"{value!r} has no NAME=VALUE; --unset NAME takes one away", param)
        return name, of


class Words(click.ParamType["list[str]"]):
    """A command line, split as a shell does; it is never given to one."""

    name = "template"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        if isinstance(value, list):
            return value
        try:
            return shlex.split(value)
        except ValueError as error:
            self.fail(f"{value!r}: {str(error).lower()}", param)


class WithArgs(click.Command):
    """A command that gives what follows ``--`` to the framework's program."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_ARGS] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


def _frameworks(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[str]:  # for completion
    from .. import frameworks

    return [name for name in frameworks.names() if name.startswith(incomplete)]


_TARGET = (
    click.argument("files", nargs=-1, required=True, type=click.Path()),
    click.option(
        "-f", "--framework", metavar="NAME", shell_complete=_frameworks,
        help="Who runs the files: pytest, jest, mocha, vitest, node, playwright, cypress, "
        "unittest, go, cargo, ctest or command.  [default: by the files, and package.json]",
    ),
    click.option(
        "--command", "template", type=Words(), metavar="TEMPLATE",
        help="A command line for each file, with {file}, {dir}, {name}, {stem}, and {report} if "
        "it writes JUnit XML there. No shell reads it.",
    ),
)  # fmt: skip

_PLACE = (
    click.option("-C", "--cwd", type=click.Path(), metavar="DIR", help="The project's folder."),
    click.option(
        "-e", "--env", "env", type=Change(), multiple=True,
        help="Set a variable for the tests; NAME= is an empty one.",
    ),
    click.option("--unset", multiple=True, metavar="NAME", help="Take a variable away."),
    click.option("--warm", is_flag=True, help="pytest: fork from an interpreter that is ready."),
)  # fmt: skip

_LIMITS = (
    click.option("--memory", type=Bytes(), default=0, metavar="SIZE",
                 help="Private memory of each process, such as 512M."),
    click.option("--cpu-seconds", type=click.IntRange(0), default=0, metavar="N",
                 help="Processor time of each process."),
    click.option("--open-files", type=click.IntRange(0), default=0, metavar="N",
                 help="Descriptors of each process."),
    click.option("--grace", type=click.FloatRange(0, 1e6), default=2.0, show_default=True,
                 metavar="S", help="Seconds between asking a process to end, and killing it."),
    click.option("--output-bytes", type=Bytes(), default=64 << 10, metavar="SIZE",
                 help="Kept of what a file prints, from both ends.  [default: 64K]"),
)  # fmt: skip

_OUTPUT = (
    click.option("--json", "json_path", type=click.Path(allow_dash=True), metavar="PATH",
                 help="Write the result as JSON; - is standard output."),
    click.option("--html", type=click.Path(), metavar="PATH",
                 help="Write the result as one page for a browser."),
    click.option("--metrics", type=click.Path(), metavar="PATH",
                 help="Write the run's numbers as OpenMetrics text."),
    click.option("--json-lines", is_flag=True,
                 help="Each event as a line of JSON on standard output, as it happens."),
    click.option("-v", "--verbose", is_flag=True, help="Say each start, attempt and retry."),
    click.option("-q", "--quiet", is_flag=True, help="Say only what failed, and the sum."),
)  # fmt: skip


def _all(options: Sequence[Callable[[Any], Any]]) -> Callable[[_F], _F]:
    def add(function: _F) -> _F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


target = _all(_TARGET)
place = _all(_PLACE)
limits = _all(_LIMITS)
output = _all(_OUTPUT)


@dataclass(frozen=True)
class Output:
    """Where a command's words and results go."""

    json_path: str | None
    html: str | None
    metrics: str | None
    json_lines: bool
    verbose: bool
    quiet: bool

    @property
    def stream(self) -> TextIO:
        """For people: standard output, unless JSON has that."""
        taken = self.json_lines or self.json_path == "-"
        return sys.stderr if taken else sys.stdout

    @property
    def reports(self) -> bool:
        """Whether something is made of the result that needs all of it."""
        return self.html is not None or self.metrics is not None

    def check(self) -> None:
        """Raises: ``Wrong`` for what does not go together, or cannot be written."""
        if self.json_lines and self.json_path == "-":
            raise Wrong("--json-lines and --json=-: both want standard output")
        taken: set[str] = set()
        for option, path in (
            ("--json", self.json_path),
            ("--html", self.html),
            ("--metrics", self.metrics),
        ):
            if path is None:
                continue
            if option != "--json":
                check_own(option, path, taken)
            check_writable(option, path)
            taken.add(os.path.realpath(path))
        if not self.reports:
            return
        from .. import htmlreport, openmetrics

        for option, path, missing in (
            ("--html", self.html, htmlreport.missing),
            ("--metrics", self.metrics, openmetrics.missing),
        ):
            trouble = missing() if path is not None else None
            if trouble is not None:
                raise Wrong(f"{option}: {trouble}")


@dataclass(frozen=True)
class Given(Output):
    """What both commands have been given, as ``click`` took it."""

    files: tuple[str, ...]
    framework: str | None
    template: list[str] | None
    cwd: str | None
    env: tuple[tuple[str, str], ...]
    unset: tuple[str, ...]
    warm: bool
    memory: int
    cpu_seconds: int
    open_files: int
    grace: float
    output_bytes: int

    def check(self) -> None:
        """Raises: ``Wrong`` for what does not go together, or cannot be written."""
        if self.verbose and self.quiet:
            raise Wrong("--verbose and --quiet: take one of them")
        super().check()

    def settings(self) -> Settings:
        """How the files' commands are made."""
        from ..agents.running import Settings
        from ..agents.session import Limits

        for name in self.unset:
            if not name or "=" in name:
                raise Wrong(f"--unset: takes the name of a variable, not {name!r}")
        changes: dict[str, str | None] = {**dict(self.env), **dict.fromkeys(self.unset)}
        return Settings(
            args=click.get_current_context().meta.get(_ARGS, ()),
            cwd=self.cwd, env=changes, template=self.template, warm=self.warm,
            limits=Limits(self.memory, self.cpu_seconds, self.open_files),
            grace=self.grace, output_bytes=self.output_bytes, outputs=self.reports,
        )  # fmt: skip


def check_own(option: str, path: str, taken: set[str]) -> None:
    """Raises: ``Wrong`` where the path is no file's, or one that something else is written to."""
    if path == "-" or os.path.realpath(path) in taken:
        raise Wrong(f"{option}: takes the path of a file of its own")


def check_writable(option: str, path: str) -> None:
    """Raises: ``Wrong`` where a file cannot be written there, before anything runs."""
    if path == "-":
        return
    if path == "":
        raise Wrong(f"{option}: takes a path")
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path) or not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        what = "is a folder" if os.path.isdir(path) else f"cannot be written in {folder}"
        raise Wrong(f"{option}: {path} {what}")
