"""Each framework's own command, by the real tool: its exit status and its tests."""

from __future__ import annotations

import doctest
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_qe import counts, frameworks, scratch, targets
from pytest_qe.frameworks import Command, command_for

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = ROOT / "node_modules"
#: What test_frameworks.js runs as well: both must count alike.
CASES: dict[str, Any] = json.loads((ROOT / "tests" / "frameworks.json").read_text("utf-8"))

#: Not of the run that this is a test of.
OURS = ("PYTEST_", "QE_", "NODE_", "JEST_", "VITEST", "CI", "GITHUB_", "FORCE_COLOR")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def project(folder: Path, files: Mapping[str, list[str]], modules: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    for name, lines in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if modules:
        (folder / "node_modules").mkdir()  # with a cache of its own
        for module in MODULES.iterdir():
            if module.name != ".cache":
                (folder / "node_modules" / module.name).symlink_to(module)
    return folder


def ended(command: Command) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **command.env}
    return subprocess.run(
        command.argv,
        cwd=command.cwd,
        env={name: value for name, value in environ.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def needs(framework: str) -> None:
    """Skips where a tool is missing, by its name."""
    suite = CASES[framework]
    if suite.get("node_modules"):
        if not (MODULES / ".bin" / suite["tool"]).exists():
            pytest.skip(f"{suite['tool']} is not in node_modules (make build/npm.stamp)")
    elif shutil.which(suite["tool"]) is None and suite["tool"] not in ("pytest", "python3"):
        pytest.skip(f"{suite['tool']} is not installed (tools/setup.sh tools)")


@pytest.fixture(scope="module", params=CASES)
def suite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A framework, and a project of it."""
    name = request.param
    needs(name)
    files = CASES[name]
    folder = tmp_path_factory.mktemp(name)
    return name, project(folder, files["files"], files.get("node_modules", False))


def test_each_file_has_its_status_and_its_tests(suite: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = suite
    for case in CASES[name]["cases"]:
        more = {key: case[key] for key in ("args", "template") if key in case}
        command = command_for(name, case["file"], cwd=folder, reports=tmp_path, **more)
        done = ended(command)
        found = counts.read(command, done.returncode, done.stdout, done.stderr)
        said = f"{name}: {case['file']}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == case["status"], said
        assert (found.as_dict() if found else None) == case["tests"], said
        if "failure" in case:
            assert found is not None
            first = found.failures[0]
            title, message = case["failure"]
            assert title in first["name"] and message in first["message"], found.failures
        if found:
            assert len(found.failures) == min(20, found.failed + found.errors)
        counts.discard(command)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_added_where_no_results_are_read(suite: tuple[str, Path]) -> None:
    name, folder = suite
    case = CASES[name]["cases"][0]
    template = ["cat", "{file}"] if name == "command" else None
    command = command_for(name, case["file"], cwd=folder, template=template)
    assert (command.report, command.kind) == (None, "none")
    assert not any("report" in word for word in command.argv)
    done = ended(command)
    assert counts.read(command, done.returncode, done.stdout, done.stderr) is None


@pytest.mark.parametrize("name", ["mocha", "jest", "vitest", "playwright", "node", "pytest"])
def test_the_terminal_has_what_it_has_without_results(name: str, tmp_path: Path) -> None:
    needs(name)
    files = CASES[name]
    folder = project(tmp_path / "p", files["files"], files.get("node_modules", False))
    case = files["cases"][1]
    with_results = ended(command_for(name, case["file"], cwd=folder, reports=tmp_path))
    own = ended(command_for(name, case["file"], cwd=folder))
    assert with_results.returncode == own.returncode
    said = with_results.stdout + with_results.stderr
    for word in ("breaks", "this one"):
        assert word in said
        assert word in own.stdout + own.stderr
    if name == "mocha":  # its reporter, and what it requires, are the project's
        times = [text.replace("ms)", "").split("passing")[0] for text in (said, own.stdout)]
        assert times[0] == times[1]
        assert "our own" in said


def test_args_of_the_user_come_between_and_win(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", {"test_a.py": ["def test_a(): pass"]})
    one = command_for("pytest", "test_a.py", cwd=folder, reports=tmp_path, args=["-q"])
    assert one.argv[1:] == (f"--junitxml={one.report}", "-q", str(folder / "test_a.py"))
    own = command_for(
        "pytest", "test_a.py", cwd=folder, reports=tmp_path, args=["--junitxml=own.xml"]
    )
    assert own.argv[1:] == ("--junitxml=own.xml", str(folder / "test_a.py"))
    assert (own.report, own.kind) == (None, "none")
    assert ended(own).returncode == 0
    assert (folder / "own.xml").exists()


def test_what_follows_two_dashes_comes_last(tmp_path: Path) -> None:
    needs("cargo")
    project(tmp_path, {"Cargo.toml": [""], "tests/a.rs": [""]})
    words = ["--release", "--", "--nocapture"]
    command = command_for("cargo", "tests/a.rs", cwd=tmp_path, args=words)
    assert command.argv[1:] == ("test", "--release", "--test=a", "--", "--nocapture")


def test_runs_of_one_file_at_one_time_do_not_meet(tmp_path: Path) -> None:
    needs("playwright")
    suite = CASES["playwright"]
    folder = project(tmp_path / "p", suite["files"], modules=True)
    made = [
        command_for("playwright", "pass.spec.js", cwd=folder, reports=tmp_path, run=run)
        for run in (0, 0, 1)
    ]
    assert len({command.report for command in made}) == 3
    assert [command.argv[3] for command in made] == [
        "--output=node_modules/.cache/qe/pass-spec-js",
        "--output=node_modules/.cache/qe/pass-spec-js",
        "--output=node_modules/.cache/qe/pass-spec-js-1",
    ]


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def test_cypress_by_its_documentation(tmp_path: Path) -> None:
    """It needs a binary that is downloaded: a program of this test's stands for it."""
    text = (
        '#!/bin/sh\necho "$@"; echo electron=$ELECTRON_RUN_AS_NODE\n'
        'report=${5#mochaFile=}\necho \'<testsuites><testsuite name="a">'
        '<testcase name="one"/><testcase name="two"><skipped/></testcase>'
        '</testsuite></testsuites>\' >"$report"\n'
    )
    program(tmp_path / "node_modules" / ".bin" / "cypress", text)
    (tmp_path / "a.cy.js").write_text("", encoding="utf-8")
    command = command_for("cypress", "a.cy.js", cwd=tmp_path, reports=tmp_path, args=["-b", "x"])
    done = ended(command)
    spec = tmp_path / "a.cy.js"
    assert done.stdout.splitlines() == [
        f"run --reporter junit --reporter-options mochaFile={command.report} -b x --spec {spec}",
        "electron=",
    ]
    found = counts.read(command, done.returncode, done.stdout, done.stderr)
    assert found is not None
    assert (found.total, found.passed, found.skipped) == (2, 1, 1)


def test_the_projects_own_tool_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "project" / "packages" / "one"
    below.mkdir(parents=True)
    project = tmp_path / "project"
    entry = frameworks.lookup("pytest")
    environ = {"PATH": str(tmp_path / "bin")}

    def found(**more: str) -> str | None:
        return frameworks.find_tool(entry, below, {**environ, **more})

    monkeypatch.setattr(sys, "executable", str(tmp_path / "running" / "python"))
    assert found() is None
    in_path = program(tmp_path / "bin" / "pytest")
    assert found() == str(in_path)
    running = program(tmp_path / "running" / "pytest")
    assert found() == str(running)
    own = program(project / "venv" / "bin" / "pytest")
    assert found() == str(own)
    active = program(project / "env" / "bin" / "pytest")
    assert found(VIRTUAL_ENV=str(project / "env")) == str(active)
    elsewhere = program(tmp_path / "other" / "env" / "bin" / "pytest")
    assert found(VIRTUAL_ENV=str(elsewhere.parent.parent)) == str(own)
    nearer = program(below / ".venv" / "bin" / "pytest")
    assert found(VIRTUAL_ENV=str(project / "env")) == str(nearer)
    nearer.chmod(0o644)
    assert found() == str(own)
    node = program(project / "node_modules" / ".bin" / "mocha")
    mocha = frameworks.lookup("mocha")
    assert frameworks.find_tool(mocha, below, environ) == str(node)
    assert frameworks.find_tool(mocha, tmp_path, environ) is None


def refusals(tmp_path: Path) -> Iterator[tuple[dict[str, Any], type[Exception], str]]:
    """Arguments, the error, and words of its line."""
    unknown, tool, missing, wrong = (
        frameworks.UnknownFramework,
        frameworks.MissingTool,
        frameworks.MissingFile,
        frameworks.FrameworkError,
    )
    empty = {"PATH": "/nonexistent"}
    yield {"framework": "pytst"}, unknown, "unknown framework 'pytst': did you mean pytest? there"
    yield {"framework": "Jest"}, unknown, "did you mean jest?"
    yield {"framework": "nose"}, unknown, "unknown framework 'nose': "
    yield {"framework": "cypress", "env": empty}, tool, "npm install --save-dev cypress"
    yield {"framework": "go", "file": "a_test.go", "env": empty}, tool, "golang-go"
    yield {"file": "no.py"}, missing, f"there is no file {tmp_path}/no.py"
    yield {"file": "."}, missing, "is a folder"
    yield {"file": ""}, missing, "takes the path of a file, not ''"
    yield {"file": "a\0b"}, missing, "takes the path of a file"
    yield {"cwd": "/nonexistent"}, missing, "there is no folder /nonexistent"
    yield {"args": "-q"}, wrong, "args: takes a list of words, not '-q'"
    yield {"args": [3]}, wrong, "args: takes words, not 3"
    yield {"template": ["x", "{file}"]}, wrong, "goes with the framework command, not with pytest"
    for template, says in (
        (None, "takes a list of words"),
        ("cat {file}", "takes a list of words"),
        ([], "has no program"),
        (["cat"], "names no file: put {file} where it belongs"),
    ):
        yield {"framework": "command", "template": template}, wrong, f"template: {says}"
    for word in ("no-such-program", "./no-such-program", "./test_a.py"):
        given = {"framework": "command", "template": [word, "{file}"]}
        yield given, tool, f"{word} is not found"
    yield {"framework": "go", "file": "test_a.py"}, missing, "NAME_test.go or the folder"
    yield {"framework": "cargo", "file": "test_a.py"}, missing, "no Cargo.toml lies above"
    yield {"framework": "cargo", "file": "c/src/lib.rs"}, missing, "tests/NAME.rs or the folder"
    yield {"framework": "cargo", "file": "c/tests/a/b.rs"}, missing, "tests/NAME.rs or the folder"
    yield {"framework": "ctest", "file": "c"}, missing, "a build folder, with CTestTestfile.cmake"
    yield {"framework": "ctest", "file": "no"}, missing, "there is no file or folder"
    away = {"framework": "unittest", "cwd": str(tmp_path / "c"), "file": "../test_a.py"}
    yield away, missing, "unittest takes files below its folder"


def test_what_cannot_work_is_one_line_before_anything_starts(tmp_path: Path) -> None:
    files = ("test_a.py", "a_test.go", "c/Cargo.toml", "c/src/lib.rs", "c/tests/a/b.rs")
    project(tmp_path, {name: [""] for name in files})
    for given, error, says in refusals(tmp_path):
        arguments = {"framework": "pytest", "file": "test_a.py", "cwd": tmp_path, **given}
        with pytest.raises(error) as caught:
            command_for(**arguments)
        assert isinstance(caught.value, frameworks.FrameworkError)
        assert says in str(caught.value), str(caught.value)
        assert "\n" not in str(caught.value)


def test_aliases_and_the_table() -> None:
    aliases = {
        "node:test": "node", "go test": "go", "cargo test": "cargo", "py.test": "pytest",
    }  # fmt: skip
    for alias, name in aliases.items():
        assert frameworks.lookup(alias).name == name
    assert frameworks.names() == [
        "pytest", "jest", "mocha", "vitest", "node", "playwright", "cypress", "unittest",
        "go", "cargo", "ctest", "command",
    ]  # fmt: skip
    assert set(CASES) == set(frameworks.names()) - {"cypress"}


def test_programs_of_a_template_are_the_projects_own(tmp_path: Path) -> None:
    own = program(tmp_path / "node_modules" / ".bin" / "ava")
    (tmp_path / "a.js").write_text("", encoding="utf-8")
    words = ["ava", "--x={stem}", "{unknown}", "{dir}/{name}"]
    command = command_for("command", "a.js", cwd=tmp_path, template=words)
    assert command.argv == (str(own), "--x=a", "{unknown}", str(tmp_path / "a.js"))


def test_their_examples() -> None:
    for module in (counts, frameworks, scratch, targets):
        assert doctest.testmod(module).failed == 0


def test_what_a_killed_process_has_left_is_removed_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = (
        "import os, signal, tempfile; from pytest_qe import scratch\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "with scratch.scratch() as folder:\n"
        "    (folder / 'report').touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    (left,) = tmp_path.iterdir()
    with scratch.scratch() as first, scratch.scratch() as second:
        assert {first, second} == set(tmp_path.iterdir())
        assert left not in (first, second)
    assert list(tmp_path.iterdir()) == []


def test_the_plugin_does_not_load_them() -> None:
    code = (
        "import sys, pytest_qe.plugin, pytest_qe.controller\n"
        "print([m for m in ('junitparser', 'tap', 'pytest_qe.frameworks') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
