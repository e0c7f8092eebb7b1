"""Durations are remembered; nothing about that can fail a run."""

from __future__ import annotations

import os
import sqlite3
import subprocess

import pytest

from conftest import Qe

SLOW_LAST = "import time\n" + "".join(
    f"def test_{i}(): time.sleep({0.3 if i == 7 else 0.01})\n" for i in range(8)
)


def suite(qe: Qe) -> None:
    for name in "abcd":
        qe.files(
            **{
                f"test_{name}": f"""
            import time
            def test_{name}1(): time.sleep({0.4 if name == "d" else 0.08})
            def test_{name}2(): time.sleep(0.08)
        """
            }
        )


def test_the_second_run_goes_longest_first(qe: Qe) -> None:
    suite(qe)
    _, first = qe.json("--qe-parallel=2")
    assert "test_d1" not in first.starts()[:3]
    _, second = qe.json("--qe-parallel=2")
    assert "test_d1" in second.starts()[:3]
    assert [t["id"] for t in first.tests] == [t["id"] for t in second.tests]


def test_the_history_lies_beside_the_rootdir_and_ignores_itself(qe: Qe) -> None:
    suite(qe)
    (qe.path / "sub").mkdir()
    qe.monkeypatch.chdir(qe.path / "sub")
    qe.run("--qe-parallel=2", "--rootdir=..", "..")
    assert (qe.path / ".qe/history.db").exists()
    assert not (qe.path / "sub/.qe").exists()
    assert "*" in (qe.path / ".qe/.gitignore").read_text().splitlines()
    subprocess.run(["git", "init", "-q", str(qe.path)], check=True)
    status = subprocess.run(
        ["git", "-C", str(qe.path), "status", "--porcelain", "--untracked-files=all"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ".qe" not in status.stdout


def test_an_own_gitignore_is_kept(qe: Qe) -> None:
    suite(qe)
    (qe.path / ".qe").mkdir()
    (qe.path / ".qe/.gitignore").write_text("own\n")
    qe.run("--qe-parallel=2")
    assert (qe.path / ".qe/.gitignore").read_text() == "own\n"


@pytest.mark.parametrize("how", ["option", "ini"])
def test_the_history_can_be_moved(qe: Qe, how: str) -> None:
    suite(qe)
    args = ["--qe-parallel=2", "--qe-history=kept.db"]
    if how == "ini":
        qe.pytester.makeini("[pytest]\nqe_history = kept.db\n")
        args.pop()
    qe.json(*args)
    assert (qe.path / "kept.db").exists()
    assert not (qe.path / ".qe").exists()
    _, second = qe.json(*args)
    assert "test_d1" in second.starts()[:3]


@pytest.mark.parametrize("how", ["option", "ini"])
def test_no_history(qe: Qe, how: str) -> None:
    suite(qe)
    qe.run("--qe-parallel=2")
    before = (qe.path / ".qe/history.db").read_bytes()
    args = ["--qe-parallel=2"]
    if how == "ini":
        qe.pytester.makeini("[pytest]\nqe_no_history = true\n")
    else:
        args.append("--qe-no-history")
    _, written = qe.json(*args)
    assert "test_d1" not in written.starts()[:3], "it is not read"
    assert (qe.path / ".qe/history.db").read_bytes() == before, "nor written"


def test_no_history_makes_no_folder(qe: Qe) -> None:
    suite(qe)
    qe.run("--qe-parallel=2", "--qe-no-history").assert_outcomes(passed=8)
    assert not (qe.path / ".qe").exists()


def spoil(qe: Qe, how: str) -> None:
    path = qe.path / ".qe/history.db"
    if how == "text":
        path.write_text("this is no database\n" * 1000)
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    elif how == "scrambled":
        data = bytearray(path.read_bytes())
        for i in range(100, len(data), 7):
            data[i] ^= 0xA5
        path.write_bytes(data)
    elif how == "foreign":
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("create table attempts (x)")
            connection.execute("pragma user_version = 12345")
    elif how == "directory":
        path.unlink()
        path.mkdir()
    elif how == "loop":
        path.unlink()
        path.symlink_to(path)


@pytest.mark.parametrize("how", ["text", "truncated", "scrambled", "foreign", "directory", "loop"])
def test_a_spoiled_history_is_a_warning(qe: Qe, how: str) -> None:
    suite(qe)
    qe.run("--qe-parallel=2")
    spoil(qe, how)
    for _ in range(2):
        result = qe.run("--qe-parallel=2")
        assert result.ret == 0
        result.assert_outcomes(passed=8)
        assert "Traceback" not in result.stdout.str() + result.stderr.str()
    first = result.stdout.str()
    assert "history" in first or (qe.path / ".qe/history.db").is_file()


def test_an_empty_file_becomes_a_history(qe: Qe) -> None:
    suite(qe)
    (qe.path / ".qe").mkdir()
    (qe.path / ".qe/history.db").touch()
    result = qe.run("--qe-parallel=2")
    assert "warning" not in result.stdout.str()
    _, second = qe.json("--qe-parallel=2")
    assert "test_d1" in second.starts()[:3]


def test_a_locked_history_is_a_warning(qe: Qe) -> None:
    suite(qe)
    qe.run("--qe-parallel=2")
    with sqlite3.connect(qe.path / ".qe/history.db", isolation_level=None) as connection:
        connection.execute("begin exclusive")
        result = qe.run("--qe-parallel=2")
        connection.execute("rollback")
    assert result.ret == 0
    result.assert_outcomes(passed=8)
    assert "qe: warning: history" in result.stdout.str()


def test_a_read_only_history_is_a_warning(qe: Qe) -> None:
    suite(qe)
    path = "/proc/self/history.db"
    result = qe.run("--qe-parallel=2", f"--qe-history={path}")
    assert result.ret == 0
    result.assert_outcomes(passed=8)
    assert f"qe: warning: history {path}" in result.stdout.str()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_a_warning(qe: Qe) -> None:
    suite(qe)
    qe.run("--qe-parallel=2")
    (qe.path / ".qe/history.db").chmod(0o400)
    (qe.path / ".qe").chmod(0o500)
    try:
        result = qe.run("--qe-parallel=2")
    finally:
        (qe.path / ".qe").chmod(0o700)
    assert result.ret == 0
    assert "qe: warning: history" in result.stdout.str()


def test_a_file_in_place_of_the_folder_is_a_warning(qe: Qe) -> None:
    suite(qe)
    (qe.path / ".qe").write_text("")
    result = qe.run("--qe-parallel=2")
    assert result.ret == 0
    assert "qe: warning: history" in result.stdout.str()


def test_tests_do_not_inherit_the_database(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os
        def test_it():
            for fd in os.listdir("/proc/self/fd"):
                try:
                    assert "history.db" not in os.readlink(f"/proc/self/fd/{fd}")
                except FileNotFoundError: pass
    """
    )
    qe.run("--qe-parallel=2").assert_outcomes(passed=1)
    qe.run("--qe-parallel=2").assert_outcomes(passed=1)


def test_one_worker_keeps_the_order_of_collection(qe: Qe) -> None:
    suite(qe)
    qe.run("--qe-parallel=1")
    _, second = qe.json("--qe-parallel=1")
    assert second.starts() == [t["id"].split("::")[1] for t in second.tests]


def test_longest_first_helps_the_long_tail(qe: Qe) -> None:
    """A module with a slow test at its end starts first."""
    for name in "abc":
        qe.files(**{f"test_{name}": "def test_1(): pass\ndef test_2(): pass"})
    qe.files(test_d=SLOW_LAST)
    qe.json("--qe-parallel=2")
    _, second = qe.json("--qe-parallel=2")
    first = {t["id"]: t["attempts"][0] for t in second.tests}
    slow = first["test_d.py::test_0"]
    others = [a["start"] for a in first.values() if a["worker"] == slow["worker"]]
    assert slow["start"] == min(others)
