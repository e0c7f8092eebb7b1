"""Projects with tests, and what `qe layers init` makes of them."""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_qe.orchestration import checking, config
from pytest_qe.orchestration.defaults import text_for

TEST = "def test_one():\n    pass\n"
PACKAGE: dict[str, Any] = {"name": "x", "version": "1.0.0"}


def project(folder: Path, files: Mapping[str, str | dict[str, Any]]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    return folder


def layers_of(folder: Path) -> dict[str, Any]:
    """What is written for a project, read by the reader; all that it names is there."""
    written = text_for(folder)
    read = config.parse(written.text, str(folder / "test_layers.yaml"))
    assert checking.missing(read) == []
    for environment in (None, *read.environments):
        checking.checked(read, environment)
    data = read.data
    for name in re.findall(r"qe layer (\w+)' runs", written.text):
        assert name in data["layers"]
    for layer in data["layers"].values():
        names = [one["name"] for one in layer["categories"]]
        assert len(set(names)) == len(names)
        assert set(layer.get("dependencies", [])) <= set(data["layers"])
        for one in layer["categories"]:
            assert set(one.get("depends_on", [])) <= set(names)
            for path in one.get("paths", []):
                there = os.path.lexists(folder / path)
                assert there or glob.glob(path, root_dir=folder, recursive=True), path
    assert set(data["environment_overrides"]["staging"]["layers"]) <= set(data["layers"])
    layers: dict[str, Any] = data["layers"]
    return layers


def categories(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Of each category what it runs."""
    keys = ("framework", "paths", "markers", "args", "command")
    return {
        one["name"]: tuple(one[key] for key in keys if key in one)
        for layer in layers_of(folder).values()
        for one in layer["categories"]
    }


MARKED = {
    "pytest.ini": "[pytest]\nmarkers =\n    smoke\n    integration\n    db\n    critical\n",
    "tests/test_plain.py": TEST,
    "tests/test_mixed.py": """\
from pytest import mark
import pytest

@pytest.mark.smoke
def test_quick(): pass

@mark.integration
class TestThings:
    def test_slow(self): pass
    @pytest.mark.db
    def test_rows(self): pass

class TestMore:
    pytestmark = [pytest.mark.smoke()]
    def test_also_quick(self): pass

@pytest.mark.parametrize("n", [1, 2])
def test_unit(n): pass
""",
    "tests/test_whole.py": "import pytest\npytestmark = pytest.mark.integration\n" + TEST,
    "tests/e2e/test_all.py": """\
import pytest
def test_much(): pass
@pytest.mark.critical
def test_login(): pass
""",
}


def collected(folder: Path, *args: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *args],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.split("\n") if "::" in line]
