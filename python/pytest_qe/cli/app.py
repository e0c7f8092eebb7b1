"""The commands, each in a module of its own that is imported when it is used."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from . import ends
from .safe import shown

_WHERE = {
    "exec": ".executing",
    "hunt": ".hunting",
    "run": ".running",
    "layer": ".layering",
    "layers": ".layering",
    "queue": ".queueing",
    "history": ".history",
    "ui": ".ui",
    "show": ".stored",
    "store": ".stored",
    "doctor": ".doctor",
    "quarantine": ".quarantine",
    "shard-verify": ".shards",
    "shard-durations": ".shards",
    "demo": ".demo",
    "completion": ".completion",
}

EXAMPLES = """\b
Examples:
  qe exec test_*.py             run test files, each until it passes
  qe hunt --preset=thorough tests/test_login.py
  qe history                    what fails, is flaky, or takes long
  qe ui                         what runs now, and all of that, in a browser
  qe doctor                     what is missing here, and how to get it
"""


class _NobodyReads(Exception):
    """A broken pipe; of those click makes an exit status of its own."""


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _NobodyReads from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_WHERE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _WHERE:
            return None
        module = importlib.import_module(_WHERE[cmd_name], __package__)
        command: click.Command = getattr(module, cmd_name.replace("-", "_") + "_command")
        return command


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from .. import _core

        click.echo(f"qe {_core.VERSION}")
        ctx.exit()


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"{EXAMPLES}\n\n{ends.STATUSES}",
    no_args_is_help=True,
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
    help="Show the version.",
)  # fmt: skip
def commands() -> None:
    """Runs test files of any framework, finds those that are flaky, and tells what is
    remembered of them."""


def _program() -> str:
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    return "python -m pytest_qe" if name == "__main__.py" else "qe"


def _nobody_reads() -> int:
    """What is still in buffers has nowhere to go: the interpreter must not try at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    return ends.NO_READER


def run(argv: Sequence[str] | None = None) -> int:
    """Runs one command; every error is one line."""
    try:
        try:
            found = commands.main(
                args=None if argv is None else list(argv),
                prog_name=_program(),
                standalone_mode=False,
            )
            if sys.stdout is not None:  # it is, where it was closed before the start
                sys.stdout.flush()
            return found if isinstance(found, int) else ends.OK
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            return ends.USAGE
        except ends.Refused as error:
            for line in error.lines:
                _tell(line, error.exit_code)
            return error.exit_code
        except click.ClickException as error:
            return _tell(error.format_message(), error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            return ends.INTERRUPTED + 2
        except ImportError as error:
            if error.name == "pytest_qe._core":
                return _tell("the core of qe needs Linux and CPython", ends.CANNOT)
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return _tell(f"{where}{error.strerror or error}", ends.CANNOT)
        except _NobodyReads:
            raise
        except Exception as error:
            from ..errors import QeError

            if isinstance(error, QeError):
                return _tell(str(error), ends.CANNOT)
            raise
    except (BrokenPipeError, _NobodyReads):
        return _nobody_reads()


def _tell(text: str, status: int) -> int:
    print(f"error: {shown(' '.join(text.split()))}", file=sys.stderr)
    sys.stderr.flush()
    return status
