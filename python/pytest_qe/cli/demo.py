"""``qe demo``: what layers are, shown on a sample project."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from .ends import Cannot, Wrong

_SAMPLE = Path(__file__).parent.parent / "demo" / "shop"
_STEPS = (
    ("Its layers, and what is in them:", "layers list"),
    ("What depends on what:", "layers graph"),
    ("Whether all that it needs is here:", "doctor --layers"),
    ("The layer that gates every change:", "layer fast_feedback"),
    ("Integration tests, one after the other; the service is started and stopped:",
     "layer core_integration --strategy=sequential -v"),
    ("The same, as far as resources allow at once; two take turns with the database:",
     "layer core_integration -v"),
    ("All of it, layer by layer; end-to-end tests go on by themselves:", "run"),
    ("What became of those:", "layer wait {last}"),
    ("And what they printed:", "layer logs {last}"),
)  # fmt: skip


@click.command()
@click.argument("folder", required=False, type=click.Path(), metavar="[FOLDER]")
def demo_command(folder: str | None) -> int:
    """Show layers, strategies, resources, services and background runs on a sample project.

    It is copied into FOLDER, which must not be there, or into a temporary one, that is removed.
    """
    if folder is not None:
        place = Path(folder)
        if place.exists():
            raise Wrong(f"{folder} is there already: name a folder that is not")
        return _shown(place, keep=True)
    with tempfile.TemporaryDirectory(prefix="qe-demo-") as temporary:
        return _shown(Path(temporary, "shop"), keep=False)


def _shown(place: Path, *, keep: bool) -> int:
    try:
        shutil.copytree(_SAMPLE, place, ignore=shutil.ignore_patterns("__pycache__"))
        _fill(place)
    except OSError as error:
        raise Cannot(f"{error.filename}: {error.strerror}") from None
    click.secho(f"A sample project is in {place}", bold=True)
    worst = 0
    for title, words in _STEPS:
        click.secho(f"\n{title}", bold=True)
        given = words.format(last=_last(place)) if "{last}" in words else words
        click.secho(f"$ qe {given}", fg="cyan")
        sys.stdout.flush()
        worst = max(worst, _qe(place, given).returncode)
    if keep:
        click.secho(f"\nIt stays in {place}: look at test_layers.yaml, and try more.", bold=True)
    return worst


def _qe(place: Path, words: str, *, quiet: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_qe", *shlex.split(words)],
        cwd=place, text=True, check=False, stdout=subprocess.PIPE if quiet else None,
    )  # fmt: skip


def _last(place: Path) -> str:
    lines = _qe(place, "layer status", quiet=True).stdout.splitlines()
    return lines[-1].split()[0] if lines else "none"


def _fill(place: Path) -> None:
    """What differs from place to place: the interpreter, a free port, whether jest is here."""
    from .. import frameworks

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    path = place / "test_layers.yaml"
    text = path.read_text("utf-8").replace("@PORT@", str(port)).replace("@PYTHON@", sys.executable)
    if frameworks.find_tool(frameworks.lookup("jest"), place, os.environ) is None:
        at = text.index("      - name: frontend")
        end = text.index("  e2e_background:")
        text = f"{text[:at]}      # frontend: by jest, which is not here\n{text[end:]}"
        click.echo("jest is not found: the tests of web/ are left out")
    path.write_text(text, "utf-8")
