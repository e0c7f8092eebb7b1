"""``qe layer`` and ``qe layers``: a project's tests by their layers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from . import ends
from .background import cancel_command, logs_command, status_command, wait_command
from .ends import Failed, Wrong
from .layeroptions import config_option, env_option, plans_of, run_options
from .options import Output
from .queueoptions import check_server, queue_options, shared_of

if TYPE_CHECKING:
    from .screen import Screen

Event = dict[str, Any]
_MOST_LINES = 20  # of what a category has printed

EXAMPLES = """\b
Examples:
  qe layer fast_feedback                 run a layer of test_layers.yaml
  qe layer core_integration --env=staging --strategy=hybrid --json=result.json
  qe layers list
  qe layers graph --mermaid
"""


_STRATEGIES = {
    "sequential": "sequential", "parallel": "parallel_unlimited", "limited": "parallel_limited",
    "hybrid": "hybrid_smart",
}  # fmt: skip


class _Layer(click.Group):
    """`qe layer NAME` is `qe layer run NAME`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Layer, epilog=f"{EXAMPLES}\n\n{ends.STATUSES}", no_args_is_help=True)
def layer_command() -> None:
    """Run layers of a project's tests (`qe layer NAME...` is `qe layer run NAME...`), and look
    after those that run in the background."""


@layer_command.command("run", epilog=f"{EXAMPLES}\n\n{ends.STATUSES}")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@run_options
@queue_options
@click.option(
    "--strategy",
    type=click.Choice(list(_STRATEGIES)),
    help="How categories run, instead of what the layer says.",
)
@click.option(
    "--background", is_flag=True, help="Return at once; `qe layer status` tells what became of it."
)
def run_command(
    names: tuple[str, ...],
    config: str | None,
    env: str | None,
    max_parallel: int | None,
    timeout_multiplier: float,
    fail_fast: bool | None,
    real: bool,
    strategy: str | None,
    background: bool,
    queue: dict[str, Any],
    **given: Any,
) -> int:  # fmt: skip
    """Run layers of test_layers.yaml; those that they depend on run only if they are named."""
    from ..orchestration.agent import (
        ExecutionStrategy,
        LayerExecutionAgent,
        LayerExecutionConfig,
    )
    from ..orchestration.background import telling

    output = Output(**given)
    output.check()
    if background and queue["queue_url"] is not None:
        raise Wrong("--queue: nodes share what they wait for, so it takes no --background")
    if background:
        return _start(plans_of(config, env), names, sys.argv[1:])
    agent = LayerExecutionAgent(config)
    with telling(config) as tell:
        plans = plans_of(config, env)
        chosen = LayerExecutionConfig(
            environment=env,
            execution_strategy=ExecutionStrategy(_STRATEGIES[strategy]) if strategy else None,
            fail_fast_enabled=fail_fast,
            timeout_multiplier=timeout_multiplier,
            max_parallel=max_parallel,
            force_real_services=real,
            shared=shared_of(queue, os.path.dirname(os.path.abspath(plans.config.file))),
        )
        result, status = show(agent, agent.stream(names, chosen, plans=plans), plans, names, output)
        tell(result, status > ends.INTERRUPTED)
    return status


def _start(plans: Any, names: tuple[str, ...], words: list[str]) -> int:
    """What can be wrong is told here, where somebody looks."""
    from ..orchestration.background import Background

    for name in names:
        trouble = plans.missing(name)
        if trouble:
            raise Wrong(*trouble)
    given = [word for word in words[1:] if word != "--background"]
    if given[:1] == ["run"]:
        del given[0]
    run = Background(plans.config.folder).start(
        names, [*given, f"--config={os.path.abspath(plans.config.file)}"]
    )
    click.echo(f"{run.id}  {', '.join(names)} in the background; its end: qe layer wait {run.id}")
    return 0


