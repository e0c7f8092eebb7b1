"""`qe exec`: whole files, what is said of them, and how it ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from junitparser import JUnitXml

from cli_help import QE, SH, Cli, cli, plain

__all__ = ["cli"]

ONCE = 'if [ -e "$0.ran" ]; then exit 0; fi; : > "$0.ran"; exit 1'


def test_pytest_files_of_a_folder_are_found_run_and_counted(cli: Cli) -> None:
    cli.write("tests/test_a.py", "def test_1(): pass\ndef test_2(): pass\n")
    cli.write("tests/deep/test_b.py", "def test_3():\n    assert 1 == 2, 'no such sum'\n")
    cli.write("tests/helper.py", "raise SystemExit(5)")
    cli.write("tests/node_modules/test_no.py", "raise SystemExit(5)")
    done = cli.run("exec", "tests", "--attempts=1", "--junit=out.xml", "--json=out.json", "--warm")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("2 files by pytest (by *.py)\n")
    assert "FAILED   tests/deep/test_b.py" in done.stdout
    assert "no such sum" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith("2 files: 1 passed, 1 failed; 3 tests: 2 passed, 1 failed; ")
    # Its line runs that file alone, and fails as it did.
    line = done.stdout.split("run it alone:\n")[1].splitlines()[0]
    again = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "1 failed" in again.stdout
    suites = {suite.name: suite for suite in JUnitXml.fromfile("out.xml")}
    assert (suites["tests/test_a.py"].tests, suites["tests/test_a.py"].failures) == (2, 0)
    assert [case.name[-6:] for case in suites["tests/test_a.py"]] == ["test_1", "test_2"]
    assert all(case.time is not None and case.time < 10 for case in suites["tests/test_a.py"])
    (case,) = suites["tests/deep/test_b.py"]
    assert case.name.endswith("test_3") and "no such sum" in case.result[0].message
    assert json.loads(Path("out.json").read_text())["pass_rate"] == 50.0


def test_a_pass_on_a_retry_is_flaky_and_counts_as_passed(cli: Cli) -> None:
    cli.files(once=ONCE, good="exit 0")
    args = ("--backoff=0", "--throttle=0", "--junit=out.xml", "-v")
    done = cli.run("exec", SH, "once.sh", "good.sh", *args)
    assert done.returncode == 0, done
    assert "flaky: once.sh passed on attempt 2" in done.stdout
    assert "2 files: 2 passed (1 flaky); 1 retry; " in done.stdout
    assert "retry    once.sh  attempt 2 in 0.00 s" in done.stdout
    text = Path("out.xml").read_text()
    assert text.count("<flakyFailure ") == 1 and "<failure" not in text


def gitlab(path: str) -> list[dict[str, str | None]]:
    """What GitLab's unit test report has of a file: see its documentation, "Unit test reports"."""
    found = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        bad = [one for tag in ("failure", "error") for one in case.findall(tag)]
        printed = case.findtext("system-out") or ""
        attached = re.search(r"\[\[ATTACHMENT\|(.+?)\]\]", printed)
        found.append({
            "name": case.get("name"), "file": case.get("file"),
            "said": "".join(bad[0].itertext()) if bad else None,
            "attachment": attached[1] if attached and bad else None,
        })  # fmt: skip
    return found


@pytest.mark.parametrize("ci", [True, False])
def test_gitlab_finds_files_reasons_and_attachments(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, ci: bool
) -> None:
    if ci:
        monkeypatch.setenv("GITLAB_CI", "true")
        monkeypatch.setenv("CI_PROJECT_DIR", str(cli.path.parent))
    top = f"{cli.path.name}/sub/" if ci else ""
    cli.write("sub/bad.sh", "echo 'see [[ATTACHMENT|shots/a.png]]'; echo why >&2; exit 3\n")
    cli.write("sub/test_a.py", "def test_1():\n    assert 0, 'no reason'\n")
    words = ("exec", "-C", "sub", "--attempts=1", "--junit=out.xml")
    cli.run(*words, SH, "bad.sh")
    (one,) = gitlab("out.xml")
    assert (one["name"], one["file"]) == ("bad.sh", f"{top}bad.sh")
    assert (one["said"] or "").splitlines()[0] == "exit status 3"
    assert "why" in (one["said"] or "") and one["attachment"] == "shots/a.png"
    cli.run(*words, "test_a.py")
    (one,) = gitlab("out.xml")
    assert one["file"] == f"{top}test_a.py" and "no reason" in (one["said"] or "")


