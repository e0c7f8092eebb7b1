"""Plugins that change how tests run: each runs them as it does serially."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from pathlib import Path

import pytest

import pytest_qe
from conftest import Qe

STARTS = pytest.mark.parametrize("start", ["fork", "spawn"])


def both(qe: Qe, *args: str, start: str = "fork") -> tuple[pytest.RunResult, pytest.RunResult]:
    """A serial run and a parallel one; outcomes, status and errors are compared."""
    serial = qe.run(*args)
    parallel = qe.run("--qe-parallel=2", f"--qe-start={start}", *args)
    assert parallel.ret == serial.ret
    assert parallel.parseoutcomes() == serial.parseoutcomes()
    assert parallel.stderr.str() == serial.stderr.str()
    return serial, parallel


# -------------------------------------------------------------- pytest-timeout


@STARTS
def test_timeout_by_signal(qe: Qe, start: str) -> None:
    qe.use("timeout")
    qe.files(
        test_it="""
        import time
        import pytest
        @pytest.fixture
        def slow():
            yield
            time.sleep(30)
        @pytest.mark.timeout(0.3)
        def test_hangs():
            print("before")
            time.sleep(30)
        @pytest.mark.timeout(0.3)
        def test_hangs_after(slow): pass
        @pytest.mark.timeout(0.3, func_only=True)
        def test_func_only():
            while True: pass
        @pytest.mark.timeout(0)
        def test_no_limit(): time.sleep(0.6)
        def test_passes(): pass
        """,
    )
    serial, parallel = both(qe, "--timeout=0.5", "--timeout-method=signal", start=start)
    assert parallel.parseoutcomes() == {"passed": 3, "failed": 2, "errors": 1}
    for line in ("*Failed: Timeout (>0.3s)*", "*- Captured stdout call -*", "before"):
        serial.stdout.fnmatch_lines([line])
        parallel.stdout.fnmatch_lines([line])


@STARTS
def test_timeout_by_thread(qe: Qe, start: str) -> None:
    """It ends the process: serially that ends the run, here one test."""
    qe.use("timeout")
    qe.files(
        test_it="""
        import time
        import pytest
        @pytest.mark.timeout(0.3)
        def test_hangs():
            print("before")
            time.sleep(30)
        def test_passes(): pass
        """
    )
    args = ("--timeout=20", "--timeout-method=thread")
    assert qe.run(*args).ret == 1
    result = qe.run("--qe-parallel=2", f"--qe-start={start}", *args)
    assert result.ret == 1
    assert result.parseoutcomes() == {"passed": 1, "failed": 1}
    text = result.stdout.str() + result.stderr.str()
    assert "Crashed: exited with status 1 in call" in text
    assert re.search(r"\+ Timeout \+", text), "its banner"
    assert "time.sleep(30)" in text, "its stacks"
    assert "before" in text


@STARTS
def test_session_timeout_of_the_timeout_plugin(qe: Qe, start: str) -> None:
    qe.use("timeout")
    qe.files(
        test_it="""
        import time
        import pytest
        @pytest.mark.parametrize("value", range(40))
        def test_it(value): time.sleep(0.2)
        """
    )
    for more in ((), ("--qe-parallel=2", f"--qe-start={start}")):
        result = qe.run("--session-timeout=1", *more)
        assert result.ret == 1
        assert 0 < result.parseoutcomes()["passed"] < 30
        result.stdout.fnmatch_lines(["*session-timeout: 1.0 sec exceeded*"])


# -------------------------------------------------------- pytest-rerunfailures

TRIED = """
    import os
    import pytest
    def tries(name):
        with open(name, "a") as file: file.write("x")
        return os.path.getsize(name)
    def test_second(): assert tries("tried-second") >= 2
    def test_never(): assert tries("tried-never") < 0
    def test_once(): pass
    @pytest.mark.flaky(reruns=3, only_rerun="KeyError")
    def test_other_error():
        tries("tried-other")
        raise ValueError("no rerun")
    @pytest.fixture
    def flaky_fixture(): assert tries("tried-fixture") >= 3
    def test_fixture(flaky_fixture): pass
