"""`qe history`, `show`, `store`, `doctor` and `completion`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli_help import SH, Cli, cli
from pytest_qe import _core

__all__ = ["cli"]

SHELLS = ("bash", "zsh", "fish")


def remember(path: Path, **tests: str) -> None:
    """Runs of tests: "." a pass of as many seconds as there were before, "F" a failure."""
    history = _core.History(os.fsencode(path))
    for number in range(max(map(len, tests.values()))):
        record = _core.Record()
        for item, (name, results) in enumerate(tests.items()):
            record.add_test(f"test_it.py::{name}".encode())
            if number < len(results):
                passed = results[number] == "."
                outcome = _core.PASSED if passed else _core.FAILED
                took = float(number + 1)
                record.add_attempt(item, 0, 1, 0, outcome, 1.7e9, took, 0.0, 0, 0, None)
                record.set_outcome(item, outcome, None)
        history.save(record, 1.7e9 + 86400 * number, 1.0, 1)
    history.close()


def tables(cli: Cli, *args: str) -> dict[str, Any]:
    done = cli.run("history", "--json", *args)
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_the_flakiest_slowest_and_most_often_failing_are_told(cli: Cli) -> None:
    remember(Path(".qe/history.db"), even=".F.F.F.F", once="F.......", bad="FFFFFFFF", good=".....")
    found = tables(cli)
    names = {
        name: [row["test"].split("::")[1] for row in found[name]]
        for name in ("flakiest", "failing", "slowest")
    }
    assert names["flakiest"] == ["even", "once"]
    assert names["failing"] == ["bad", "even", "once"]
    assert set(names["slowest"]) == {"even", "once", "good"}
    times = [row["median_s"] for row in found["slowest"]]
    assert times == sorted(times, reverse=True)
    (row,) = (row for row in found["flakiest"] if row["test"].endswith("even"))
    assert (row["runs"], row["failures"], row["rate"]) == (8, 4, 0.5)
    assert row["low"] < 0.5 < row["high"]
    assert len(tables(cli, "--limit=1")["failing"]) == 1
    text = cli.run("history", "--limit=1").stdout
    assert "Most often failing, 1 of 3" in text
    assert "100.0%" in text and "test_it.py::bad" in text
    assert text.splitlines()[-1].startswith("4 tests in ")


def test_a_test_has_its_durations_over_time(cli: Cli) -> None:
    remember(Path(".qe/history.db"), slower="..F")
    lines = cli.run("history", "test_it.py::slower", "--durations").stdout.splitlines()
    assert lines[0].split() == ["day", "passes", "mean", "longest"]
    assert [line.split()[1:] for line in lines[1:]] == [
        ["1", "1.00", "s", "1.00", "s"], ["1", "2.00", "s", "2.00", "s"], ["0"],
    ]  # fmt: skip
    rows = json.loads(cli.run("history", "test_it.py::slower", "--json").stdout)["rows"]
    assert [row["mean_s"] for row in rows] == [1.0, 2.0, None]


def test_names_of_tests_are_shown_as_text(cli: Cli) -> None:
    remember(Path(".qe/history.db"), **{"bad\x1b[2J": "F."})
    assert "\x1b" not in cli.run("history").stdout


def test_a_history_with_no_test_is_one_line(cli: Cli) -> None:
    assert "there is no .qe/history.db" in cli.refused("history", status=1)


def test_what_ran_last_is_shown_and_can_be_deleted(cli: Cli) -> None:
    assert cli.run("show").stdout == "nothing is stored\n"
    assert "no execution and no hunt" in cli.refused("show", "last", status=1)
    cli.files(good="exit 0")
    assert cli.run("exec", SH, "good.sh", "good.sh").returncode == 0
    assert json.loads(cli.run("show", "last").stdout)["total"] == 1
    assert cli.run("hunt", SH, "good.sh", "-i", "2", "--throttle=0").returncode == 0
    assert json.loads(cli.run("show", "last").stdout)["total_runs"] == 2
    (first, second) = json.loads(cli.run("show", "--json").stdout)
    assert first["key"] == "aqe/flaky-tests/alcall-detection"
    assert 6.9 * 86400 < first["expires_s"] <= 7 * 86400 and 0 <= first["age_s"] < 600
    key = second["key"]
    lines = cli.run("store", "list", "aqe/test*").stdout.splitlines()
    assert len(lines) == 2 and lines[1].endswith(key)
    assert cli.run("store", "delete", key).stdout == f"deleted {key}\n"
    assert "nothing is stored under" in cli.refused("store", "delete", key, status=1)
    assert "nothing is stored under" in cli.refused("show", key, status=1)


def test_gc_takes_what_has_expired_off_the_disk(cli: Cli) -> None:
    history = _core.History(b".qe/history.db")
    history.put(b"new", b"1", 0)
    history.put(b"old", b'"' + b"x" * 300_000 + b'"', 0.001)  # last: each takes old ones away
    history.close()
    before = Path(".qe/history.db").stat().st_size
    done = cli.run("store", "gc")
    assert done.returncode == 0 and "bytes given back" in done.stdout
    assert Path(".qe/history.db").stat().st_size < before - 250_000
    assert cli.run("show", "new").stdout == "1\n"


@pytest.mark.parametrize("args", [["show"], ["show", "last"], ["store", "gc"], ["store", "list"]])
def test_a_store_that_cannot_be_read_is_3(cli: Cli, args: list[str]) -> None:
    cli.write(".qe/history.db", "no database\n" * 100)
    assert "history.db" in cli.refused(*args, status=3)


def test_the_doctor_tells_what_is_here_and_what_is_missing(cli: Cli) -> None:
    done = cli.run("doctor", "--json")
    found = json.loads(done.stdout)
    states = {one["name"]: one["state"] for one in found["checks"]}
    assert done.returncode == (0 if found["ok"] else 1)
    assert states["python"] == states["core"] == states["pytest"] == states["plugin"] == "ok"
    assert {"jest", "go", "cargo", "ctest", "processors", "memory", "temporary"} <= set(states)
    done = cli.run("doctor", env={**os.environ, "PATH": "/nonexistent"})
    assert "apt-get install golang-go" in done.stdout


def test_the_doctor_says_what_is_broken_and_what_to_do(cli: Cli) -> None:
    cli.write(".qe/history.db", "no database\n" * 100)
    done = cli.run("doctor")
    assert done.returncode == 1
    assert "BROKEN" in done.stdout and "mv " in done.stdout
    assert done.stdout.endswith("1 of these must be mended\n")


def test_a_tool_that_does_not_start_is_no_trouble_for_the_doctor(cli: Cli) -> None:
    cli.write("node_modules/.bin/jest", "#!/nonexistent\n")
    os.chmod("node_modules/.bin/jest", 0o755)
    (jest,) = (
        one for one in json.loads(cli.run("doctor", "--json").stdout)["checks"]
        if one["name"] == "jest"
    )  # fmt: skip
    assert jest["state"] == "poor" and "does not say its version" in jest["says"]


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_is_a_script_that_the_shell_takes(cli: Cli, shell: str) -> None:
    done = cli.run("completion", shell)
    assert done.returncode == 0 and "_QE_COMPLETE" in done.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    taken = subprocess.run([shell, "-n"], input=done.stdout, capture_output=True, text=True)
    assert taken.returncode == 0, taken.stderr


COMPLETED = {
    ("ex",): ["exec"],
    ("exec", "--pres"): ["--preset"],
    ("exec", "--preset", "f"): ["fast"],
    ("exec", "-f", "py"): ["pytest"],
    ("exec", "-f", "c"): ["cypress", "cargo", "ctest", "command"],
    ("show", "la"): ["last"],
    ("store", "d"): ["delete"],
}


def test_bash_completes_commands_options_frameworks_and_keys(cli: Cli) -> None:
    if shutil.which("bash") is None:
        pytest.skip("there is no bash here")
    script = cli.run("completion", "bash").stdout
    (cli.path / "bin").mkdir()
    tool = cli.path / "bin/qe"
    code = "import sys; from pytest_qe.cli import main; sys.exit(main())"
    tool.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "{code}" "$@"\n')
    tool.chmod(0o755)
    for words, expected in COMPLETED.items():
        line = shlex.join(["qe", *words])
        asked = f"""
            {script}
            COMP_WORDS=({line}); COMP_CWORD={len(words)}
            _qe_completion qe; printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(
            ["bash", "-c", asked], capture_output=True, text=True, check=True,
            env={**os.environ, "PATH": f"{cli.path}/bin:{os.environ['PATH']}"},
        )  # fmt: skip
        assert done.stdout.split() == expected, (words, done)


def test_each_command_has_help_with_an_example(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    from pytest_qe.cli import main
    from pytest_qe.cli.app import _WHERE

    for name in _WHERE:
        assert main([name, "--help"]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"Usage: qe {name}") or "__main__" in out or "pytest_qe" in out
        assert f"qe {name}" in out, name
    assert main(["--help"]) == 0
    assert "143: ended by SIGTERM" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"qe {_core.VERSION}\n"
    assert main([]) == 2