def test_in_gitlab_what_failed_is_folded(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    cli.files(bad=r"printf '\033[0Ksection_end:1:x\r\n'; echo last words; exit 3")
    words = [*QE, "exec", SH, "bad.sh", "--attempts=1"]
    out = subprocess.run(words, capture_output=True, check=False).stdout.decode()
    (begin,) = re.finditer(r"\x1b\[0Ksection_start:\d+:([\w.-]+)\[collapsed=true\]\r\x1b\[0K", out)
    (end,) = re.finditer(r"\x1b\[0Ksection_end:\d+:([\w.-]+)\r\x1b\[0K", out)
    assert begin[1] == end[1]
    inside = out[begin.end() : end.start()]
    assert inside.startswith("FAILED bad.sh") and "last words" in inside
    assert "1 file: 0 passed, 1 failed" in out[end.end() :]


def test_a_failure_has_its_last_output_and_a_line_to_copy(cli: Cli) -> None:
    cli.files(bad='for i in $(seq 50); do echo "line $i"; done; echo $X; exit 3')
    done = cli.run("exec", SH, "bad.sh", "--attempts=1", "-e", "X=a b", "--unset", "HOME")
    assert done.returncode == 1
    assert "FAILED bad.sh" in done.stdout and "exit status 3" in done.stdout
    assert "  | line 50\n  | a b\n" in done.stdout and "| line 30\n" not in done.stdout
    line = done.stdout.split("run it alone:\n")[1].splitlines()[0].strip()
    again = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert again.returncode == 3 and again.stdout.endswith("line 50\na b\n")


def test_a_link_to_nothing_keeps_no_folder_from_running(cli: Cli) -> None:
    cli.write("tests/test_a.py", "def test_1(): pass\n")
    Path("tests/test_b.py").symlink_to("nowhere.py")
    done = cli.run("exec", "tests", "--attempts=1")
    assert done.returncode == 0, done.stderr
    assert "1 file: 1 passed" in done.stdout


def test_the_id_of_a_test_is_told_from_a_file(cli: Cli) -> None:
    cli.write("test_a.py", "def test_1(): pass\n")
    done = cli.run("exec", "test_a.py::test_1")
    assert done.returncode == 2
    assert done.stderr == (
        "error: FILES: takes files, not one test: test_a.py, and -- -k EXPRESSION for some of it\n"
    )


def test_a_crash_shows_where_it_happened(cli: Cli) -> None:
    cli.write("test_a.py", "import ctypes\ndef test_1(): ctypes.string_at(0)\n")
    done = cli.run("exec", "test_a.py", "--attempts=1")
    assert done.returncode == 1 and "signal SIGSEGV" in done.stdout
    assert "  | Fatal Python error: Segmentation fault\n" in done.stdout
    assert 'test_a.py", line 2 in test_1\n' in done.stdout


def test_where_no_test_is_named_both_streams_are_shown(cli: Cli) -> None:
    cli.files(bad="seq 30; echo why >&2; exit 1")
    done = cli.run("exec", SH, "bad.sh", "--attempts=1")
    assert done.returncode == 1
    assert "  | 30\n  stderr, last 1 line:\n  | why\n" in done.stdout


def test_hostile_names_and_output_are_shown_as_text(cli: Cli) -> None:
    name = "a\x1b[2J\n'b.sh"
    Path(name).write_text("printf '\\033]0;title\\007::error::x\\n\\r\\xff'; exit 1\n")
    done = cli.run("exec", SH, name, "--attempts=1", "--junit=out.xml")
    assert done.returncode == 1
    assert not set(done.stdout) & {"\x1b", "\x07", "\r"}
    assert "a\\x1b[2J\\n'b.sh" in done.stdout
    assert "\\x1b]0;title\\x07::error::x" in done.stdout
    assert "\n::error::" not in done.stdout
    line = done.stdout.split("run it alone:\n")[1].splitlines()[0].strip()
    again = subprocess.run(["bash", "-c", line], capture_output=True, check=False)
    assert again.returncode == 1 and b"title" in again.stdout
    (suite,) = JUnitXml.fromfile("out.xml")
    assert suite.failures == 1


def test_json_lines_are_the_events_and_the_result(cli: Cli) -> None:
    cli.files(good="exit 0", bad="exit 1")
    done = cli.run("exec", SH, "good.sh", "bad.sh", "--attempts=2", "--backoff=0", "--json-lines")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["kind"] for event in events if event.get("file") == "bad.sh"]
    assert kinds == ["start", "attempt", "retry", "attempt", "result", "cost"]
    assert events[-1]["kind"] == "done"
    assert (events[-1]["result"]["passed"], events[-1]["result"]["failed"]) == (1, 1)
    assert "2 files: 1 passed, 1 failed" in done.stderr


