"""Projects, environments and processes for the tests of agents."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

MODULES = Path(__file__).resolve().parent.parent.parent / "node_modules"

#: Not of the run that this is a test of.
_OURS = ("PYTEST_", "QE_", "NODE_", "JEST_", "CI", "GITHUB_", "FORCE_COLOR", "COV_")

PASSES = "def test_a():\n    pass\n\n\ndef test_b():\n    assert 1 + 1 == 2\n"
FAILS = "def test_a():\n    assert 1 + 1 == 3, 'no such sum'\n\n\ndef test_b():\n    pass\n"


def settle_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)
    # Those of this environment are many, and slow to import.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def write(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Makes files; their names."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)


def counted(folder: Path, body: str) -> str:
    """A test file whose test knows the number of its run, ``n`` from 0, however many run at
    one time."""
    return (
        "import os\n\n\ndef test_counted():\n"
        f"    folder = {str(folder)!r}\n"
        "    n = 0\n"
        "    while True:\n"
        "        try:\n"
        "            os.mkdir(os.path.join(folder, f'run-{n}'))\n"
        "            break\n"
        "        except FileExistsError:\n"
        "            n += 1\n"
        f"    {body}\n"
    )


def with_modules(folder: Path, tool: str) -> None:
    """A project of Node's with the packages of this one; skips where the tool is missing."""
    if not (MODULES / ".bin" / tool).exists() or shutil.which("node") is None:
        pytest.skip(f"{tool} is not in node_modules (make build/npm.stamp)")
    (folder / "package.json").write_text('{"name": "p", "version": "1.0.0"}\n')
    (folder / "node_modules").mkdir()
    for module in MODULES.iterdir():
        if module.name != ".cache":
            (folder / "node_modules" / module.name).symlink_to(module)


def processes_of(word: str) -> list[int]:
    """Processes that have this word in their command line or their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if word.encode() in text:
            found.append(int(entry.name))
    return found
