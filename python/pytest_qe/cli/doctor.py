"""``qe doctor``: what is here, what is missing, and how to get it."""

from __future__ import annotations

import json

import click

from . import ends
from .layeroptions import config_option, env_option

EXAMPLES = """\b
Examples:
  qe doctor
  qe doctor --layers --env=staging
  qe doctor --json | jq '.checks[] | select(.state == "broken")'

Exit status: 0; 1: something that qe needs is broken. What only some project needs (a framework
that is not installed) is no problem.
"""


@click.command(epilog=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--layers",
    is_flag=True,
    help="Instead: what the layers of test_layers.yaml need, and services.",
)
@config_option
@env_option
def doctor_command(as_json: bool, layers: bool, config: str | None, env: str | None) -> int:
    """Look for the tools of all frameworks, their versions, the limits of this machine, and
    what is missing."""
    from .checks import checks, checks_of_layers
    from .screen import console_on

    found = checks_of_layers(config, env) if layers else checks()
    broken = [one for one in found if one.state == "broken"]
    if as_json:
        made = {"ok": not broken, "checks": [one.as_dict() for one in found]}
        click.echo(json.dumps(made, indent=2))
        return ends.FAILED if broken else ends.OK
    from rich.text import Text

    from .safe import shown

    console = console_on()
    width = max(len(one.name) for one in found)
    marks = {
        "ok": ("ok", "green"), "none": ("-", "dim"), "poor": ("!", "yellow"),
        "broken": ("BROKEN", "bold red"),
    }  # fmt: skip
    for one in found:
        word, style = marks[one.state]
        line = Text(f"{word:>6}  ", style) + Text(f"{one.name:{width}}  {shown(one.says)}")
        if one.remedy and one.state == "none":
            line.append(f": {shown(one.remedy)}", "dim")
        console.print(line, soft_wrap=True)
        if one.remedy and one.state != "none":
            console.print(Text(f"{'':8}{'':{width}}  {shown(one.remedy)}", style), soft_wrap=True)
    count = f"{len(broken)} of these must be mended" if broken else "all that qe needs is here"
    console.print(Text(count, "bold red" if broken else "bold green"))
    return ends.FAILED if broken else ends.OK
