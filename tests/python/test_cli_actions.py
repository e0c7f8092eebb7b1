"""In GitHub Actions what `qe` runs is told by annotations and in the job's summary."""

from __future__ import annotations

import json

import pytest

from cli_help import SH, Cli, cli

__all__ = ["cli"]

LAYERS = """\
version: 1
layers:
  unit:
    categories:
      - {name: good, command: "true"}
      - {name: bad, command: sh bad.sh}
"""


@pytest.fixture
def actions(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(cli.path.parent))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(cli.path / "summary.md"))
    cli.files(
        good="true", bad="echo '::error::not ours'; exit 3",
        once="test -e ran && exit 0; touch ran; exit 1",
    )  # fmt: skip
    return cli


def commands(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("::")]


def test_files_that_failed_are_told(actions: Cli) -> None:
    words = [SH, "--attempts=2", "--backoff=0", "--throttle=0", "good.sh", "bad.sh", "once.sh"]
    done = actions.run("exec", *words)
    top = actions.path.name
    assert commands(done.stdout) == [
        f"::error file={top}/bad.sh,line=1,title=bad.sh::exit status 3",
        f"::warning file={top}/once.sh,line=1,title=flaky%3A once.sh::passed on attempt 2",
    ]
    assert (actions.path / "summary.md").read_text().splitlines() == [
        "### Files: 1 passed, 1 failed, 1 flaky", "", "| | test | message |", "| --- | --- | --- |",
        "| failed | bad\\.sh | exit status 3 |", "| flaky | once\\.sh | passed on attempt 2 |", "",
    ]  # fmt: skip


def test_what_failed_inside_is_told(actions: Cli) -> None:
    actions.write("test_a.py", "def test_b():\n    assert 1 == 2, 'no such sum'\n")
    (line,) = commands(actions.run("exec", "test_a.py").stdout)
    assert "test_a.py::exit status 1%0A" in line and "no such sum" in line


def test_standard_output_may_be_for_json(actions: Cli) -> None:
    done = actions.run("exec", SH, "--json=-", "bad.sh")
    assert json.loads(done.stdout)["failed"] == 1
    assert len(commands(done.stderr)) == 1


def test_a_hunt_tells_flaky_files(actions: Cli) -> None:
    done = actions.run(
        "hunt", SH, "--iterations=4", "--max-concurrent=1", "once.sh", "bad.sh", "good.sh"
    )
    told = {line.partition("title=")[2] for line in commands(done.stdout)}
    assert told == {
        "bad.sh::failed in 4 of 4 runs", "flaky%3A once.sh::failed in 1 of 4 runs",
    }  # fmt: skip
    summary = (actions.path / "summary.md").read_text()
    assert summary.startswith("### Files: 1 flaky, 1 failed, 1 passed\n")


def test_categories_of_layers_are_told(actions: Cli) -> None:
    actions.write("test_layers.yaml", LAYERS)
    (line,) = commands(actions.run("layer", "unit").stdout)
    assert line.startswith("::error title=unit/bad::exit status 3")
    summary = (actions.path / "summary.md").read_text()
    assert summary.startswith("### Categories: 1 passed, 1 failed\n")


def test_a_summary_that_cannot_be_written_is_a_warning(
    actions: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(actions.path / "none" / "summary"))
    done = actions.run("exec", SH, "good.sh")
    assert done.returncode == 0
    assert "none/summary: No such file or directory" in done.stdout


def test_elsewhere_nothing_is_said(actions: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert commands(actions.run("exec", SH, "bad.sh").stdout) == []
    assert not actions.exists("summary.md")
