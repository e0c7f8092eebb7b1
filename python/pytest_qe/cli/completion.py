"""``qe completion``: what a shell needs to complete the words of ``qe``."""

from __future__ import annotations

import click

from .ends import Failed

EXAMPLES = """\b
Examples:
  qe completion bash >> ~/.bashrc
  qe completion zsh >> ~/.zshrc
  qe completion fish > ~/.config/fish/completions/qe.fish
"""


@click.command(epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> int:
    """Print the script that makes a shell complete words of qe."""
    from click.shell_completion import get_completion_class

    from .app import commands

    kind = get_completion_class(shell)
    if kind is None:
        raise Failed(f"the installed click has no completion for {shell}")
    # Not by kind.source(): that of bash asks which bash there is here, and ends where it is old.
    made = kind(commands, {}, "qe", "_QE_COMPLETE")
    click.echo(made.source_template % made.source_vars())
    return 0