"""


def forget_tries(qe: Qe) -> None:
    for path in qe.path.glob("tried-*"):
        path.unlink()


def rerun_summary(result: pytest.RunResult) -> list[str]:
    return sorted(line for line in result.outlines if re.match("(RERUN|PASSED|FAILED) ", line))


@STARTS
@pytest.mark.parametrize("plugins", [("rerunfailures",), ("rerunfailures", "xdist")], ids=str)
def test_reruns_are_counted_and_shown(qe: Qe, plugins: tuple[str, ...], start: str) -> None:
    qe.use(*plugins)
    qe.files(test_it=TRIED)
    serial = qe.run("--reruns=2", "-rRfp")
    assert serial.parseoutcomes() == {"passed": 3, "failed": 2, "rerun": 5}
    forget_tries(qe)
    result = qe.run("--reruns=2", "-rRfp", "--qe-parallel=2", f"--qe-start={start}")
    assert result.parseoutcomes() == serial.parseoutcomes()
    assert rerun_summary(result) == rerun_summary(serial)
    assert [len((qe.path / f"tried-{name}").read_text()) for name in
            ("second", "never", "other", "fixture")] == [2, 3, 1, 3]  # fmt: skip


@STARTS
@pytest.mark.parametrize("plugins", [("rerunfailures",), ("rerunfailures", "xdist")], ids=str)
def test_reruns_of_the_suite(qe: Qe, plugins: tuple[str, ...], start: str) -> None:
    """The limit for all tests together, and the status of a flaky run."""
    qe.use(*plugins)
    if "--max-suite-reruns" not in qe.run("--help").stdout.str():
        pytest.skip("this pytest-rerunfailures has neither option")
    qe.files(test_it="def test_second(): assert tries('tried-second') >= 2\n",
             test_fails="import pytest\n@pytest.mark.parametrize('value', range(6))\n"
             "def test_fails(value): assert 0\n")  # fmt: skip
    path = qe.path / "test_it.py"
    path.write_text("\n".join(line[4:] for line in TRIED.splitlines()[1:7]) + "\n")
    more = ("--qe-parallel=2", f"--qe-start={start}")
    result = qe.run("--reruns=2", "--max-suite-reruns=5", *more, "test_fails.py")
    assert result.parseoutcomes() == {"failed": 6, "rerun": 5}
    for args in ((), more):
        forget_tries(qe)
        result = qe.run("--reruns=2", "--fail-on-flaky", "test_it.py", *args)
        assert result.parseoutcomes() == {"passed": 1, "rerun": 1}
        assert result.ret == 7


@pytest.mark.parametrize("plugins", [("rerunfailures",), ("rerunfailures", "xdist")], ids=str)
def test_a_crash_beside_reruns(qe: Qe, plugins: tuple[str, ...]) -> None:
    """Whether a crashed test runs again is ours to say: --qe-retries."""
    qe.use(*plugins)
    qe.files(
        test_it=TRIED,
        test_crash="""
        import os
        def test_crash():
            print("about to")
            if not os.path.exists("tried-crash"):
                open("tried-crash", "w").close()
                os.abort()
        """,
    )
    result = qe.run("--reruns=2", "--qe-parallel=2")
    assert result.parseoutcomes() == {"passed": 3, "failed": 3, "rerun": 5}
    result.stdout.fnmatch_lines(["Crashed: killed by SIGABRT in call*", "about to"])
    forget_tries(qe)
    result = qe.run("--reruns=2", "--qe-parallel=2", "--qe-retries=1", "test_crash.py")
    assert result.parseoutcomes() == {"passed": 1, "rerun": 1}


@STARTS
def test_reruns_where_xdist_is_not_installed(
    qe: Qe, tmp_path_factory: pytest.TempPathFactory, start: str
) -> None:
    """Then pytest-rerunfailures takes a worker for one of a very old xdist."""
    qe.use("rerunfailures")
    qe.files(test_it=TRIED)
    site = tmp_path_factory.mktemp("site")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("xdist", "pytest_xdist")) and entry.suffix != ".pth":
            (site / entry.name).symlink_to(entry)
    ours = Path(pytest_qe.__file__).parent.parent
    qe.setenv("PYTHONPATH", os.pathsep.join((str(site), str(ours))))
    # -S: without the folder that has it.
    code = "import sys, pytest; sys.exit(pytest.console_main())"
    result = qe.pytester.run(
        sys.executable, "-S", "-c", code, "--reruns=2", "-rR", "--qe-parallel=2",
        f"--qe-start={start}", timeout=60,
    )  # fmt: skip
    assert result.parseoutcomes() == {"passed": 3, "failed": 2, "rerun": 5}


# ----------------------------------------------------------------- async tests


@STARTS
def test_asyncio(qe: Qe, start: str) -> None:
    qe.use("asyncio")
    qe.files(
        conftest="""
        import asyncio, os
        import pytest_asyncio
        @pytest_asyncio.fixture(scope="session", loop_scope="session")
        async def server():
            async def serve(reader, writer):
                writer.write((await reader.readline()).upper())
                writer.close()
            with open("opened", "a") as file: file.write(f"{os.getpid()}\\n")
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            yield server.sockets[0].getsockname()
            server.close()
            await server.wait_closed()
            with open("closed", "a") as file: file.write(f"{os.getpid()}\\n")
        """,
        test_it="""
        import asyncio
        import pytest
        pytestmark = pytest.mark.asyncio(loop_scope="session")
        @pytest.mark.parametrize("value", range(6))
        async def test_server(server, value):
            reader, writer = await asyncio.open_connection(*server)
            writer.write(f"value {value}\\n".encode())
            assert await reader.read() == f"VALUE {value}\\n".encode()
            writer.close()
            await asyncio.sleep(0.05)
        @pytest.mark.asyncio(loop_scope="function")
        async def test_own_loop(): await asyncio.sleep(0)
        async def test_fails():
            await asyncio.sleep(0)
            assert 1 == 2
        async def test_cancelled(): raise asyncio.CancelledError
        """,
        test_unmarked="async def test_no_mark(): pass",
    )
    # Without it every configuration prints a warning, a spawned worker's too.
    args = ("-o", "asyncio_default_fixture_loop_scope=function")
    serial, parallel = both(qe, *args, start=start)
    assert serial.parseoutcomes()["passed"] >= 7
    assert sorted(qe.lines("closed")) == sorted(qe.lines("opened")) != []
    both(qe, *args, "--asyncio-mode=auto", start=start)
    parallel.stdout.fnmatch_lines(["*assert 1 == 2*"])


@STARTS
def test_anyio(qe: Qe, start: str) -> None:
    qe.use("anyio")
    qe.files(
        conftest="""
        import pytest
        @pytest.fixture(scope="module", params=["asyncio", "trio"])
        def anyio_backend(request): return request.param
        """,
        test_it="""
        import anyio, pytest, sniffio
        pytestmark = pytest.mark.anyio
        @pytest.fixture(scope="module")
        async def resource(anyio_backend):
            async with anyio.create_task_group() as group:
                yield sniffio.current_async_library()
                group.cancel_scope.cancel()
        @pytest.mark.parametrize("value", range(3))
        async def test_backend(resource, anyio_backend_name, value):
            assert resource == anyio_backend_name
            await anyio.sleep(0.01)
        async def test_fails(resource): assert resource == "neither"
        """,
    )
    _, parallel = both(qe, start=start)
    assert parallel.parseoutcomes() == {"passed": 6, "failed": 2}


def test_async_tests_without_a_plugin(qe: Qe) -> None:
    qe.files(
        test_it="""
        import unittest
        async def test_nobody_runs_it(): pass
        class TestUnit(unittest.IsolatedAsyncioTestCase):
            async def asyncSetUp(self): self.value = 1
            async def test_passes(self): assert self.value == 1
            async def test_fails(self): assert self.value == 2
        """
    )
    both(qe, "-rA")


# ----------------------------------------------------------------- pytest-mock


@STARTS
def test_mock(qe: Qe, start: str) -> None:
    qe.use("pytest_mock")
    qe.files(
        test_it="""
        import os
        import pytest
        @pytest.fixture(scope="session")
        def for_all(session_mocker): return session_mocker.patch("os.getlogin", return_value="me")
        def test_patch(mocker, for_all):
            mocker.patch("os.getcwd", return_value="/nowhere")
            assert (os.getcwd(), os.getlogin()) == ("/nowhere", "me")
        def test_undone(): assert os.getcwd() != "/nowhere"
        def test_spy(mocker):
            spy = mocker.spy(os.path, "join")
            assert os.path.join("a", "b") == "a/b"
            spy.assert_called_once_with("a", "b")
        def test_message(mocker):
            stub = mocker.stub(name="own")
            stub("a")
            stub.assert_called_once_with("b")
        """
    )
    serial, parallel = both(qe, start=start)
    for line in ("E*Args:", "E*assert ('a',) == ('b',)"):
        serial.stdout.fnmatch_lines([line])
        parallel.stdout.fnmatch_lines([line])


# ------------------------------------------------------------- pytest-subtests


@STARTS
def test_subtests_plugin(qe: Qe, start: str) -> None:
    """pytest 9 has subtests of its own, and loads them instead of the plugin."""
    own = int(pytest.__version__.split(".")[0]) >= 9
    if not own:
        qe.use("subtests")
    qe.files(
        test_it="""
        import unittest
        import pytest
        def test_it(subtests):
            for number in range(5):
                with subtests.test("message", number=number):
                    print("in", number)
                    assert number not in (1, 3)
        def test_passes(subtests):
            with subtests.test(msg="one"): pass
        def test_skips(subtests):
            with subtests.test(): pytest.skip("why")
        class TestUnit(unittest.TestCase):
            def test_sub(self):
                for number in range(3):
                    with self.subTest("message", number=number):
                        if number == 2: self.skipTest("two")
                        self.assertNotEqual(number, 1)
        """
    )

    def lines(result: pytest.RunResult) -> list[str]:
        """The summary. Skips in one line share the description of the first."""
        kinds = "SUBFAIL|SUBPASS|SUBSKIP|FAILED|PASSED|SKIPPED"
        found = [re.sub("^.* (?=SUBSKIP)", "", line) for line in result.outlines]
        return sorted(line for line in found if re.search(kinds, line))

    serial, parallel = both(qe, "-rA", start=start)
    assert lines(parallel) == lines(serial)
    assert any("SUBFAIL" in line for line in lines(serial))
    if own:
        both(qe, "-p", "no:subtests", "-k", "TestUnit", start=start)


# ------------------------------------------------------------------ hypothesis

PROPERTIES = """
    import random
    from hypothesis import given, settings, strategies as st, example, event
    @given(st.integers())
    def test_holds(n):
        event("even" if n % 2 == 0 else "odd")
        assert n == n
    @given(st.lists(st.integers()))
    @settings(max_examples=200)
    def test_fails(numbers): assert sum(numbers) < 1000
    @example(5)
    @given(st.integers())
    def test_example(n): assert n != 5
    @given(st.randoms())
    def test_random(r): assert 0 <= r.random() < 1
