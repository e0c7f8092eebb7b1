"""What the documents show of the agents runs as it is shown."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agents_help import FAILS, PASSES, settle_environment, write

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)


def programs(document: str) -> dict[str, str]:
    return dict(PROGRAM.findall((ROOT / document).read_text("utf-8")))


def run(folder: Path, program: str) -> str:
    done = subprocess.run(
        [sys.executable, program],
        cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settle_environment(monkeypatch)


@pytest.mark.parametrize("document", ["README.md", "docs/agents.md"])
def test_files_are_run_as_shown(tmp_path: Path, document: str) -> None:
    write(tmp_path, {"test_one.py": PASSES, "test_two.py": PASSES})
    write(tmp_path, {"run_files.py": programs(document)["run_files.py"]})
    printed = run(tmp_path, "run_files.py")
    assert "2 of 2 files passed" in printed
    assert "test_two.py passed" in printed


def test_flaky_files_are_found_as_shown(tmp_path: Path) -> None:
    # The second fails each time but the first: flaky at the first look.
    once = "import pathlib\n\n\ndef test_a():\n    pathlib.Path('ran').mkdir()\n"
    write(tmp_path, {"test_one.py": FAILS, "test_two.py": once})
    text = programs("docs/agents.md")["find_flaky.py"]
    write(tmp_path, {"find_flaky.py": text.replace("warm=True", "warm=True, causes=False")})
    printed = run(tmp_path, "find_flaky.py")
    assert "1 of 2 files are flaky" in printed
    assert "test_two.py 0.1 INTERMITTENT" in printed and "'files'" in printed


def test_layers_are_run_as_shown(tmp_path: Path) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is missing")
    text = (ROOT / "docs/layers.md").read_text("utf-8")
    (config,) = re.findall(r"```yaml\n(layers:\n.*?)```", text, re.DOTALL)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    for folder in ("tests/unit", "tests/database", "api"):
        (tmp_path / folder).mkdir(parents=True)
        name = f"{folder}/test_{os.path.basename(folder)}.py"
        write(tmp_path, {name: PASSES})
    config = config.replace("6379", port).replace("framework: jest", "framework: pytest")
    write(tmp_path, {
        "test_layers.yaml": config,
        "Makefile": "contract-tests:\n\ttest $(QE_LAYER) = core_integration\n",
        "pytest.ini": "[pytest]\nmarkers =\n    slow: takes long\n",
        "run_layers.py": programs("docs/layers.md")["run_layers.py"],
    })  # fmt: skip
    lines = run(tmp_path, "run_layers.py").splitlines()
    ends = [line for line in lines if line.startswith(("True", "False"))]
    assert [line.split()[0] for line in ends] == ["True", "True"], lines
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", int(port)), 1)
