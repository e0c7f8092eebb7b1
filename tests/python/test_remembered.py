"""``python -m pytest_qe history``: a test's failures over time, by what was tested."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import HUNG, Qe

#: Fails where the file "bad" is.
SUITE = """
    import os, pytest
    def test_it(): assert not os.path.exists("bad")
    def test_skipped(): pytest.skip("never")
    def test_once():
        if not os.path.exists("tried"):
            open("tried", "w").close()
            assert 0
"""
ID = "test_it.py::test_it"
ROLES = ("AUTHOR", "COMMITTER")
WHO = {f"GIT_{role}_{what}": "a@b.c" for role in ROLES for what in ("NAME", "EMAIL")}


def tool(qe: Qe, *args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_qe", "history", *args],
        cwd=cwd or qe.path, capture_output=True, text=True, timeout=HUNG,
    )  # fmt: skip


def git(where: Path, *args: str) -> str:
    done = subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *args],
        cwd=where, capture_output=True, text=True, check=True,
        env={**os.environ, **WHO, "GIT_CONFIG_GLOBAL": os.devnull},
    )  # fmt: skip
    return done.stdout.strip()


def commit(where: Path) -> str:
    git(where, "commit", "-q", "--allow-empty", "-m", "more")
    return git(where, "rev-parse", "HEAD")


def rows(qe: Qe, *args: str) -> dict[str, tuple[int, int, int]]:
    done = tool(qe, *args, "--json")
    assert done.returncode == 0, done.stderr
    return {
        row["label"]: (row["runs"], row["failures"], row["recovered"])
        for row in json.loads(done.stdout)["rows"]
    }


@pytest.mark.parametrize("packed", [False, True])
def test_failures_are_told_by_commit_and_branch(qe: Qe, packed: bool) -> None:
    qe.files(test_it=SUITE)
    git(qe.path, "init", "-q")
    first = commit(qe.path)
    if packed:
        git(qe.path, "pack-refs", "--all")
    qe.run("--qe-parallel=2")
    (qe.path / "bad").touch()
    _, written = qe.json("--qe-parallel=2")
    assert (written.run["revision"], written.run["branch"]) == (first, "main")
    git(qe.path, "checkout", "-q", "-b", "topic/one")
    second = commit(qe.path)
    qe.run("--qe-parallel=2")
    git(qe.path, "checkout", "-q", "--detach")
    (qe.path / "bad").unlink()
    qe.run("--qe-parallel=2")
    assert rows(qe, ID, "--by=commit") == {first: (2, 1, 0), second: (2, 1, 0)}
    assert rows(qe, ID, "--by=branch") == {"main": (2, 1, 0), "topic/one": (1, 1, 0), "": (1, 0, 0)}
    assert tool(qe, ID, "--by=branch").stdout.splitlines()[3].startswith("unknown ")


def test_a_work_tree_beside_the_repository_has_its_own_head(qe: Qe) -> None:
    git(qe.path, "init", "-q", "one")
    commit(qe.path / "one")
    git(qe.path / "one", "worktree", "add", "-q", "-b", "other", str(qe.path / "two"))
    sha = commit(qe.path / "two")
    (qe.path / "two/test_it.py").write_text("def test_it(): pass\n")
    (qe.path / "two/pytest.ini").write_text("[pytest]\n")
    _, written = qe.json("--qe-parallel=1", "two")
    assert (written.run["revision"], written.run["branch"]) == (sha, "other")


ODD = {
    "no repository": {},
    "no commit yet": {".git/HEAD": "ref: refs/heads/main\n"},
    "no name": {".git/HEAD": "what is this\n"},
    "elsewhere": {".git/HEAD": "ref: refs/heads/../../../etc/passwd\n"},
    "reftable": {".git/HEAD": "ref: refs/heads/.invalid\n"},
    "file": {".git": "gitdir: nowhere\n"},
    "bytes": {".git/HEAD": b"\xff\xfe\x00"},
    "no id": {".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": "1234\n"},
}


@pytest.mark.parametrize("what", ODD)
def test_what_git_does_not_tell_simply_is_unknown(qe: Qe, what: str) -> None:
    qe.files(test_it="def test_it(): pass")
    (qe.path / "pytest.ini").write_text("[pytest]\n")
    for name, content in ODD[what].items():
        path = qe.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result, written = qe.json("--qe-parallel=1")
    assert result.ret == 0
    assert "revision" not in written.run
    expected = "main" if what in ("no commit yet", "no id") else None
    assert written.run.get("branch") == expected


def test_rates_are_told_by_day_with_their_interval(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    for _ in range(3):
        qe.run("--qe-parallel=2", "-k", "test_it")
    (qe.path / "bad").touch()
    qe.run("--qe-parallel=2", "-k", "test_it")
    (qe.path / "sub").mkdir()
    lines = tool(qe, ID, cwd=qe.path / "sub").stdout.splitlines()
    assert lines[0].split()[:5] == ["day", "runs", "failures", "recovered", "rate"]
    # The 2.5 % and 97.5 % points of Beta(1.5, 3.5).
    assert lines[-1].split()[1:] == ["4", "1", "0", "25.0%", "2.8%", "to", "71.6%"]
    day = json.loads(tool(qe, ID, "--json").stdout)
    assert day["all"]["rate"] == 0.25
    assert day["rows"][-1]["last"] >= day["rows"][0]["first"] > 1e9


def test_passes_on_a_retry_are_told_apart(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    qe.run("--qe-parallel=2", "--qe-retries=2")
    qe.run("--qe-parallel=2", "--qe-retries=2")
    assert rows(qe, "test_it.py::test_once", "--by=condition") == {"ordinary": (2, 1, 1)}


def test_passes_of_a_hunt_have_their_condition(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    qe.run("--qe-flaky=4", "--qe-flaky-mode=fixed")
    assert rows(qe, ID, "--by=condition") == {"default": (1, 0, 0), "shuffled": (3, 0, 0)}


def test_passes_of_an_adaptive_hunt_have_theirs(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    _, written = qe.json("--qe-flaky=6", "--qe-flaky-mode=adaptive")
    conditions: dict[str, int] = {}
    for made in written.run["hunt"]["passes"]:
        name = made["condition"]
        conditions[name] = conditions.get(name, 0) + made.get("repeats", 1)
    found = rows(qe, ID, "--by=condition")
    assert set(found) <= set(conditions)
    assert len(found) > 1
    assert sum(runs for runs, _, _ in found.values()) == len(written["test_it"]["attempts"])


def test_a_test_that_never_ran_to_its_end_has_no_rate(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    qe.run("--qe-parallel=2")
    done = tool(qe, "test_it.py::test_skipped")
    assert done.returncode == 1
    assert "knows no run of test_it.py::test_skipped" in done.stderr


@pytest.mark.parametrize("what", ["no history", "no test", "no database", "not there"])
def test_what_cannot_be_told_is_one_line(qe: Qe, what: str) -> None:
    args = [ID]
    if what == "no test":
        qe.files(test_it="def test_other(): pass")
        qe.run("--qe-parallel=1")
    elif what == "no database":
        (qe.path / ".qe").mkdir()
        (qe.path / ".qe/history.db").write_text("no database\n" * 100)
    elif what == "not there":
        args.append("--history=none.db")
    done = tool(qe, *args)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (qe.path / "none.db").exists()
