"""`qe demo`: what it shows is true, and it leaves nothing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cli_help import Cli, cli

__all__ = ["cli"]


def test_all_that_it_shows_passes_and_stays_where_it_was_asked_for(cli: Cli) -> None:
    done = cli.run("demo", "shop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("layer    core_integration succeeded") == 3
    assert "e2e_background/buy" in done.stdout and "passed   fast_feedback/unit" in done.stdout
    assert cli.exists("shop/test_layers.yaml")
    assert cli.run("layers", "validate", cwd="shop").returncode == 0
    assert "shop is there already" in cli.refused("demo", "shop")


def test_without_a_folder_it_is_gone_in_the_end(cli: Cli, tmp_path: Path) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    done = cli.run("demo", env={**os.environ, "TMPDIR": str(place)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"A sample project is in {place}" in done.stdout
    assert not [name for name in os.listdir(place) if name.startswith("qe-demo-")]
    assert tempfile.gettempdir() != str(place)