def show(
    agent: Any,
    stream: Any,
    plans: Any,
    names: Sequence[str],
    output: Output,
    how: str = "",
) -> tuple[Event, int]:
    """Runs a stream of layers, shows what happens, and sums up.

    Returns: its result, and the exit status.
    """
    from ..orchestration.stage import GRACE_S
    from . import actions
    from .driving import EventView, carry_out
    from .recorded import of_layers
    from .screen import Screen, many

    layers = plans.merged["layers"]
    total = sum(len(layers[name]["categories"]) for name in names if name in layers)
    title = "" if not names else f"{many(total, 'category', 'categories')} of {', '.join(names)}"
    screen = Screen(
        output.stream, total, lambda event: _line(event, output.verbose),
        quiet=output.quiet, title=f"{title} ({how})" if how and title else title,
    )  # fmt: skip

    def summary(result: Event) -> None:
        _failures(screen, result)
        for line, style in _sum(result):
            screen.say(line, style)
        for line in result.get("shared", {}).get("lines", ()):
            screen.note(line)

    result, status = carry_out(
        agent,
        stream,
        EventView(screen, output.json_lines, _as_of_files),
        GRACE_S,
        output,
        summary=summary,
        bad=lambda result: not result["success"],
        recorded=lambda result: of_layers(result, layers, plans.config.folder),
        told=actions.of_layers,
    )
    check_server(result)
    return result, status


def _as_of_files(event: Event) -> Event:
    """An event as the screen knows those of files; ``told`` is what it was."""
    shown = {**event, "told": event["kind"]}
    if "category" in event:
        shown["file"] = f"{event['layer']}/{event['category']}"
    if event["kind"] in ("end", "skip"):
        shown["kind"] = "result"
        if event.get("again"):
            shown |= {"kind": "retry", "attempt": event["attempt"] + 1}  # the one that comes
        shown["passed"] = event.get("passed", True)  # one that is skipped has not failed
    return shown


def _counts(tests: dict[str, int] | None) -> str:
    if not tests:
        return ""
    parts = [
        f"{tests[name]} {name}" for name in ("passed", "failed", "errors", "skipped") if tests[name]
    ]
    return f"  ({', '.join(parts) or 'no tests'})"


def _line(event: Event, verbose: bool) -> tuple[str, str, bool] | None:
    from .screen import STYLES, seconds

    told = event["told"]
    if told == "end":
        outcome = event["outcome"]
        word = outcome if event["passed"] else outcome.upper()
        text = f"{word:8} {event['file']}  {seconds(event['seconds'])}{_counts(event['tests'])}"
        if "shared" in event:
            text += f"  {event['shared']['here']} of {event['shared']['units']} here"
        if event["again"]:
            text += f"  attempt {event['attempt'] - 1}, again"
        return text, STYLES.get(outcome, ""), True
    if told == "skip":
        of = f": {event['of']}" if event["of"] else ""
        return f"skipped  {event['file']}  {WHY[event['why']]}{of}", "yellow", True
    if told == "layer":
        rate = f", {event['pass_rate']:.1f} % of tests" if event["pass_rate"] is not None else ""
        word = "succeeded" if event["success"] else "FAILED"
        style = "green" if event["success"] else "bold red"
        return f"layer    {event['layer']} {word}{rate}", style, True
    if told == "service" and "message" in event:
        return event["message"], "bold red", True
    if told == "background":
        return f"started  {event['layer']}  in the background: {event['run']['id']}", "", True
    if told == "others":
        left = f"{event['left']} of {event['units']}"
        text = f"waits    {event['file']}  for other nodes, which run the last {left}"
        return text, "yellow", True
    if told == "wait":
        names = ", ".join(event["names"])
        return f"waits    {event['file']}  another run has {names}", "yellow", True
    if not verbose:
        return None
    if told == "service":
        return f"service  {event['service']} {event['state']}", "dim", True
    if told == "start":
        return f"start    {event['file']}  attempt {event['attempt']}", "dim", True
    return None


WHY = {
    "dependency": "it needs what did not pass", "layer": "its layer needs what did not succeed",
    "fail_fast": "its layer fails fast", "limit": "the time of its layer is over",
    "cancelled": "the run was ended", "service": "a service that its layer needs is not there",
}  # fmt: skip


