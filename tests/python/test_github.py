"""In GitHub Actions failures are annotations, and the job has a summary."""

from __future__ import annotations

import pytest

from conftest import Qe
from pytest_qe.github import Row, commands, markdown

SUITE = """\
import os, pytest

@pytest.fixture
def broken(): raise OSError("no | fixture")

def test_passes(): pass
def test_fails():
    value = 1
    assert value == 2, "100% wrong\\n::error::not ours <b>"
def test_errs(broken): pass
@pytest.mark.qe(retries=1)
def test_flaky():
    first = not os.path.exists("ran")
    open("ran", "w").close()
    assert not first
def test_crashes(): os.abort()
"""


@pytest.fixture
def actions(qe: Qe) -> Qe:
    qe.setenv("GITHUB_ACTIONS", "true")
    qe.setenv("GITHUB_WORKSPACE", str(qe.path.parent))
    qe.setenv("GITHUB_STEP_SUMMARY", str(qe.path / "summary.md"))
    return qe


def test_failures_stand_beside_the_code(actions: Qe) -> None:
    actions.files(test_a=SUITE)
    lines = actions.run("--qe-parallel=2").stdout.lines
    told = {line for line in lines if line.startswith("::")}
    file = f"file={actions.path.name}/test_a.py"
    assert {"::" + line.split("::")[1] for line in told if "test_fails" not in line} == {
        f"::error {file},line=4,title=test_a.py%3A%3Atest_errs",
        f"::error {file},line=16,title=test_a.py%3A%3Atest_crashes",
        f"::warning {file},line=15,title=flaky%3A test_a.py%3A%3Atest_flaky",
    }
    (fails,) = (line for line in told if "test_fails" in line)
    assert fails.startswith(f"::error {file},line=9,title=test_a.py%3A%3Atest_fails::")
    assert "100%25 wrong%0A  ::error::not ours" in fails
    summary = (actions.path / "summary.md").read_text()
    head, _, _, _, *rows, _, _ = summary.split("\n")
    assert head == "### Tests: 2 failed, 1 error, 2 passed"
    assert [row.split(" | ")[0] for row in rows] == ["| failed", "| failed", "| error", "| flaky"]
    assert "no \\| fixture" in summary and "::error" not in summary
    # The summaries of several runs in a step stand one below the other.
    actions.run("--qe-parallel=2", "-k", "passes")
    assert (actions.path / "summary.md").read_text() == summary + "### Tests: 1 passed\n\n"


def test_elsewhere_nothing_is_said(qe: Qe) -> None:
    qe.files(test_a="def test_a(): assert 0\n")
    assert not any(line.startswith("::") for line in qe.run("--qe-parallel=1").stdout.lines)


def test_a_summary_that_cannot_be_written_is_a_warning(actions: Qe) -> None:
    actions.files(test_a="def test_a(): pass\n")
    actions.setenv("GITHUB_STEP_SUMMARY", str(actions.path / "none" / "summary"))
    result = actions.run("--qe-parallel=1")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["qe: warning: *none/summary: No such file or directory"])


def test_what_names_and_messages_hold_is_text() -> None:
    row = Row("a,b:c\n%.py::<i>[x]", "failed", "d,e.py", 1, "")
    assert list(commands([row])) == [
        "::error file=d%2Ce.py,line=1,title=a%2Cb%3Ac%0A%25.py%3A%3A<i>[x]::failed"
    ]
    assert "&lt;i&gt;" not in markdown([row], {}) and "a,b:c" in markdown([row], {})
    row = row._replace(id="<i>[x](y) `z`", message="*a* _b_ | c\nd")
    text = markdown([row] * 101, {"failed": 101})
    assert "&lt;i&gt;\\[x\\]\\(y\\) \\`z\\` | \\*a\\* \\_b\\_ \\| c |" in text
    assert text.endswith("\n\nand 1 more\n\n")
    assert len(list(commands([row] * 101))) == 10