def test_json_on_standard_output_is_alone_there(cli: Cli) -> None:
    cli.files(good="exit 0")
    status, result = cli.json("exec", SH, "good.sh")
    assert (status, result["passed"], result["interrupted"]) == (0, 1, False)


def test_quiet_says_only_what_failed_and_the_sum(cli: Cli) -> None:
    cli.files(good="exit 0")
    done = cli.run("exec", SH, "good.sh", "-q")
    assert re.fullmatch(r"\n1 file: 1 passed; [\d.]+ s\n", done.stdout)


def test_limits_environment_folder_and_arguments_reach_the_command(cli: Cli) -> None:
    cli.write("sub/x.sh", 'ulimit -n; pwd; echo "$A,$B,${TERM-none}" "$@"\n')
    status, result = cli.json(
        "exec", "--command=sh {file} {name}", "x.sh", "-C", "sub", "--open-files=77",
        "-e", "A=1=2", "-e", "B=", "--unset=TERM", "--memory=512M", "--cpu-seconds=9",
    )  # fmt: skip
    assert status == 0
    printed = result["results"][0]["stdout"]
    assert printed == f"77\n{cli.path}/sub\n1=2,,none x.sh\n"


def test_what_follows_two_dashes_is_for_the_program(cli: Cli) -> None:
    cli.write("test_a.py", "def test_1(): pass\ndef test_2(): assert 0\n")
    status, result = cli.json("exec", "test_a.py", "--attempts=1", "--", "-k", "test_1")
    assert (status, result["tests"]["total"]) == (0, 1)


def test_a_preset_is_where_options_begin(cli: Cli) -> None:
    cli.files(bad="exit 1")
    for args, attempts in (
        (["--preset=fast"], 2), (["--preset=fast", "--attempts=1"], 1), (["--adaptive"], 3),
    ):  # fmt: skip
        status, result = cli.json("exec", SH, "bad.sh", "--backoff=0", *args)
        assert (status, result["results"][0]["attempts"]) == (1, attempts)


def test_a_pattern_in_quotes_and_files_named_twice(cli: Cli) -> None:
    cli.write("a/x.sh", "exit 0")
    cli.write("a/b/y.sh", "exit 0")
    cli.write("[z].sh", "exit 0")
    _, result = cli.json("exec", SH, "**/*.sh", "./a/x.sh", "[z].sh")
    assert [one["file"] for one in result["results"]] == ["[z].sh", "a/b/y.sh", "a/x.sh"]


PACKAGES = {
    '{"devDependencies": {"jest": "1"}}': "jest",
    '{"dependencies": {"vitest": "1"}}': "vitest",
    '{"devDependencies": {"mocha": "1"}, "scripts": {"test": "nyc mocha"}}': "mocha",
    '{"devDependencies": {"mocha": "1", "jest": "1"}, "scripts": {"test": "jest ."}}': "jest",
    '{"scripts": {"test": "node --test"}}': "node",
    "{}": "node",
    "no json": "node",
    "[]": "node",
    '{"devDependencies": 3, "scripts": {"test": 4}}': "node",
}