def _failures(screen: Screen, result: Event) -> None:
    for name, layer in result["layers"].items():
        for category, end in layer["category_results"].items():
            if end["passed"]:
                continue
            screen.say("")
            title = f"{end['outcome'].upper()} {name}/{category}: {end['ended']}"
            with screen.section(title, "bold red"):
                for line in _printed(end):
                    screen.say(f"  | {line}")
                if end["suggestion"]:
                    screen.say(f"  {end['suggestion']}", "yellow")


def _sum(result: Event) -> Iterator[tuple[str, str]]:
    from .screen import many, seconds

    passed = sum(
        end["passed"]
        for layer in result["layers"].values()
        for end in layer["category_results"].values()
    )
    ran = sum(len(layer["category_results"]) for layer in result["layers"].values())
    skipped = sum(len(layer["skipped"]) for layer in result["layers"].values())
    cut = sum(
        end["outcome"] == "interrupted"
        for layer in result["layers"].values()
        for end in layer["category_results"].values()
    )
    words = f"{many(ran, 'category', 'categories')}: {passed} passed"
    if ran > passed + cut:
        words += f", {ran - passed - cut} failed"
    if cut:
        words += f", {cut} interrupted"
    if skipped:
        words += f", {skipped} skipped"
    style = "green" if result["success"] else "bold red"
    if result["layers"]:
        yield f"{words}; {seconds(result['total_duration'])}", style


def _printed(end: Event) -> list[str]:
    """The last lines of what a category has printed; of its failures, if these are known."""
    lines: list[str] = []
    for failure in end["failures"][:5]:
        lines += [failure["name"], *(f"  {line}" for line in failure["message"].splitlines()[:6])]
    if not lines:
        lines = (end["stdout"] + end["stderr"]).rstrip().splitlines()
    return lines[-_MOST_LINES:]


for _command in (status_command, wait_command, cancel_command, logs_command):
    layer_command.add_command(_command)


# ------------------------------------------------------------------- qe layers


@click.group(no_args_is_help=True)
def layers_command() -> None:
    """Look at the layers of a project, or write their configuration."""


@layers_command.command("list")
@config_option
@env_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(config: str | None, env: str | None, as_json: bool) -> int:
    """Tell the layers and their categories."""
    from .driving import print_json

    plans = plans_of(config, env)
    if as_json:
        print_json(plans.merged["layers"], indent=2)
        return 0
    for name, layer in plans.merged["layers"].items():
        limit = layer.get("max_duration_minutes")
        about = layer.get("execution_mode", "sequential") + (f", {limit:g} min" if limit else "")
        click.echo(f"{name}  ({about})")
        for category in layer["categories"]:
            what = category.get("framework") or "command"
            click.echo(
                f"  {category['name']}  {what} {' '.join(category.get('paths', ()))}".rstrip()
            )
    return 0


@layers_command.command("validate")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@config_option
@env_option
def validate_command(names: tuple[str, ...], config: str | None, env: str | None) -> int:
    """Look for mistakes: of the configuration, and of tools and paths that there are not."""
    plans = plans_of(config, env)
    found = [line for name in names or plans.layers() for line in plans.missing(name)]
    if found:
        raise Failed(*dict.fromkeys(found))
    count = len(names or plans.layers())
    click.echo(f"{plans.config.file}: {count} layer{'s' if count > 1 else ''}, no mistakes")
    return 0


@layers_command.command("graph")
@config_option
@env_option
@click.option("--mermaid", is_flag=True, help="As a Mermaid flowchart.")
def graph_command(config: str | None, env: str | None, mermaid: bool) -> int:
    """Draw what depends on what, in the order in which it would run."""
    from ..orchestration.graphs import as_mermaid, as_text

    plans = plans_of(config, env)
    plan = plans.prepare({}).plan
    click.echo(as_mermaid(plan) if mermaid else as_text(plan))
    return 0


@layers_command.command("init")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@click.argument("folder", required=False, type=click.Path(), metavar="[FOLDER]")
def init_command(folder: str | None, force: bool) -> int:
    """Write a test_layers.yaml with the tests that are found in a project."""
    from ..orchestration import defaults
    from ..orchestration.mistakes import ConfigError

    try:
        written = defaults.write(folder or os.curdir, force=force)
    except ConfigError as error:
        raise Failed(*error.lines()) from None
    click.echo(f"{written}")
    return 0
