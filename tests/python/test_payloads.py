"""What is kept of an attempt on a queue's server: whole, bounded, and never believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_qe import _core
from pytest_qe.payloads import MOST_BYTES, PayloadError, pack, unpack

LEAST: dict[str, Any] = {
    "v": 1, "outcome": "failed", "start": 1.5, "duration": 0.25, "worker": 3,
}  # fmt: skip


_TESTS = {"total": 6, "passed": 3, "failed": 2, "skipped": 1, "errors": 0}


def given(**changes: Any) -> bytes:
    return json.dumps({**LEAST, **changes}).encode()


def test_all_that_is_packed_comes_back() -> None:
    data = pack(
        outcome=_core.CRASHED, start=1.5, duration=0.25, worker=3, node="n1", cpu=0.125,
        peak=1 << 40, status=139, pass_=2, message="it died",
        failures=[("call", "Traceback\n  é \udc80 \x00")], output=[("Captured stdout", "x" * 9)],
        marks=["slow", "db"], quarantined=True, expected=3.0, tests=_TESTS,
    )  # fmt: skip
    assert unpack(data) == {
        "outcome": _core.CRASHED, "start": 1.5, "duration": 0.25, "cpu": 0.125,
        "peak_memory": 1 << 40, "status": 139, "pass_": 2, "worker": 3, "node": "n1",
        "message": "it died",
        "texts": [
            (_core.TEXT_FAILURE, "call", "Traceback\n  é \udc80 \x00"),
            (_core.TEXT_OUTPUT, "Captured stdout", "x" * 9),
        ],
        "marks": ["slow", "db"], "quarantined": True, "expected": 3.0, "tests": _TESTS,
        "way": [], "void": False,
    }  # fmt: skip
    data.decode("utf-8")


def test_what_is_not_given_takes_no_room() -> None:
    data = pack(outcome=_core.PASSED, start=1.0, duration=0.5, worker=0)
    assert len(data) < 80
    found = unpack(data)
    assert found["texts"] == [] and found["message"] is None and found["node"] == ""
    assert not found["quarantined"] and found["peak_memory"] == 0 and found["tests"] is None


def test_numbers_that_are_none_are_unknown() -> None:
    data = pack(outcome=1, start=float("nan"), duration=float("inf"), worker=0, cpu=-1.0)
    found = unpack(data)
    assert (found["start"], found["duration"], found["cpu"]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("count", "size"), [(1, 3 << 20), (8, 1 << 18), (90, 1 << 15), (500, 10), (500, 1 << 16)]
)
def test_too_much_output_is_cut_with_a_word_on_it(count: int, size: int) -> None:
    texts = [("Captured stdout", "é" * size)] * count
    data = pack(
        outcome=_core.FAILED, start=1.0, duration=0.5, worker=0, failures=[("call", "the end")],
        output=texts,
    )  # fmt: skip
    assert len(data) <= MOST_BYTES
    found = unpack(data)["texts"]
    assert found[0].text == "the end"
    assert "left out]" in found[-1].text
    assert len(found) == min(count + 1, 100)


def test_names_without_end_are_cut_too() -> None:
    data = pack(
        outcome=_core.FAILED, start=1.0, duration=0.5, worker=0, message="m" * (1 << 22),
        failures=[("n" * (1 << 22), "t")], marks=["k" * 5000] * 2000,
    )  # fmt: skip
    assert len(data) <= MOST_BYTES
    found = unpack(data)
    assert found["message"] is not None and found["message"].endswith("m…")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\xfe", b"null", b"[]", b'"text"', b"{", b"1" * 1000, b"[" * 500_000,
        b'{"v":' * 100_000, b" " * (MOST_BYTES + 1), given()[:-1], b"{}", given(v=2), given(v="1"),
        given(v=[]),
        *(
            json.dumps({name: value for name, value in LEAST.items() if name != missing}).encode()
            for missing in LEAST
        ),
        given(outcome="gone"), given(outcome=2), given(outcome=None), given(outcome=["failed"]),
        given(start=-1), given(start="1"), given(start=True), given(start=None),
        given(start=1e300), given(start=float("nan")), given(start=float("inf")),
        given(duration=10**400), given(duration=[]), given(duration={}), given(cpu=-0.5),
        given().replace(b"1.5", b"1e999"), given().replace(b"1.5", b"9" * 100_000),
        given(worker=-1), given(worker=1.5), given(worker=1 << 40), given(worker=False),
        given(peak_memory=-1), given(peak_memory=1 << 63), given(status=1 << 16),
        given(**{"pass": -1}), given(node="n" * 64), given(node=7), given(message=7),
        given(message="m" * 100_000), given(quarantined=1), given(quarantined="yes"),
        given(marks="slow"), given(marks=[1]), given(marks=["m" * 5000]), given(marks=[""] * 1001),
        given(tests=[]), given(tests={"total": 1}), given(tests={**_TESTS, "failed": -1}),
        given(tests={**_TESTS, "passed": 1 << 31}), given(tests=7),
        given(texts={}), given(texts=[1]), given(texts=[{}]), given(texts=[[]] * 101),
        given(texts=[{"kind": "failure", "name": "call"}]),
        given(texts=[{"kind": "secret", "name": "call", "text": ""}]),
        given(texts=[{"kind": "failure", "name": "n" * 5000, "text": ""}]),
        given(texts=[{"kind": "failure", "name": 1, "text": ""}]),
        given(texts=[{"kind": "failure", "name": "", "text": None}]),
    ],
    ids=lambda data: repr(data[:40]),
)  # fmt: skip
def test_what_is_no_payload_is_refused_in_a_line(data: bytes) -> None:
    with pytest.raises(PayloadError) as caught:
        unpack(data)
    line = str(caught.value)
    assert line and len(line) < 100 and "\n" not in line


def test_what_a_newer_node_adds_is_passed_over() -> None:
    found = unpack(given(colour="green", texts=[{**TEXT, "size": 1}], deep=[[[[{}]]]]))
    assert found["texts"] == [(_core.TEXT_OUTPUT, "stdout", "hello")]


TEXT = {"kind": "output", "name": "stdout", "text": "hello"}
