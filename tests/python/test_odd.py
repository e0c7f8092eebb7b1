"""Odd names and places: ids with any bytes, hooks of conftests in subfolders."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pytest

from conftest import Qe
from test_output import chunks, difference, lines_of

STARTS = pytest.mark.parametrize("start", ["--qe-start=fork", "--qe-start=spawn"])

IDS = r"""
    import os, sys
    import pytest
    IDS = [
        "\udc80lone", "\ud800", "nul\0nul", "new\nline", "\r\n", "\U0001f600 emoji", "x" * 10_000,
        "tab\t", "\x1b[31mred", "\u202eright to left", "[br]ack::ets/", "é", "a b", "", "\x7f",
        "%s%d", "'\"", "\\n", "same", "same",
    ]
    @pytest.mark.parametrize("value", range(len(IDS)), ids=IDS)
    def test_ids(value): assert value % 3
    @pytest.mark.parametrize("value", ["\udc80lone", "nul\0", "new\nline", "\U0001f600", b"\xff\0",
                                       "x" * 300, 1.5, None, float("nan"), "", "a", "a"])
    def test_values(value): assert 0, value
    @pytest.mark.parametrize("value", [1, 2], ids=lambda value: f"[{value}]\n\0\udcff")
    def test_function(value): assert value == 1
    class TestÉ:
        @pytest.mark.parametrize("b", ["\0"])
        def test_ü(self, b):
            os.write(1, b"\xff\xfe raw \0\n")
            assert 0
    def test_capfd(capfd):
        os.system("echo from a child")
        assert capfd.readouterr().out == "from a child\n"
        print("left in capfd"); os.write(2, b"left in capfd, too\n")
        assert 0
    def test_capfdbinary(capfdbinary):
        os.write(1, b"\xff")
        assert capfdbinary.readouterr().out == b"\xff"
    def test_capsysbinary(capsysbinary):
        sys.stdout.buffer.write(b"\xfe")
        assert capsysbinary.readouterr().out == b"\xfe"
        print("left in capsysbinary")
        assert 0
"""


def cases(qe: Qe) -> list[str]:
    """What the JUnit file says, without order, times, and names of workers."""
    found = []
    for case in ET.parse(qe.path / "junit.xml").getroot().iter("testcase"):
        children = [
            (child.tag, child.get("message"), re.sub(r"\[gw\d\].*\n", "", child.text or ""))
            for child in case
        ]
        found.append((case.get("classname"), case.get("name"), children))
    return sorted(re.sub("0x[0-9a-f]+", "0x0", repr(case)) for case in found)


@STARTS
def test_ids_of_any_bytes(qe: Qe, start: str) -> None:
    qe.files(test_it=IDS)
    args = ["--junitxml=junit.xml", "-o", "junit_logging=all", "-vv", "-rA"]
    serial = qe.run(*args)
    expected = cases(qe)
    one = qe.run("--qe-timeout=100", start, *args)
    assert not difference(lines_of(serial), lines_of(one))
    assert not difference(expected, cases(qe))
    many = qe.run("--qe-parallel=3", "--qe-json=out.json", start, *args)
    assert not difference(chunks(serial), chunks(many))
    assert not difference(expected, cases(qe))
    tests = json.loads((qe.path / "out.json").read_text("utf-8"))["tests"]
    assert len(tests) == len(expected)
    assert len({test["id"] for test in tests}) == len(expected)


CONFTEST = """
    from pathlib import Path
    import pytest
    NAME = Path(__file__).parent.name
    def write(*words):
        with open(Path(__file__).parent / "hooks", "a") as file: print(*words, file=file)
    def pytest_runtest_protocol(item): write("protocol", item.name)
    def pytest_runtest_setup(item): write("setup", item.name)
    def pytest_runtest_call(item): write("call", item.name)
    def pytest_runtest_teardown(item): write("teardown", item.name)
    def pytest_pyfunc_call(pyfuncitem): write("pyfunc", pyfuncitem.name)
    def pytest_runtest_logstart(nodeid, location): write("start", nodeid, location)
    def pytest_runtest_logreport(report):
        write("report", report.nodeid, report.when, report.outcome)
    def pytest_runtest_logfinish(nodeid): write("finish", nodeid)
    def pytest_exception_interact(node): write("interact", node.name)
    def pytest_assertrepr_compare(op): write("compare", op); return [f"compared by {NAME}"]
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item):
        report = yield
        write("makereport", item.name, report.when)
        report.sections.append(("made by", NAME))
        return report
"""


@STARTS
def test_hooks_of_subfolders_happen_once_each(qe: Qe, start: str) -> None:
    """Each conftest hears of what is below it, once, wherever that runs. Session
    fixtures are torn down late in a parallel run, which is no phase of its own."""
    folders = ["a", "a__b", "c"]
    for folder in folders:
        qe.files(**{f"{folder}__conftest": CONFTEST, f"{folder}____init__": ""})
        name = folder[-1]
        qe.files(
            **{
                f"{folder}__test_{name}": """
        import pytest
        @pytest.fixture(scope="session", autouse=True)
        def shared(): yield
        def test_passes(): print("printed")
        def test_fails(): assert 1 == 2
        @pytest.mark.skip
        def test_skips(): pass
        """
            }
        )
    serial = qe.run("-rA")
    files = [qe.path / folder.replace("__", "/") / "hooks" for folder in folders]
    expected = [sorted(file.read_text("utf-8").splitlines()) for file in files]
    for args in (["--qe-timeout=100"], ["--qe-parallel=3"]):
        for file in files:
            file.unlink()
        result = qe.run(*args, start, "-rA")
        for file, lines in zip(files, expected, strict=True):
            found = sorted(file.read_text("utf-8").splitlines())
            assert not difference(lines, found)
        assert not difference(chunks(serial), chunks(result))
