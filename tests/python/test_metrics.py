"""``--qe-metrics`` and ``--metrics``: a run in OpenMetrics text, as its own parser reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli_help import SH, Cli, cli
from conftest import Qe
from test_cli_exec import ONCE
from test_layers_run import category, write

parser = pytest.importorskip(
    "prometheus_client.openmetrics.parser", reason="prometheus_client is not installed"
)

__all__ = ["cli"]

SUITE = """
    import os, time
    import pytest
    def test_passes(): time.sleep(0.2)
    def test_fails(): assert 0
    def test_crashes(): os.abort()
    @pytest.mark.qe(retries=2)
    def test_flaky():
        with open("turn", "a") as file: file.write("x")
        assert os.path.getsize("turn") > 1
    @pytest.mark.parametrize("i", range(30))
    def test_many(i): pass
"""


def read(path: Path) -> dict[str, float]:
    """Values by name, with the labels that are not 0."""
    found: dict[str, float] = {}
    for family in parser.text_string_to_metric_families(path.read_text("utf-8")):
        for sample in family.samples:
            labels = ",".join(str(value) for value in sample.labels.values())
            name = sample.name.removeprefix("qe_run_") + (f":{labels}" if labels else "")
            assert name not in found
            found[name] = sample.value
    return {name: value for name, value in found.items() if value or ":" not in name}


def test_a_run_of_pytest(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    result, written = qe.json("--qe-parallel=2", "--qe-metrics=out/m.txt")
    assert result.ret == 1
    found = read(qe.path / "out" / "m.txt")
    summary = written.data["summary"]
    counted = {"passed": 31, "failed": 1, "crashed": 1, "flaky": 1}
    assert {n: c for n, c in summary.items() if c and n != "total"} == counted
    assert {n[6:]: c for n, c in found.items() if n.startswith("tests:")} == counted
    assert found["attempts:failed"] == 2 and found["attempts:passed"] == 32
    assert (found["retries"], found["flaky_tests"], found["workers"]) == (1, 1, 2)
    assert found["wall_seconds"] == pytest.approx(written.run["wall"])
    assert found["test_seconds"] >= found["longest_test_seconds"] >= 0.2
    assert found["collection_seconds"] > 0 and found["peak_memory_bytes"] > 1 << 20
    assert found["interrupted"] == 0
    # As many lines for any number of tests.
    assert len((qe.path / "out" / "m.txt").read_text().splitlines()) < 80


def test_a_hunt_counts_suspects(qe: Qe) -> None:
    qe.files(test_it="S = []\ndef test_sets(): S.append(1)\ndef test_fails(): assert 0")
    qe.run("--qe-flaky=5", "--qe-flaky-causes=off", "--qe-parallel=1", "--qe-metrics=m.txt")
    assert read(qe.path / "m.txt")["suspects:stable-fail"] == 1


def test_commands_write_the_same(cli: Cli) -> None:
    cli.files(good="exit 0", once=ONCE, bad="exit 1")
    path = cli.path / "m.txt"
    files = ("good.sh", "once.sh", "bad.sh")
    quick = ("--backoff=0", "--throttle=0")
    cli.run("exec", SH, *files, *quick, "--attempts=2", "-n", "2", f"--metrics={path}")
    found = read(path)
    assert [found[f"tests:{name}"] for name in ("passed", "flaky", "failed")] == [1, 1, 1]
    assert (found["retries"], found["workers"], found["attempts:failed"]) == (2, 2, 3)
    cli.run("hunt", SH, *files, "--throttle=0", "--iterations=4", f"--metrics={path}")
    found = read(path)
    assert found["suspects:stable-fail"] == 1 and found["retries"] == 0
    write(cli, {
        "a": {"categories": [category("x", "true")]},
        "b": {"categories": [category("y", "false")]},
    })  # fmt: skip
    cli.run("layer", "a", "b", f"--metrics={path}")
    found = read(path)
    assert (found["layers:true"], found["layers:false"], found["tests:failed"]) == (1, 1, 1)


def test_a_path_that_cannot_be_written_is_told_before_anything_runs(cli: Cli) -> None:
    cli.files(mark="touch ran")
    text = cli.refused("exec", SH, "mark.sh", "--metrics=no/m.txt")
    assert text.startswith("--metrics: no/m.txt cannot be written")
    assert cli.refused("exec", SH, "mark.sh", "--html=") == "--html: takes a path"
    own = "--metrics: takes the path of a file of its own"
    assert cli.refused("exec", SH, "mark.sh", "--metrics=m", "--html=m") == own
    assert not cli.exists("ran")


def test_so_it_is_by_pytest(qe: Qe) -> None:
    qe.files(test_it="def test_it(): open('ran', 'w')")
    (qe.path / "folder").mkdir()
    result = qe.run("--qe-metrics=folder")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --qe-metrics=*folder: is a folder*"])
    assert not (qe.path / "ran").exists()


def test_without_the_library_it_is_told_before_anything_runs(cli: Cli) -> None:
    cli.files(mark="touch ran")
    cli.write("test_it.py", "def test_it(): open('ran', 'w')\n")
    hidden = "import sys; sys.modules['prometheus_client'] = None; "
    line = "needs prometheus_client: pip install 'pytest-qe[metrics]'"
    code = hidden + "from pytest_qe.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", code, "exec", SH, "mark.sh", "--metrics=m.txt"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"error: --metrics: {line}\n")
    args = ["-p", "pytest_qe.plugin", "--qe-metrics=m.txt", "test_it.py"]
    code = hidden + f"import pytest; sys.exit(pytest.main({args}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done
    assert f"--qe-metrics: {line}" in done.stderr
    assert not cli.exists("ran")


def test_a_result_without_any_test(qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass")
    qe.run("--qe-metrics=m.txt", "-k", "nothing_at_all")
    found = read(qe.path / "m.txt")
    assert found["longest_test_seconds"] == found["test_seconds"] == 0
    assert found["collection_errors"] == 0
    qe.files(test_bad="import nothing_there")
    assert qe.run("--qe-metrics=m.txt").ret == pytest.ExitCode.INTERRUPTED
    assert read(qe.path / "m.txt")["collection_errors"] == 1
    assert json.dumps(sorted(found)).count("tests:") == 0
