"""``--html`` of `qe exec`, `qe hunt`, `qe layer` and `qe run`: what the page holds."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cli_help import QE, SH, Cli, cli
from conftest import HUNG, wait_for
from test_cli_exec import ONCE
from test_html import held
from test_layers_run import category, write

__all__ = ["cli"]

FAST = ("--backoff=0", "--throttle=0")


def by_id(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {test["id"]: test for test in data["tests"]}


def texts(attempt: dict[str, Any]) -> dict[str, str]:
    return {text["name"]: text["text"] for text in attempt.get("texts", ())}


def test_an_execution_has_every_attempt_and_its_output(cli: Cli) -> None:
    cli.files(
        good="echo '<b>fine</b>'",
        once=f"echo first words; {ONCE}",
        bad="printf 'no\\377' >&2; exit 3",
        crash="kill -SEGV $$",
    )
    files = ("good.sh", "once.sh", "bad.sh", "crash.sh")
    done = cli.run("exec", SH, *files, *FAST, "--attempts=2", "--html=r.html", "--json=r.json")
    assert done.returncode == 1, done
    data = held(Path("r.html"))
    result = json.loads(Path("r.json").read_text())
    found = by_id(data)
    outcomes = {name: test["outcome"] for name, test in found.items()}
    assert outcomes == {one["file"]: one["outcome"] for one in result["results"]}
    assert outcomes["once.sh"] == "flaky" and outcomes["crash.sh"] == "crashed"
    assert data["run"]["of"] == "file" and data["run"]["framework"] == "command"
    assert data["run"]["wall"] == result["execution_time"]
    assert texts(found["good.sh"]["attempts"][0]) == {"stdout": "<b>fine</b>\n"}
    first, second = found["once.sh"]["attempts"]
    assert first["outcome"] == "failed" and first["message"] == "exit status 1"
    assert texts(first) == texts(second) == {"stdout": "first words\n"}
    assert second["start"] >= first["start"] + first["duration"] - 0.01
    assert [texts(one) for one in found["bad.sh"]["attempts"]] == [{"stderr": "no\ufffd"}] * 2
    assert found["crash.sh"]["attempts"][0]["signal"] == "SIGSEGV"
    assert {a["worker"] for test in found.values() for a in test["attempts"]} > {"gw0"}
    # Only what failed has a command, and that is the one that is printed.
    assert set(data["run"]["commands"]) == {"bad.sh", "crash.sh"}
    assert data["run"]["commands"]["bad.sh"] in done.stdout


def test_failures_of_a_file_are_texts_of_its_attempt(cli: Cli) -> None:
    cli.write("test_a.py", "def test_1():\n    assert 1 == 2, 'no such sum'\n")
    cli.run("exec", "test_a.py", "--attempts=1", "--html=r.html", "--", "-p", "no:randomly")
    (test,) = held(Path("r.html"))["tests"]
    (failure,) = (one for one in test["attempts"][0]["texts"] if one["kind"] == "failure")
    assert failure["name"].endswith("test_1") and "no such sum" in failure["text"]
    assert "no such sum" in test["message"]


def test_a_hunt_has_a_pass_for_each_run(cli: Cli) -> None:
    flip = "echo x >> count; n=$(wc -l < count); [ $((n % 3)) != 0 ] || { echo third; exit 1; }"
    cli.files(flip=flip, good="echo fine", bad="exit 1")
    options = ("--throttle=0", "-n", "1", "--iterations=10")
    done = cli.run("hunt", SH, "flip.sh", "good.sh", "bad.sh", *options, "--html=r.html")
    assert done.returncode == 1, done
    data = held(Path("r.html"))
    found, hunt = by_id(data), data["run"]["hunt"]
    assert hunt["mode"] == "files" and hunt["executions"] == 30
    outcomes = {name: found[name]["outcome"] for name in found}
    assert outcomes == {"flip.sh": "flaky", "good.sh": "passed", "bad.sh": "failed"}
    assert found["flip.sh"]["message"] == "exit status 1"
    one = hunt["tests"]["flip.sh"]
    assert (one["verdict"], one["failures"], one["passes"]) == ("confirmed", 3, 7)
    low, high = one["interval"]
    assert 0 < low < 0.3 < high < 1
    assert one["command"] in done.stdout and one["pattern"] == "RANDOM"
    attempts = found["flip.sh"]["attempts"]
    assert [attempt["pass"] for attempt in attempts] == list(range(10))
    assert [n for n, a in enumerate(attempts) if a["outcome"] == "failed"] == [2, 5, 8]
    assert texts(attempts[2]) == {"stdout": "third\n"} and "texts" not in attempts[0]
    starts = [attempt["start"] for attempt in attempts]
    assert starts == sorted(starts)
    assert hunt["tests"]["bad.sh"]["verdict"] == "stable-fail"
    assert "good.sh" not in hunt["tests"] and len(found["good.sh"]["attempts"]) == 10


def test_layers_have_tracks_waits_and_gates(cli: Cli) -> None:
    layers = {
        "unit": {
            "execution_mode": "parallel",
            "success_criteria": {"max_failures": 3},
            "categories": [
                category("fast", "echo fast words; sleep 0.2"),
                category("again", f"echo again >&2; {ONCE.replace('$0', 'mark')}", retries=1,
                         depends_on=["fast"]),
                category("bad", "exit 4"),
                category("never", "true", depends_on=["bad"]),
            ],
        },
        "slow": {"dependencies": ["unit"], "required_services": ["it"],
                 "categories": [category("all", "test -e up")]},
    }  # fmt: skip
    service = {"check": {"command": "test -e up"}, "start": "sh -c 'sleep 0.2; touch up'",
               "stop": "rm up"}  # fmt: skip
    write(cli, layers, services={"it": service})
    done = cli.run("layer", "unit", "slow", "--html=r.html", "--json=r.json")
    data = held(Path("r.html"))
    found, run = by_id(data), data["run"]
    assert [test["id"] for test in data["tests"]] == [
        "unit/fast", "unit/again", "unit/bad", "unit/never", "slow/all",
    ], done  # fmt: skip
    assert found["unit/again"]["outcome"] == "flaky"
    first, second = found["unit/again"]["attempts"]
    assert texts(first) == texts(second) == {"stderr": "again\n"}
    assert texts(found["unit/fast"]["attempts"][0]) == {"stdout": "fast words\n"}
    assert found["unit/never"]["outcome"] == "skipped" and not found["unit/never"]["attempts"]
    assert "unit/bad" in found["unit/never"]["message"]
    lanes = run["lanes"]
    tracks = {lanes[a["worker"]] for a in found["unit/again"]["attempts"]}
    assert tracks == {"unit/again"}, "each on a track of its own"
    waits = {(lanes[one["worker"]], one["what"]): one for one in run["waits"]}
    assert waits["unit/again", "needs unit/fast"]["duration"] >= 0.15
    end = waits["unit/again", "needs unit/fast"]
    assert end["start"] + end["duration"] <= first["start"] + 0.1
    assert ("slow/all", "the service it starts") in waits
    assert ("slow/all", "after the layer unit") in waits
    unit, slow = run["layers"]
    assert (unit["success"], unit["criteria"]) == (True, {"max_failures": 3})
    assert slow["after"] == ["unit"] and slow["services"] == {"it": "started"}
    written = json.loads(Path("r.json").read_text())["layers"]["unit"]
    assert [one["outcome"] for one in written["category_results"]["again"]["before"]] == ["failed"]


def test_each_command_knows_what_files_took_before(cli: Cli) -> None:
    cli.files(naps="sleep 0.2")
    write(cli, {"unit": {"categories": [category("x", "sleep 0.2")]}})
    words = {
        "exec": [SH, "naps.sh"],
        "hunt": [SH, "naps.sh", "-i", "2", "--throttle=0"],
        "layer": ["unit"],
    }
    for command, args in words.items():
        for again in range(2):
            cli.run(command, *args, "--html=r.html", "--json=r.json")
            (test,) = held(Path("r.html"))["tests"]
            known = again or command == "hunt"  # it has the execution's history
            assert ("expected" in test) == bool(known), command
        assert 0.2 <= test["expected"] < 20


def test_all_layers_of_a_mode(cli: Cli) -> None:
    write(cli, {"a": {"categories": [category("x", "echo x")]}})
    assert cli.run("run", "--html=r.html").returncode == 0
    assert [test["outcome"] for test in held(Path("r.html"))["tests"]] == ["passed"]


@pytest.mark.parametrize("command", ["exec", "hunt", "layer"])
def test_a_path_that_cannot_be_written_is_told_before_anything_runs(cli: Cli, command: str) -> None:
    cli.files(mark="touch ran")
    write(cli, {"unit": {"categories": [category("x", "touch ran")]}})
    words = ["unit"] if command == "layer" else [SH, "mark.sh"]
    assert cli.refused(command, *words, "--html=no/r.html").startswith("--html: no/r.html cannot")
    assert cli.refused(command, *words, "--html=.") == "--html: . is a folder"
    own = "--html: takes the path of a file of its own"
    assert cli.refused(command, *words, "--html=-") == own
    assert cli.refused(command, *words, "--html=r", "--json=./r") == own
    assert not cli.exists("ran")


def test_an_interrupted_execution_has_its_page(cli: Cli) -> None:
    cli.files(stays="touch began; sleep 600", later="exit 0")
    words = ("exec", SH, "stays.sh", "later.sh", "-n", "1", "--html=r.html")
    with subprocess.Popen([*QE, *words], stdout=subprocess.DEVNULL) as process:
        wait_for(lambda: cli.exists("began"), "the first file")
        process.send_signal(signal.SIGINT)
        assert process.wait(HUNG) == 130
    data = held(Path("r.html"))
    assert data["run"]["interrupted"] is True
    assert [test["outcome"] for test in data["tests"]] == ["none", "none"]
    assert [len(test["attempts"]) for test in data["tests"]] == [1, 0]
