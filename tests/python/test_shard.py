"""``--qe-shard``: parts that are disjoint and complete, and the check of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import HUNG, Qe


def suite(qe: Qe, files: int = 7) -> None:
    for number in range(files):
        qe.files(
            **{
                f"test_{number}": f"""
            import pytest, time
            @pytest.mark.parametrize("value", range({number + 1}))
            def test_it(value): time.sleep(0.001 * {number})
        """
            }
        )


def shards(qe: Qe, of: int, *args: str) -> list[Path]:
    paths = []
    for index in range(1, of + 1):
        path = qe.path / f"shard{index}of{of}.json"
        result = qe.run(f"--qe-shard={index}/{of}", f"--qe-json={path}", *args)
        assert result.ret in (0, pytest.ExitCode.NO_TESTS_COLLECTED), result.stdout.str()
        paths.append(path)
    return paths


def read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def ids(path: Path) -> list[str]:
    return [test["id"] for test in read(path)["tests"]]


def verify(*paths: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_qe", "shard-verify", *map(str, paths)],
        capture_output=True, text=True, timeout=HUNG, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("of", [1, 2, 3, 10])
def test_shards_are_disjoint_and_complete(qe: Qe, of: int) -> None:
    suite(qe)
    qe.run("--qe-json=whole.json")
    paths = shards(qe, of)
    whole = ids(qe.path / "whole.json")
    parts = [ids(path) for path in paths]
    assert sorted(nodeid for part in parts for nodeid in part) == sorted(whole)
    for part in parts:
        assert part == [nodeid for nodeid in whole if nodeid in set(part)], "collection order"
        for nodeid in part:
            file = nodeid.split("::")[0]
            assert all(n in part for n in whole if n.startswith(file)), "files are never split"
    done = verify(*paths)
    assert done.returncode == 0, done.stderr
    assert f"{of} shard" in done.stdout


def test_a_shard_does_not_depend_on_history_or_place(qe: Qe) -> None:
    suite(qe)
    [first] = [ids(p) for p in shards(qe, 2)[:1]]
    qe.run("--qe-parallel=2")  # writes a history
    [second] = [ids(p) for p in shards(qe, 2, "--qe-parallel=2")[:1]]
    assert first == second
    other = qe.path / "elsewhere"
    other.mkdir()
    for path in list(qe.path.glob("test_*.py")):
        path.rename(other / path.name)
    result = qe.pytester.run(
        sys.executable, "-m", "pytest", "--qe-shard=1/2", "--rootdir=elsewhere", "elsewhere",
        "--qe-json=moved.json", timeout=HUNG,
    )  # fmt: skip
    assert result.ret == 0
    assert ids(qe.path / "moved.json") == first


def test_shard_alone_changes_nothing_else(qe: Qe) -> None:
    suite(qe)
    first = qe.run("--qe-shard=1/2")
    second = qe.run("--qe-shard=2/2")
    counts = [result.parseoutcomes() for result in (first, second)]
    assert counts[0]["passed"] + counts[1]["passed"] == 28
    assert counts[0]["deselected"] == counts[1]["passed"]
    assert "workers" not in first.stdout.str()


def test_shard_after_deselection(qe: Qe) -> None:
    suite(qe)
    paths = shards(qe, 2, "-k", "0 or 1")
    qe.run("--qe-json=whole.json", "-k", "0 or 1")
    assert sorted(ids(paths[0]) + ids(paths[1])) == sorted(ids(qe.path / "whole.json"))
    assert verify(*paths).returncode == 0


def test_description_in_the_json(qe: Qe) -> None:
    suite(qe)
    one, two = (read(path)["run"]["shard"] for path in shards(qe, 2))
    assert (one["index"], one["of"], two["index"]) == (1, 2, 2)
    assert one["collection_digest"] == two["collection_digest"]
    assert one["collected"] == 28
    assert one["by"] == "path"
    assert one["durations_digest"] is None
    qe.files(test_more="def test_it(): pass")
    changed = read(shards(qe, 2)[0])["run"]["shard"]
    assert changed["collection_digest"] != one["collection_digest"]


# ------------------------------------------------------------------- durations


def weights(qe: Qe, **seconds: float) -> None:
    text = json.dumps({"schema": 1, "files": {f"{k}.py": v for k, v in seconds.items()}})
    (qe.path / "durations.json").write_text(text)


@pytest.mark.parametrize("args", [(), ("--qe-parallel=2",)], ids=["serial", "parallel"])
def test_durations_are_written_by_a_whole_run(qe: Qe, args: tuple[str, ...]) -> None:
    qe.files(
        test_long="import time\ndef test_1(): time.sleep(0.3)\ndef test_2(): time.sleep(0.2)",
        test_short="def test_it(): pass",
    )
    assert qe.run("--qe-shard-durations=durations.json", *args).ret == 0
    files = read(qe.path / "durations.json")["files"]
    assert set(files) == {"test_long.py", "test_short.py"}
    assert files["test_long.py"] >= 0.5
    assert 0 <= files["test_short.py"] < 0.5


def test_durations_balance_the_shards(qe: Qe) -> None:
    suite(qe)
    weights(qe, test_0=10, test_1=1, test_2=1, test_3=1, test_4=1, test_5=1, test_6=5)
    paths = shards(qe, 2, "--qe-shard-durations=durations.json")
    files = [{nodeid.split("::")[0] for nodeid in ids(path)} for path in paths]
    assert {"test_0.py"} in files, "10 s against 10 s"
    assert verify(*paths).returncode == 0
    shard = read(paths[0])["run"]["shard"]
    assert shard["by"] == "durations"
    assert shard["durations_digest"] == read(paths[1])["run"]["shard"]["durations_digest"]


def test_a_shard_leaves_the_durations_alone(qe: Qe) -> None:
    suite(qe)
    weights(qe, test_0=3)
    before = (qe.path / "durations.json").read_text()
    shards(qe, 2, "--qe-shard-durations=durations.json", "--qe-parallel=2")
    assert (qe.path / "durations.json").read_text() == before


def test_files_without_a_duration_are_in_some_shard(qe: Qe) -> None:
    suite(qe)
    weights(qe, test_0=3, test_gone=100)
    paths = shards(qe, 3, "--qe-shard-durations=durations.json")
    assert sum(len(ids(path)) for path in paths) == 28


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"files": {}}', '{"schema": 1}', '{"schema": 99, "files": {}}',
     '{"schema": 1, "files": {"a.py": "x"}}', '{"schema": 1, "files": {"a.py": -1}}',
     '{"schema": 1, "files": {"a.py": NaN}}', '{"schema": 1, "files": []}', "\udc80"],
)  # fmt: skip
def test_corrupt_durations(qe: Qe, text: str) -> None:
    """A shard that guessed would not fit the others: it must not run."""
    suite(qe, 2)
    (qe.path / "durations.json").write_text(text, errors="surrogateescape")
    result = qe.run("--qe-shard=1/2", "--qe-shard-durations=durations.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stderr.str() + result.stdout.str()
    assert "durations.json" in text
    assert "Traceback" not in text


def test_missing_durations(qe: Qe) -> None:
    suite(qe, 2)
    result = qe.run("--qe-shard=1/2", "--qe-shard-durations=missing.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stderr.str() + result.stdout.str()
    assert "missing.json" in text
    assert "Traceback" not in text


def test_corrupt_durations_are_replaced_by_a_whole_run(qe: Qe) -> None:
    suite(qe, 2)
    (qe.path / "durations.json").write_text("{")
    assert qe.run("--qe-shard-durations=durations.json").ret == 0
    assert len(read(qe.path / "durations.json")["files"]) == 2


def test_durations_that_cannot_be_written_are_a_warning(qe: Qe) -> None:
    suite(qe, 2)
    for args in ((), ("--qe-parallel=2",)):
        result = qe.run("--qe-shard-durations=missing/durations.json", *args)
        assert result.ret == 0
        assert "missing/durations.json was not written" in result.stdout.str()


# ---------------------------------------------------------------- shard-verify


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = read(path)
    change(value)
    path.write_text(json.dumps(value))


def double_a_test(value: dict[str, Any]) -> None:
    value["tests"].append(value["tests"][0])


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "test lost": (lambda v: v["tests"].pop(), "hold"),
    "test twice": (double_a_test, "is in"),
    "another collection": (
        lambda v: v["run"]["shard"].update(collection_digest="0"), "collection_digest"),
    "other durations": (
        lambda v: v["run"]["shard"].update(durations_digest="0"), "durations_digest"),
    "another N": (lambda v: v["run"]["shard"].update(of=3), "of is 3"),
    "same I": (lambda v: v["run"]["shard"].update(index=1), "twice"),
    "no shard": (lambda v: v["run"].pop("shard"), "no result of a --qe-shard run"),
    "no object": (lambda v: v.pop("run"), "no result of a --qe-shard run"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_verify_finds(qe: Qe, name: str) -> None:
    suite(qe, 4)
    paths = shards(qe, 2)
    change, words = CHANGES[name]
    changed(paths[1], change)
    done = verify(*paths)
    assert done.returncode == 1
    assert words in done.stderr
    assert str(paths[1]) in done.stderr or name == "test lost"
    assert "Traceback" not in done.stderr


def test_verify_finds_missing_and_foreign_files(qe: Qe) -> None:
    suite(qe, 4)
    paths = shards(qe, 3)
    done = verify(*paths[:2])
    assert done.returncode == 1
    assert "missing: shard 3/3" in done.stderr
    assert verify(*paths, paths[0]).returncode == 1
    assert verify(*reversed(paths)).returncode == 0
    done = verify(*paths, qe.path / "absent.json")
    assert done.returncode == 1
    assert "absent.json" in done.stderr
    (qe.path / "text.json").write_bytes(b"\xff\xfe{")
    done = verify(*paths, qe.path / "text.json")
    assert done.returncode == 1
    assert "text.json" in done.stderr
    assert "Traceback" not in done.stderr
    assert verify().returncode == 2


def test_a_shard_can_be_looked_at_without_running_it(qe: Qe) -> None:
    for name in "abcdefgh":
        (qe.path / f"test_{name}.py").write_text("def test_it(): pass\n")
    shown = [
        line
        for i in (1, 2)
        for line in qe.run("--co", "-q", f"--qe-shard={i}/2").outlines
        if "::" in line
    ]
    assert sorted(shown) == [f"test_{name}.py::test_it" for name in "abcdefgh"]
