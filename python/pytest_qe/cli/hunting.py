"""``qe hunt``: runs test files many times, and judges them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from . import ends, options
from .ends import Wrong
from .options import Given, WithArgs
from .queueoptions import bad_elsewhere, check_server, queue_options, shared_of

if TYPE_CHECKING:
    from ..agents import AlcallParams
    from .screen import Screen

Event = dict[str, Any]

EXAMPLES = """\b
Examples:
  qe hunt test_login.py                     10 runs of it
  qe hunt tests/ --preset=thorough --warm   20 of each
  qe hunt test_login.py --iterations=100 --adaptive --warm
  qe hunt tests/ --json=hunt.json -- -p no:randomly
  qe hunt tests/ --queue=rediss://queue.example.org --run=4711   one node of several

Files go two at a time, three runs of each at once. Which test of a pytest suite is flaky, and
why, is found faster from within it: pytest --qe-flaky-budget=60.
"""


@click.command(cls=WithArgs, epilog=f"{EXAMPLES}\n\n{ends.STATUSES}")
@options.target
@click.option(
    "-i",
    "--iterations",
    type=click.IntRange(1, 65536),
    metavar="N",
    help="Runs of each file.  [default: 10]",
)
@click.option(
    "--preset",
    type=click.Choice(["quick", "thorough", "research"]),
    help="Runs of each file by name: 5, 20 or 50.",
)
@click.option(
    "-n",
    "--max-concurrent",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Runs of one file at once.  [default: 3]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, 1e9),
    metavar="S",
    help="Seconds for a run; 0: no limit.  [default: 30]",
)
@click.option(
    "--throttle",
    type=click.FloatRange(0, 1e9),
    metavar="S",
    help="Seconds between two starts.  [default: 0.2]",
)
@click.option(
    "--adaptive",
    is_flag=True,
    help="Runs of all files together, as many as the machine has room for.",
)
@click.option(
    "--causes/--no-causes",
    default=True,
    show_default=True,
    help="Look for the causes by experiment: some 15 s for a flaky file.",
)
@options.place
@options.limits
@options.output
@queue_options
def hunt_command(
    iterations: int | None,
    preset: str | None,
    max_concurrent: int | None,
    timeout: float | None,
    throttle: float | None,
    adaptive: bool,
    causes: bool,
    queue: dict[str, Any],
    **given: Any,
) -> int:  # fmt: skip
    """Run each test file many times, and tell those that pass only sometimes."""
    what = Given(**given)
    what.check()
    if iterations is not None and preset is not None:
        raise Wrong("--iterations and --preset: take one of them")
    changes = {
        "max_concurrent": max_concurrent, "retry_timeout": timeout, "throttle_period": throttle,
    }  # fmt: skip
    known = {name: of for name, of in changes.items() if of is not None}
    try:
        return _Hunt(what, iterations or preset or 10, known, adaptive, causes, queue).run()
    except (ValueError, TypeError) as error:
        raise Wrong(str(error)) from None


def _params(changes: dict[str, Any], adaptive: bool) -> AlcallParams:
    from ..agents import AlcallParams
    from ..agents.hunter import RUNS

    params = RUNS.replace(**changes)
    if not adaptive:
        return params
    policy = {
        name: getattr(params, name)
        for name in ("max_concurrent", "retry_attempts", "retry_timeout", "throttle_period")
    }
    return AlcallParams.adaptive(most=max(32, params.max_concurrent), **policy)


class _Hunt:
    def __init__(
        self,
        given: Given,
        iterations: int | str,
        changes: dict[str, Any],
        adaptive: bool,
        causes: bool,
        queue: dict[str, Any],
    ) -> None:
        from ..agents import FlakyTestHunterAgent
        from ..agents.hunter import PRESETS
        from ..choosing import chosen

        self.given, self.iterations = given, iterations
        self.count = PRESETS[iterations] if isinstance(iterations, str) else iterations
        self.params = _params(changes, adaptive)
        self.files, self.framework, self.why = chosen(
            given.files, given.framework, given.cwd, given.template
        )
        settings = given.settings()
        self.settings = replace(settings, shared=shared_of(queue, settings.folder()))
        self.agent = FlakyTestHunterAgent("qe", settings=self.settings, causes=causes)

    def run(self) -> int:
        from . import actions
        from .driving import EventView, carry_out
        from .recorded import of_hunt
        from .screen import Screen, many

        given = self.given
        screen = Screen(
            given.stream, len(self.files) * self.count, self._line, quiet=given.quiet,
            title=f"{many(self.count, 'run')} of {many(len(self.files), 'file')} by "
            f"{self.framework} ({self.why})",
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the result has them
            result, status = carry_out(
                self.agent,
                self.agent.stream(self.files, self.iterations, self.framework, self.params),
                EventView(screen, given.json_lines),
                given.grace,
                given,
                summary=lambda result: self._summary(screen, result),
                bad=lambda result: bool(result["flaky_tests"]) or bad_elsewhere(result, "flaky"),
                recorded=lambda result: of_hunt(result, self.settings),
                told=lambda result: actions.of_hunt(result, self.settings.folder()),
            )
        check_server(result)
        return status

    def _line(self, event: Event) -> tuple[str, str, bool] | None:
        from .screen import STYLES, seconds
        from .summing import how_it_ended

        if event["kind"] == "judged":
            if event["is_flaky"]:
                return f"FLAKY    {event['file']}  {_rate(event)}", "bold red", True
            word, style = _steady(event)
            text = f"{word:8} {event['file']}  {event['passed']} of {event['iterations']} passed"
            return text, style, True
        if event["kind"] == "result" and self.given.verbose:
            text = (
                f"{event['outcome']:8} {event['file']}  run {event['run'] + 1}, "
                f"{seconds(event['duration'])}{how_it_ended(event)}"
            )
            return text, STYLES.get(event["outcome"], ""), True
        return None

    def _summary(self, screen: Screen, result: Event) -> None:
        from .screen import many, seconds
        from .summing import replay_line

        shared = result.get("shared")
        for line in () if shared is None else shared["lines"]:
            if not line.startswith("FAILED on some node"):  # one may fail in a hunt
                screen.note(line)
        if shared is not None and not shared["last"]:
            return
        for one in result["flaky_list"]:
            self._flaky(screen, one, replay_line(one["file"], self.framework, self.settings))
        for warning in result["warnings"]:
            screen.say(f"warning: {warning}", "yellow")
        screen.say("")
        if result["interrupted"]:
            planned = len(self.files) * self.count
            screen.say(f"interrupted: {result['total_runs']} of {many(planned, 'run')}", "yellow")
        steady = [_steady(one)[0] for one in result["files"] if not one["is_flaky"]]
        parts = [f"{result['flaky_tests']} flaky"]
        parts += [f"{steady.count(w)} {w}" for w in ("stable", "FAILING", "unknown") if w in steady]
        screen.say(
            f"{many(len(self.files), 'file')}: {', '.join(parts).lower()}; "
            f"{many(result['total_runs'], 'run')}; {seconds(result['execution_time'])}",
            "bold red" if result["flaky_tests"] else _calm(result, steady),
        )

    def _flaky(self, screen: Screen, one: Event, replay: str | None) -> None:
        screen.say("")
        with screen.section(f"FLAKY {one['file']}", "bold red"):
            self._details(screen, one, replay)

    def _details(self, screen: Screen, one: Event, replay: str | None) -> None:
        from .safe import last_lines
        from .summing import proof_line

        screen.say(f"  {_rate(one)}")
        marks = "".join("." if o in ("passed", "flaky") else "F" for o in one["outcomes"][:200])
        screen.say(f"  pattern: {one['pattern']}  {marks}")
        for failure in one["failures"][:10]:
            said = next(iter(last_lines(failure["message"].split("\n")[0], 1, 200)), "")
            screen.say(f"  {failure['name']}, failed in {failure['runs']}: {said}")
        for cause in one["likely_causes"][:5]:
            screen.say(f"  likely cause: {cause['cause']}, {cause['says']}", "yellow")
            if cause.get("culprits"):
                screen.say(f"    {', '.join(map(str, cause['culprits'][:5]))}")
        proofs = [c["replay"] for c in one["likely_causes"] if c.get("replay")]
        if proofs:
            screen.say("  make it fail:", "dim")
        for proof in proofs:
            screen.say(f"    {proof_line(proof, one['file'], self.settings)}", "cyan")
        if replay is not None:
            screen.say("  run it alone:", "dim")
            screen.say(f"    {replay}", "cyan")


def _rate(one: Event) -> str:
    low, high = one["interval"]
    rate = one["failed"] / one["iterations"]
    return (
        f"failed {one['failed']} of {one['iterations']} runs: {rate:.0%}"
        f", {low:.0%} to {high:.0%} with a confidence of 95 %"
    )


def _calm(result: Event, steady: list[str]) -> str:
    return "bold green" if not result["interrupted"] and set(steady) <= {"stable"} else "yellow"


def _steady(one: Event) -> tuple[str, str]:
    if not one["iterations"]:
        return "unknown", "dim"
    return ("stable", "green") if one["passed"] == one["iterations"] else ("FAILING", "red")
