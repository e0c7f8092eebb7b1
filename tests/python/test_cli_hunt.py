"""`qe hunt`: verdicts, and what leads to their causes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from cli_help import SH, Cli, cli
from test_html import held

__all__ = ["cli"]

#: Fails in its second and fourth run.
FLIPS = """
for n in 1 2 3 4 5 6; do mkdir "run-$n" 2>/dev/null && break; done
case $n in 2|4) echo 'ConnectionError: timed out' >&2; exit 1;; esac
"""


def test_flaky_files_are_told_with_their_rate_and_a_line_to_copy(cli: Cli) -> None:
    cli.files(flips=FLIPS, good="exit 0", bad="exit 1")
    done = cli.run(
        "hunt", SH, "flips.sh", "good.sh", "bad.sh", "-i", "6", "-n", "1", "--throttle=0",
        "--json=out.json",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "6 runs of 3 files by command (as given)"
    assert "stable   good.sh  6 of 6 passed" in lines
    assert "FAILING  bad.sh  0 of 6 passed" in lines
    assert "FLAKY flips.sh" in lines
    assert "  failed 2 of 6 runs: 33%, 8% to 71% with a confidence of 95 %" in lines
    assert any(line.startswith("  pattern: ") and line.endswith("  .F.F..") for line in lines)
    assert any(line.startswith("  likely cause: timing") for line in lines)
    assert lines[lines.index("  run it alone:") + 1].endswith(f"sh {cli.path}/flips.sh")
    assert lines[-1].startswith("3 files: 1 flaky, 1 stable, 1 failing; 18 runs; ")
    assert "warning: 6 iterations say little" in done.stdout and done.stderr == ""
    result = json.loads(Path("out.json").read_text())
    assert [one["file"] for one in result["flaky_list"]] == ["flips.sh"]


def test_runs_at_one_time_are_judged_as_they_began(cli: Cli) -> None:
    # Each has its number from the moment in which it starts, half a second after the last.
    cli.files(flips=FLIPS.replace("2|4", "1|2|3"))
    _, result = cli.json("hunt", SH, "flips.sh", "-i", "6", "--throttle=0.5")
    passed = [outcome == "passed" for outcome in result["files"][0]["outcomes"]]
    assert passed == [False, False, False, True, True, True]


def test_nothing_flaky_is_0_also_where_all_fails(cli: Cli) -> None:
    cli.files(bad="exit 1")
    status, result = cli.json("hunt", SH, "bad.sh", "--preset=quick", "--adaptive")
    assert (status, result["total_runs"], result["flaky_tests"]) == (0, 5, 0)


def test_the_cause_is_found_by_experiment_in_pytest_files(cli: Cli) -> None:
    cli.write(
        "test_a.py",
        "def test_1(): pass\ndef test_2(): assert next(iter({'ab', 'cd'})) == 'ab'\n",
    )
    args = ["test_a.py", "-i", "12", "--timeout=0", "--", "-p", "pytest_qe.plugin"]
    done = cli.run("hunt", "--json=out.json", "--html=out.html", *args)
    assert done.returncode == 1
    (one,) = json.loads(Path("out.json").read_text())["flaky_list"]
    hunted = [cause for cause in one["likely_causes"] if cause.get("source") == "hunt"]
    assert hunted and hunted[0]["cause"] == "hash", one["likely_causes"]
    assert hunted[0]["replay"].startswith("pytest ")
    # The page has the same, and under which conditions the test failed.
    (inside,) = held(Path("out.html"))["run"]["hunt"]["tests"]["test_a.py"]["inside"]
    assert (inside["test"], inside["cause"]) == ("test_a.py::test_2", "hash")
    assert sum(row["failed"] for row in inside["conditions"]) > 0
    assert inside["with"]["failed"] + inside["without"]["failed"] > 0
    assert inside["replay"]["failed"] > 0 and inside["replay"]["command"] in done.stdout
    # Its line shows it, with any PATH.
    line = done.stdout.split("make it fail:\n")[1].splitlines()[0]
    env = {"PATH": "/usr/bin:/bin", "PYTEST_PLUGINS": "pytest_qe.plugin"}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    again = subprocess.run(line, shell=True, cwd=cli.path, capture_output=True, text=True, env=env)
    assert again.returncode == 1 and "1 failed" in again.stdout


def test_no_causes_takes_no_time_for_them(cli: Cli) -> None:
    cli.write("test_a.py", "import os\ndef test_2(): os.mkdir('one')\n")
    status, result = cli.json("hunt", "test_a.py", "-i", "3", "--no-causes", "--warm")
    assert (status, result["flaky_list"][0]["passed"]) == (1, 1)
    assert all(c.get("source") != "hunt" for c in result["flaky_list"][0]["likely_causes"])


def test_json_lines_have_each_verdict(cli: Cli) -> None:
    cli.files(good="exit 0")
    done = cli.run("hunt", SH, "good.sh", "-i", "3", "--json-lines", "--throttle=0")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["kind"] for event in events]
    assert kinds.count("result") == 3 and kinds[-2:] == ["judged", "done"]