@pytest.mark.parametrize("package", PACKAGES)
def test_scripts_are_run_by_what_the_project_has(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_qe.choosing import chosen

    monkeypatch.chdir(tmp_path)
    (tmp_path / "package.json").write_text(package)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.test.js").write_text("")
    files, framework, _ = chosen(["sub"], None, None, None)
    assert (files, framework) == (["sub/a.test.js"], PACKAGES[package])


REFUSED = {
    ("exec",): "Missing argument",
    ("exec", "no.py"): "there is no file",
    ("exec", "x.sh"): "cannot tell the framework of x.sh",
    ("exec", "x.sh", "-f", "pytset"): "did you mean pytest?",
    ("exec", "test_a.py", "b_test.go"): "several frameworks: 1 of go (b_test.go",
    ("exec", "two/a.test.js"): "has jest and mocha: --framework says which",
    ("exec", "*.rs"): "no file matches '*.rs'",
    ("exec", "empty"): "no test file known is in",
    ("exec", "empty", "-f", "jest"): "no test file of jest: *.test.",
    ("exec", "a.cy.js"): "cypress is not found",
    ("exec", "x.sh", "--command=sh {file"): "names no file",
    ("exec", "x.sh", "--command=sh '{file}"): "no closing quotation",
    ("exec", "x.sh", "--command=sh {file}", "-f", "pytest"): "goes with the framework command",
    ("exec", "x.sh", "--command=no-such-tool {file}"): "no-such-tool is not found",
    ("exec", "x.sh", SH, "-e", "A"): "'A' has no NAME=VALUE",
    ("exec", "x.sh", SH, "--unset", "A=1"): "--unset: takes the name",
    ("exec", "x.sh", SH, "--memory=3X"): "'3X' is no size",
    ("exec", "x.sh", SH, "--timeout=-1"): "--timeout",
    ("exec", "x.sh", SH, "--attempts=none"): "--attempts",
    ("exec", "x.sh", SH, "--preset=slow"): "'fast'",
    ("exec", "x.sh", SH, "--open-files=1"): "open_files",
    ("exec", "x.sh", SH, "--output-bytes=1"): "output_bytes",
    ("exec", "x.sh", SH, "--json=no/x.json"): "--json: no/x.json cannot be written",
    ("exec", "x.sh", SH, "--junit=."): "--junit: . is a folder",
    ("exec", "x.sh", SH, "-v", "-q"): "--verbose and --quiet",
    ("exec", "x.sh", SH, "--json-lines", "--json=-"): "both want standard output",
    ("exec", "x.sh", SH, "-C", "no"): "there is no folder",
    ("hunt", "x.sh", SH, "--preset=quick", "-i", "3"): "take one of them",
    ("hunt", "x.sh", SH, "-i", "0"): "--iterations",
    ("nope",): "No such command 'nope'",
    ("completion", "csh"): "'bash', 'zsh', 'fish'",
}


def test_what_makes_no_sense_is_one_line_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from pytest_qe.cli import main

    cli = Cli(tmp_path, monkeypatch)
    for name in ("test_a.py", "b_test.go", "a.cy.js", "two/a.test.js", "empty/x"):
        cli.write(name)
    cli.files(x=": > ran")
    cli.write("two/package.json", '{"devDependencies": {"jest": "1", "mocha": "1"}}')
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for args, says in REFUSED.items():
        status = main(list(args))
        out, err = capfd.readouterr()
        assert (status, out) == (2, ""), (args, out, err)
        assert err.startswith("error: ") and err.count("\n") == 1, (args, err)
        assert says in err, (args, err)
    assert not cli.exists("ran")


def test_a_usage_error_of_a_process_is_2(cli: Cli) -> None:
    assert "there is no file" in cli.refused("exec", "no.py")


def test_no_reader_ends_it_quietly_and_all_that_runs(cli: Cli) -> None:
    cli.files(a="exit 0", slow="sleep 300")
    line = shlex.join([*QE, "exec", SH, "a.sh", "slow.sh", "--json-lines"])
    done = subprocess.run(
        ["bash", "-c", f"{line} | head -n 1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    first, status = done.stdout.splitlines()
    assert json.loads(first)["kind"] == "start"
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
    assert status == "141"


def test_a_result_that_cannot_be_kept_is_a_warning_and_what_ran_counts(cli: Cli) -> None:
    cli.files(good="exit 0")
    cli.write(".qe/history.db", "no database\n" * 100)
    done = cli.run("exec", SH, "good.sh")
    assert done.returncode == 0
    assert "warning: the result is not remembered" in done.stdout and done.stderr == ""


def test_colours_are_for_terminals_and_for_those_who_ask(cli: Cli) -> None:
    cli.files(good="exit 0")
    args = ("exec", SH, "good.sh")
    assert "\x1b[" not in cli.run(*args).stdout
    forced = cli.run(*args, env={**os.environ, "FORCE_COLOR": "1"}).stdout
    assert "\x1b[" in forced and "1 file: 1 passed" in plain(forced)
    both = {**os.environ, "FORCE_COLOR": "1", "NO_COLOR": "1"}
    assert "\x1b[" not in cli.run(*args, env=both).stdout


def test_the_plugin_loads_nothing_of_the_command(cli: Cli) -> None:
    code = "import sys, pytest_qe.plugin; print([m for m in sys.modules if 'pytest_qe.cli' in m"
    code += " or m.split('.')[0] in ('click', 'rich')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_empty_word_is_no_folder(cli: Cli) -> None:
    cli.files(a="true")
    done = cli.run("exec", "", SH)
    assert done.returncode == 2
    assert "FILES: takes the path of a file, not ''" in done.stderr
