"""What is said at the end of an execution or a hunt."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from ..agents.running import Settings
from ..frameworks import FrameworkError, command_for
from .safe import command_line, first_lines, last_lines
from .screen import STYLES, many, seconds

if TYPE_CHECKING:
    from .screen import Screen

Event = dict[str, Any]
STOPPED = ("not_run", "interrupted")
_LINES = 20  # of the output of a failure
_MOST_TESTS = 10  # named of a file


def counted(tests: dict[str, int] | None) -> str:
    """Counts of tests in words; "" where there are none."""
    if not tests:
        return ""
    parts = [
        many(tests[name], "error") if name == "errors" else f"{tests[name]} {name}"
        for name in ("passed", "failed", "errors", "skipped")
        if tests.get(name)
    ]
    return ", ".join(parts) or "no tests"


def how_it_ended(result: Event) -> str:
    """What is to be said of a file beside its outcome."""
    parts = []
    if result["tests"]:
        parts.append(
            many(result["tests"]["total"], "test")
            if result["outcome"] == "passed"
            else counted(result["tests"])
        )
    if not result["passed"] and result["outcome"] not in STOPPED:
        parts.append(result["ended"])
    if result["attempts"] > 1:
        parts.append(many(result["attempts"], "attempt"))
    return "".join(f", {part}" for part in parts)


def replay_line(file: str, framework: str, settings: Settings) -> str | None:
    """The command line that runs a file alone, to be copied."""
    try:
        command = command_for(
            framework, file, args=settings.args, cwd=settings.cwd, env=settings.env,
            template=settings.template,
        )  # fmt: skip
    except (FrameworkError, OSError):
        return None  # it has gone since
    return command_line(command.argv, command.cwd, command.env)


def proof_line(proof: str, file: str, settings: Settings) -> str:
    """The command line of a hunt's cause, ``pytest ...``, as one for any folder: with the
    pytest, the folder and the environment that the file ran in."""
    try:
        command = command_for(
            "pytest", file, args=settings.args, cwd=settings.cwd, env=settings.env
        )  # fmt: skip
    except (FrameworkError, OSError):
        return proof
    return command_line([command.argv[0], *shlex.split(proof)[1:]], command.cwd, command.env)


def said(result: Event) -> list[tuple[str, list[str]]]:
    """What to show of what a failed file printed: titles, and lines.

    Where tests are named, what was printed adds to it, and one stream will do; where none
    is, as after a crash, the reason may be in either.
    """
    out, err = (last_lines(result[name], _LINES) for name in ("stdout", "stderr"))
    if result["outcome"] == "crashed":  # stacks begin with what happened, and where
        err = first_lines(result["stderr"], _LINES)
    end = "first" if result["outcome"] == "crashed" else "last"
    told = [
        (f"{name}, {which} {many(len(lines), 'line')}", lines)
        for name, which, lines in (("stdout", "last", out), ("stderr", end, err))
        if lines
    ]
    if not result["failures"] or len(told) < 2:
        return told
    # Programs that complain on the standard error, and say little beside it.
    return told[1:] if len(result["stdout"].strip().splitlines()) < 3 else told[:1]


def summary(screen: Screen, result: Event, settings: Settings) -> None:
    """Prints each failure, and the sum of all."""
    results = result["results"]
    for one in results:
        if not one["passed"] and one["outcome"] not in STOPPED:
            _failure(screen, one, result["framework"], settings)
    stopped = [one["file"] for one in results if one["outcome"] in STOPPED]
    flaky = [one for one in results if one["outcome"] == "flaky"]
    if flaky:
        screen.say("")
        for one in flaky:
            screen.say(f"flaky: {one['file']} passed on attempt {one['attempts']}", "yellow")
    for warning in result["warnings"]:
        screen.say(f"warning: {warning}", "yellow")
    screen.say("")
    if result["interrupted"]:
        known = result["total"] - len(stopped)
        files = many(result["total"], "file")
        screen.say(f"interrupted: {known} of {files} ran to the end", "yellow")
    failed = result["failed"] - len(stopped)
    style = "bold red" if failed else "bold yellow" if flaky or stopped else "bold green"
    screen.say(_sum(result, failed, len(stopped), len(flaky)), style)


def _sum(result: Event, failed: int, stopped: int, flaky: int) -> str:
    passed = f"{result['passed']} passed" + (f" ({flaky} flaky)" if flaky else "")
    parts = [passed]
    if failed:
        parts.append(f"{failed} failed")
    if stopped:
        parts.append(f"{stopped} not run to the end")
    text = f"{many(result['total'], 'file')}: {', '.join(parts)}"
    if result["tests"]:
        text += f"; {many(result['tests']['total'], 'test')}: {counted(result['tests'])}"
    for number, one, more in (
        (result["retries"], "retry", "retries"),
        (result["timeouts"], "timeout", "timeouts"),
    ):
        if number:
            text += f"; {many(number, one, more)}"
    return f"{text}; {seconds(result['execution_time'])}"


def _failure(screen: Screen, one: Event, framework: str, settings: Settings) -> None:
    screen.say("")
    word = one["outcome"].upper()
    title = f"{word} {one['file']}  {seconds(one['duration'])}{how_it_ended(one)}"
    with screen.section(title, STYLES["failed"]):
        _details(screen, one, framework, settings)


def _details(screen: Screen, one: Event, framework: str, settings: Settings) -> None:
    for failure in one["failures"][:_MOST_TESTS]:
        head = next(iter(last_lines(failure["message"].split("\n")[0], 1, 200)), "")
        screen.say(f"  {failure['name']}" + (f": {head}" if head else ""))
    if len(one["failures"]) > _MOST_TESTS:
        screen.say(f"  and {len(one['failures']) - _MOST_TESTS} more")
    for title, lines in said(one):
        screen.say(f"  {title}:", "dim")
        for line in lines:
            screen.say(f"  | {line}")
    replay = replay_line(one["file"], framework, settings)
    if replay is not None:
        screen.say("  run it alone:", "dim")
        screen.say(f"    {replay}", "cyan")
