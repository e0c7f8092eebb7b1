"""``qe ui``: what runs now, and what the history knows, in a browser."""

from __future__ import annotations

import threading
from pathlib import Path

import click

from . import ends
from .ends import Cannot, Wrong
from .history import history_option

PORT = 7357
#: What `pytest-qe[ui]` brings.
_PACKAGES = ("psutil", "starlette", "uvicorn", "anyio", "h11")

EXAMPLES = """\b
Examples:
  qe ui
  qe ui --port=0 --open
  qe ui --quarantine=held.toml

Exit status: 2: wrong usage, or a package is missing; 3: it cannot listen; 130: ended by Ctrl-C.
"""


def _open(url: str) -> None:
    """Opens a browser; without the token, since anybody here sees the words of a command."""
    import webbrowser

    if not webbrowser.open(url):
        click.echo("no browser was found", err=True)


@click.command(epilog=EXAMPLES)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, metavar="N",
    help="Where to listen; 0: any port that is free.",
)  # fmt: skip
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
    help="The address to listen at; one that other machines reach needs --allow-remote.",
)  # fmt: skip
@click.option(
    "--allow-remote", is_flag=True,
    help="Let whoever reaches --host see the tests, without encryption.",
)  # fmt: skip
@click.option(
    "--quarantine", type=click.Path(path_type=Path), metavar="FILE",
    help="The file of tests that are held.",
)  # fmt: skip
@click.option("--open", "opens", is_flag=True, help="Open it in a browser, without the token.")
@history_option
def ui_command(
    port: int, host: str, allow_remote: bool, quarantine: Path | None, opens: bool,
    history: Path | None,
) -> int:  # fmt: skip
    """Show in a browser what runs now, and what the history knows: runs and their timelines,
    each test's failures and durations over time, what is flaky, slow, or held, and layers.

    It listens on this machine alone. Actions (to end a background run, to hold a test) need the
    token that is part of the printed address.
    """
    from .. import _core  # noqa: F401 - says that it needs Linux before anything else is missing

    try:
        from ..ui import guard, project, routes, serving
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        raise Wrong(f"qe ui needs {error.name}: pip install 'pytest-qe[ui]'") from None
    if not (routes.PAGES / "index.html").is_file():
        raise Cannot(f"{routes.PAGES} is missing: run `make build/web.stamp` in the sources of qe")
    if not guard.is_loopback(host) and not allow_remote:
        raise Wrong(
            f"--host={host}: other machines may reach it, and whoever does sees the names, "
            "messages and output of tests, unencrypted: --allow-remote says that this is meant"
        )
    if quarantine is not None and quarantine.suffix not in (".json", ".toml"):
        raise Wrong(f"--quarantine={quarantine}: is neither .json nor .toml")
    from .. import places

    path = places.history_of_project() if history is None else history.absolute()
    if path.is_dir():
        raise Wrong(f"--history={path}: is a folder: takes the path of a file")
    if quarantine is None and history is not None:
        from .. import sharedhistory

        shared = sharedhistory.of(history)
        quarantine = None if shared is None else shared.quarantine
    looked = project.Project(path, None if quarantine is None else quarantine.absolute())

    def ready(url: str, token: str) -> None:
        click.echo(f"qe ui: {url}#token={token}")
        if not guard.is_loopback(host):
            click.echo("whoever reaches this address sees the tests; the token is for actions")
        click.echo("Ctrl-C ends it")
        if opens:
            threading.Thread(target=_open, args=(url,), daemon=True).start()

    try:
        number = serving.serve(looked, host, port, ready)
    except serving.CannotListen as error:
        raise Cannot(str(error)) from None
    return ends.OK if number is None else ends.INTERRUPTED + number