"""


@STARTS
def test_hypothesis(qe: Qe, start: str) -> None:
    qe.use("hypothesispytest")
    # hypothesis draws from the constants of modules that are not installed, too. Here the
    # plugin itself is one of those: let it lie where users have it.
    installed = qe.path / "site-packages"
    installed.mkdir()
    (installed / "pytest_qe").symlink_to(Path(pytest_qe.__file__).parent)
    qe.setenv("PYTHONPATH", str(installed))
    qe.files(test_a=PROPERTIES, test_b=PROPERTIES)
    args = ("--hypothesis-show-statistics", "-p", "no:cacheprovider")
    more = ("--qe-parallel=2", f"--qe-start={start}")

    def facts(result: pytest.RunResult) -> tuple[list[str], list[str]]:
        text = result.stdout.str()
        statistics = re.findall(r"^(test_\w+\.py::test_\w+):$|^( +\* \d+\.\d+%, \w+)$", text, re.M)
        examples = re.findall(r"^E +(F\w+ .*: .*\(|\w+=.*)$", text, re.M)
        return sorted(a or b.strip() for a, b in statistics), sorted(examples)

    serial = qe.run(*args, "--hypothesis-seed=7")
    parallel = qe.run(*args, "--hypothesis-seed=7", *more)
    assert parallel.parseoutcomes() == serial.parseoutcomes() == {"passed": 4, "failed": 4}
    assert facts(parallel) == facts(serial)
    assert len([name for name in facts(serial)[0] if "::" in name]) == 6
    assert "numbers=[1000]," in facts(parallel)[1]
    patches = [line for line in serial.outlines if "git apply" in line]
    assert len([line for line in parallel.outlines if "git apply" in line]) == len(patches)
    # Without a seed, what failed goes into the database and is tried first from then on.
    for reused in (0, 1):
        again = qe.run(*args, "-k", "test_a and fails", *more)
        assert again.stdout.str().count("during reuse phase") == reused
