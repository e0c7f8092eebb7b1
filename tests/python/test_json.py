"""``--qe-json``: what it holds, and that it always fits its schema."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import Qe

jsonschema = pytest.importorskip("jsonschema")

SCHEMA = Path(__file__).parents[2] / "docs" / "result.schema.json"

SUITE = """
    import os, time
    import pytest

    @pytest.fixture
    def broken(): raise RuntimeError("set-up")
    @pytest.fixture
    def broken_after():
        yield
        raise RuntimeError("tear-down")

    def test_passes(): pass
    def test_fails(): assert 1 == 2
    def test_error(broken): pass
    def test_error_after(broken_after): pass
    def test_skips(): pytest.skip("why")
    @pytest.mark.xfail
    def test_xfail(): assert 0
    @pytest.mark.xfail(strict=True)
    def test_strict(): pass
    def test_crashes(): os.abort()
    def test_exits(): os._exit(0)
    def test_hangs(): time.sleep(600)
    @pytest.mark.qe(retries=2)
    def test_flaky():
        with open("turn", "a") as file: file.write("x")
        assert os.path.getsize("turn") > 1
    def test_memory():
        x = bytearray(64_000_000)
        time.sleep(0.05)
    @pytest.mark.parametrize(
        "value", ["\\udc80", "\\x00", "\\n", "\u2603", "a::b", "]", "\\x1b[31m", '"', "\\\\"]
    )
    def test_odd(value): assert value == ""
"""


def validate(data: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(data)
    summary = dict(data["summary"])
    assert summary.pop("total") == len(data["tests"])
    assert sum(summary.values()) == len(data["tests"])
    for name, count in summary.items():
        assert count == sum(test["outcome"] == name for test in data["tests"]), name


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA.read_text()))


@pytest.mark.parametrize(
    "args",
    [("--qe-parallel=2",), (), ("--qe-flaky=3",), ("--qe-parallel=2", "--qe-shard=1/1"),
     ("--qe-parallel=2", "--qe-start=spawn"), ("--qe-isolate",), ("--qe-parallel=2", "-x"),
     ("--qe-parallel=2", "--qe-retries=1"), ("-k", "nothing_at_all")],
    ids=" ".join,
)  # fmt: skip
def test_it_fits_the_schema(qe: Qe, args: tuple[str, ...]) -> None:
    qe.files(test_it=SUITE)
    _, written = qe.json("--qe-timeout=1", *args)
    validate(written.data)


def test_outcomes_and_attempts(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    before = time.time()
    _, written = qe.json("--qe-parallel=2", "--qe-timeout=1", "--qe-seed=5")
    after = time.time()
    validate(written.data)
    outcomes = {k: v for k, v in written.outcomes().items() if "odd" not in k}
    assert outcomes == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_error": "error",
        "test_error_after": "error",
        "test_skips": "skipped",
        "test_xfail": "skipped",
        "test_strict": "failed",
        "test_crashes": "crashed",
        "test_exits": "crashed",
        "test_hangs": "timeout",
        "test_flaky": "flaky",
        "test_memory": "passed",
    }
    assert written.run["seed"] == 5
    assert written.run["workers"] == 2
    assert before <= written.run["started"] <= after
    for test in written.tests:
        for attempt in test["attempts"]:
            assert before - 1 < attempt["start"] < after + 1
            assert attempt["worker"] in ("gw0", "gw1", "gw2", "gw3"), (
                "retries have a slot of their own"
            )
    assert "1 == 2" in written["test_fails"]["attempts"][0]["message"]
    assert "set-up" in written["test_error"]["attempts"][0]["message"]
    memory = written["test_memory"]["attempts"][0]["peak_memory"]
    assert memory > 64_000_000
    assert written["test_passes"]["attempts"][0]["peak_memory"] < memory


def test_peak_memory_is_that_of_the_attempt(qe: Qe) -> None:
    qe.files(
        test_it="""
        def test_1(): pass
        def test_2(): bytearray(b"x") * 100_000_000
        def test_3(): pass
    """
    )
    _, written = qe.json("--qe-parallel=1")
    one, two, three = (test["attempts"][0]["peak_memory"] for test in written.tests)
    assert two > 100_000_000
    assert one < 90_000_000
    assert three < 90_000_000


def test_processor_time(qe: Qe) -> None:
    qe.files(
        test_it="""
        import time
        def test_burns():
            end = time.process_time() + 0.3
            while time.process_time() < end: pass
        def test_sleeps(): time.sleep(0.3)
    """
    )
    _, written = qe.json("--qe-parallel=1")
    assert written["test_burns"]["attempts"][0]["cpu"] >= 0.3
    assert written["test_sleeps"]["attempts"][0]["cpu"] < 0.2
    assert written["test_sleeps"]["attempts"][0]["duration"] >= 0.3


def test_odd_bytes_in_ids(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pytest
        @pytest.mark.parametrize("value", [b"\\xff\\xfe", "\\udcff", "\\ud800", "\\x00", "\u2603"],
                                 ids=["\\udcff", "\\ud800", "a\\x00b", "tab\\t", "\u2603"])
        def test_it(value): pass
    """
    )
    result, written = qe.json("--qe-parallel=2")
    result.assert_outcomes(passed=5)
    assert len({test["id"] for test in written.tests}) == 5
    validate(written.data)


def test_a_file_name_that_is_no_utf8(qe: Qe) -> None:
    name = "test_\udcff.py"
    (qe.path / name).write_text("def test_it(): pass\n")
    # pytest's cache cannot hold such a name either.
    serial = qe.run("-p", "no:cacheprovider", name)
    result, written = qe.json("--qe-parallel=2", "-p", "no:cacheprovider", name)
    assert result.parseoutcomes() == serial.parseoutcomes()
    validate(written.data)


def test_directories_are_made(qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass")
    qe.run("--qe-json=a/b/c.json").assert_outcomes(passed=1)
    assert (qe.path / "a/b/c.json").exists()


def test_a_disk_that_is_full_at_the_end_is_a_warning(qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass")
    result = qe.run("--qe-parallel=1", "--qe-json=/dev/full")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert "warning: --qe-json" in result.stdout.str()


def test_it_is_replaced_as_a_whole(qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass")
    (qe.path / "result.json").write_text("{" * 1_000_000)
    qe.run("--qe-json=result.json")
    validate(json.loads((qe.path / "result.json").read_text()))
    assert [path.name for path in qe.path.glob("result.json*")] == ["result.json"]


def test_it_is_relative_to_where_pytest_was_called(qe: Qe) -> None:
    qe.files(sub__test_it="import os\ndef test_it(monkeypatch): os.chdir('/')")
    qe.run("--qe-json=out.json", "--rootdir=sub", "sub").assert_outcomes(passed=1)
    assert (qe.path / "out.json").exists()


def test_it_is_written_after_usage_and_collection_errors(qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass", test_bad="import nothing_like_that")
    result = qe.run("--qe-parallel=2", "--qe-json=out.json")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    path = qe.path / "out.json"
    if path.exists():
        validate(json.loads(path.read_text()))
