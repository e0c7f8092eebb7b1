"""A test, fixture or hook that ends the run: what is shown is what is serially."""

from __future__ import annotations

import os
import signal

import pytest

from conftest import HUNG, Qe, wait_for
from test_output import difference, lines_of

PASSING = "def test_a(): pass\ndef test_c(): pass\n"

ENDS = {
    "KeyboardInterrupt in a test": {
        "test_it": """
        def test_a(): pass
        def helper():
            raise KeyboardInterrupt
        def test_b(): helper()
        def test_c(): pass
        """
    },
    "KeyboardInterrupt with a text": {
        "test_it": """
        def test_a(): pass
        def test_b(): raise KeyboardInterrupt("with a text")
        """
    },
    "KeyboardInterrupt in a teardown": {
        "test_it": """
        import pytest
        @pytest.fixture
        def fixture():
            yield
            raise KeyboardInterrupt
        def test_a(): pass
        def test_b(fixture): assert 0, "the result of the call is known"
        def test_c(): pass
        """
    },
    "exit in a test": {
        "test_it": """
        import pytest
        def test_a(): pass
        def test_b(): pytest.exit("enough of it", returncode=7)
        def test_c(): pass
        """
    },
    "exit in a fixture's teardown": {
        "test_it": """
        import pytest
        @pytest.fixture
        def fixture():
            yield
            pytest.exit("enough of it")
        def test_a(): pass
        def test_b(fixture): pass
        def test_c(): pass
        """
    },
    "exit in a session fixture": {
        "test_it": """
        import pytest
        @pytest.fixture(scope="session")
        def fixture():
            yield
            pytest.exit("enough of it", 9)
        def test_a(fixture): pass
        def test_b(): pass
        """
    },
    "exit in a module": {"test_it": "import pytest\npytest.exit('enough of it', 5)"},
}

HOOKS = {
    "pytest_runtest_setup(item)": "item.name",
    "pytest_runtest_makereport(item)": "item.name",
    "pytest_runtest_logstart(nodeid)": "nodeid[-6:]",
    "pytest_runtest_logreport(report)": "report.nodeid[-6:]",
    "pytest_sessionfinish()": "'test_b'",
}
for hook, name in HOOKS.items():
    ENDS[f"exit in {hook}"] = {
        "conftest": f"""
        import pytest
        def {hook}:
            if {name} == "test_b": pytest.exit("enough of it", 3)
        """,
        "test_it": "def test_a(): pass\ndef test_b(): pass\ndef test_c(): pass",
    }


@pytest.mark.parametrize("end", ENDS)
def test_one_worker(qe: Qe, end: str) -> None:
    qe.files(**ENDS[end])
    serial = qe.run("-v")
    result = qe.run("--qe-timeout=100", "-v")
    assert result.ret == serial.ret
    assert not difference(lines_of(serial), lines_of(result))
    assert result.stderr.str() == serial.stderr.str()


@pytest.mark.parametrize("start", ["--qe-start=fork", "--qe-start=spawn"])
@pytest.mark.parametrize("end", [end for end in ENDS if "sessionfinish" not in end])
def test_many_workers(qe: Qe, end: str, start: str) -> None:
    qe.files(**ENDS[end])
    serial = qe.run()
    result = qe.run("--qe-parallel=2", start)
    assert result.ret == serial.ret
    ends = [line for line in serial.outlines if line.startswith("!!!") or ".py:" in line]
    text = result.stdout.str() + result.stderr.str()
    for line in ends:
        assert line in text
    for word in ("INTERNALERROR", "Traceback", "qe: warning"):
        assert word not in text


def test_ctrl_c_points_to_a_running_test(qe: Qe) -> None:
    qe.files(
        test_it="""
        import time
        def test_it():
            open("started", "w").write("x\\n")
            time.sleep(600)
    """
    )
    process = qe.popen("--qe-parallel=2")
    wait_for(lambda: qe.lines("started"), "the test")
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=HUNG) == pytest.ExitCode.INTERRUPTED
    assert f"\n{qe.path}/test_it.py:4: KeyboardInterrupt\n" in qe.output()
    assert "qe: warning" not in qe.output()


def test_ctrl_c_while_workers_collect(qe: Qe) -> None:
    qe.files(
        conftest="""
        import time
        def pytest_configure(config):
            if hasattr(config, "workerinput"):
                with open("started", "a") as file: file.write("x\\n")
                time.sleep(600)
        """,
        test_it=PASSING,
    )
    process = qe.popen("--qe-parallel=2", "--qe-start=spawn")
    wait_for(lambda: len(qe.lines("started")) == 2, "the workers")
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=HUNG) == pytest.ExitCode.INTERRUPTED
    assert "Traceback" not in qe.output()
