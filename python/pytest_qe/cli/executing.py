"""``qe exec``: runs test files, each until it passes or has no attempt left."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from . import ends, options
from .ends import Wrong
from .options import Given, WithArgs
from .queueoptions import bad_elsewhere, check_server, queue_options, shared_of

if TYPE_CHECKING:
    from ..agents import AlcallParams

Event = dict[str, Any]

EXAMPLES = """\b
Examples:
  qe exec test_login.py test_bank.py
  qe exec tests/                       its test files, as the framework calls them
  qe exec 'tests/**/test_*.py' --attempts=1 --timeout=120
  qe exec --warm --preset=fast tests/ -- -k 'not slow'
  qe exec -f go pkg/bank pkg/login
  qe exec --command='sh {file}' checks/*.sh --junit=out.xml
  qe exec tests/ --queue=rediss://queue.example.org --run=4711   one node of several
  qe exec tests/ --json-lines | jq -r 'select(.kind == "result") | .file'

A folder stands for the framework's usual test files in it and below (pytest: test_*.py and
*_test.py); go takes folders of packages, cargo and ctest theirs. What follows -- is for the
framework's program. A file that passes only on a retry counts as passed, and is called flaky.
"""


@click.command(cls=WithArgs, epilog=f"{EXAMPLES}\n\n{ends.STATUSES}")
@options.target
@click.option(
    "-n",
    "--max-concurrent",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Files at once.  [default: 10]",
)
@click.option(
    "--attempts",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Attempts in all for a file; 1 is no retry.  [default: 3]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, 1e9),
    metavar="S",
    help="Seconds for an attempt; 0: no limit.  [default: 60]",
)
@click.option(
    "--backoff",
    type=click.FloatRange(0, 1e9),
    metavar="S",
    help="Seconds before the second attempt; doubles.  [default: 2]",
)
@click.option(
    "--throttle",
    type=click.FloatRange(0, 1e9),
    metavar="S",
    help="Seconds between two starts.  [default: 0.1]",
)
@click.option(
    "--preset",
    type=click.Choice(["default", "fast", "stability", "constrained"]),
    default="default",
    help="Where the five above begin.",
)
@click.option("--adaptive", is_flag=True, help="More or fewer at once, as the machine has room.")
@options.place
@options.limits
@queue_options
@click.option("--junit", type=click.Path(), metavar="PATH", help="Write the result as JUnit XML.")
@options.output
def exec_command(
    max_concurrent: int | None,
    attempts: int | None,
    timeout: float | None,
    backoff: float | None,
    throttle: float | None,
    preset: str,
    adaptive: bool,
    junit: str | None,
    queue: dict[str, Any],
    **given: Any,
) -> int:  # fmt: skip
    """Run test files, each in a process of its own and until it passes, many at once."""
    what = Given(**given)
    what.check()
    if junit is not None:
        others = (path for path in (what.json_path, what.html, what.metrics) if path is not None)
        options.check_own("--junit", junit, set(map(os.path.realpath, others)))
        options.check_writable("--junit", junit)
    changes = {
        "max_concurrent": max_concurrent, "retry_attempts": attempts, "retry_timeout": timeout,
        "retry_backoff": backoff, "throttle_period": throttle,
    }  # fmt: skip
    try:
        params = _params(preset, changes, adaptive)
        return _Execution(what, params, junit, queue).run()
    except (ValueError, TypeError) as error:
        raise Wrong(str(error)) from None


def _params(preset: str, changes: Mapping[str, Any], adaptive: bool) -> AlcallParams:
    from ..agents import AlcallParams

    params = AlcallParams.preset(preset)
    params = params.replace(**{name: of for name, of in changes.items() if of is not None})
    if not adaptive:
        return params
    return AlcallParams.adaptive(
        most=max(32, params.max_concurrent),
        **{name: getattr(params, name) for name in changes},
    )


class _Execution:
    def __init__(
        self, given: Given, params: AlcallParams, junit: str | None, queue: dict[str, Any]
    ) -> None:
        from ..agents import TestExecutorAgent
        from ..choosing import chosen

        self.given, self.params, self.junit = given, params, junit
        self.files, self.framework, self.why = chosen(
            given.files, given.framework, given.cwd, given.template
        )
        settings = given.settings()
        self.settings = replace(
            settings, cases=junit is not None, shared=shared_of(queue, settings.folder())
        )
        self.agent = TestExecutorAgent("qe", settings=self.settings)

    def run(self) -> int:
        from . import actions
        from .driving import EventView, carry_out
        from .expected import Expected
        from .recorded import of_execution
        from .screen import Screen, many
        from .summing import summary

        given = self.given
        expected = Expected(self.agent.memory, self.files, self.params.max_concurrent)
        screen = Screen(
            given.stream, len(self.files), self._line, quiet=given.quiet, left=expected.left,
            title=f"{many(len(self.files), 'file')} by {self.framework} ({self.why})",
        )  # fmt: skip

        def seen(event: Event) -> Event:
            expected.take(event)
            return event

        def summed(result: Event) -> None:
            summary(screen, result, self.settings)
            for line in result.get("shared", {}).get("lines", ()):
                screen.note(line)

        result, status = carry_out(
            self.agent,
            self.agent.stream(self.files, self.framework, self.params),
            EventView(screen, given.json_lines, seen),
            given.grace,
            given,
            summary=summed,
            bad=lambda result: bool(result["failed"]) or bad_elsewhere(result),
            write=self._write,
            recorded=lambda result: of_execution(result, self.settings, self._workers()),
            told=lambda result: actions.of_execution(result, self.settings.folder()),
        )
        check_server(result)
        return status

    def _workers(self) -> int | None:
        if self.params.limits is not None:
            return None
        return min(self.params.max_concurrent, len(self.files))

    def _write(self, result: Event) -> None:
        if self.junit is not None:
            from .junitfile import write_junit

            write_junit(self.junit, result, self.settings.folder())

    def _line(self, event: Event) -> tuple[str, str, bool] | None:
        from .screen import STYLES, seconds
        from .summing import how_it_ended

        kind = event["kind"]
        if kind == "result":
            outcome = event["outcome"]
            word = outcome if event["passed"] else outcome.upper()
            text = f"{word:8} {event['file']}  {seconds(event['duration'])}{how_it_ended(event)}"
            return text, STYLES.get(outcome, ""), outcome != "passed" or self.given.verbose
        if not self.given.verbose:
            return None
        if kind == "start":
            return f"start    {event['file']}", "dim", True
        if kind == "retry":
            delay = seconds(event["delay"])
            return f"retry    {event['file']}  attempt {event['attempt']} in {delay}", "dim", True
        if kind == "timeout":
            limit = seconds(event["limit"])
            return f"timeout  {event['file']}  attempt {event['attempt']}, {limit}", "dim", True
        if kind == "adapt":
            return (
                f"adapt    {event['running']} at once, {event['throttle']:g} s apart: "
                f"{event['why']}", "dim", True,
            )  # fmt: skip
        return None
