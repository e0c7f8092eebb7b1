"""``--qe-once``: a session fixture that is set up, and torn down, once for all."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from conftest import HUNG, Qe, processes_with, wait_for

ONCE = "--qe-once=server"

#: Writes a line at each set-up and teardown; `{body}` is the rest of its set-up.
CONFTEST = """
    import logging, os, signal, socket, subprocess, sys, threading, time, warnings
    import pytest

    def note(text):
        with open("notes", "a") as file: file.write(text + "\\n")

    @pytest.fixture(scope="session")
    def server(tmp_path_factory):
        note("up")
        folder = tmp_path_factory.mktemp("server")
        BODY
        yield os.getpid(), folder
        note("down")
        AFTER
"""
TESTS = """
    import os, time
    import pytest

    @pytest.mark.parametrize("n", range(12))
    def test_it(server, n, worker_id, tmp_path):
        with open("seen", "a") as file:
            file.write(f"{server[0]} {server[1]} {os.getpid()} {worker_id}\\n")
        assert server[1].is_dir() and tmp_path != server[1]
        time.sleep(0.02)
        MORE
"""


def suite(qe: Qe, body: str = "pass", after: str = "pass", more: str = "pass") -> None:
    conftest = CONFTEST.replace("BODY", body).replace("AFTER", after)
    qe.files(conftest=conftest, test_it=TESTS.replace("MORE", more))


def seen(qe: Qe) -> list[list[str]]:
    return [line.split() for line in qe.lines("seen")]


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--qe-isolate",),
        ("--qe-dist=loadfile",),
        ("--qe-flaky=2", "--qe-flaky-mode=fixed"),
        ("--qe-timeout=60",),
    ],
    ids=" ".join,
)
def test_one_set_up_for_all_workers(qe: Qe, args: tuple[str, ...]) -> None:
    suite(qe)
    result = qe.run("--qe-parallel=3", ONCE, *args)
    result.assert_outcomes(passed=12)
    assert qe.lines("notes") == ["up", "down"]
    assert len({(pid, folder) for pid, folder, _, _ in seen(qe)}) == 1
    workers = {(pid, name) for _, _, pid, name in seen(qe)}
    assert len(workers) >= (1 if args == ("--qe-dist=loadfile",) else 2)
    assert all(name.startswith("gw") for _, name in workers)
    assert seen(qe)[0][0] not in {pid for pid, _ in workers}
    result.stdout.no_fnmatch_line("*qe-once*")


def test_without_the_option_there_is_one_a_worker(qe: Qe) -> None:
    suite(qe)
    qe.run("--qe-parallel=3").assert_outcomes(passed=12)
    assert qe.lines("notes").count("up") > 1


def test_an_ini_file_asks_for_it(qe: Qe) -> None:
    suite(qe)
    (qe.path / "pytest.ini").write_text("[pytest]\nqe_once = server\n")
    qe.run("--qe-parallel=2").assert_outcomes(passed=12)
    assert qe.lines("notes") == ["up", "down"]


def test_what_it_depends_on_is_shared_too(qe: Qe) -> None:
    qe.files(
        conftest="""
            import pytest
            def note(text):
                with open("notes", "a") as file: file.write(text + "\\n")
            @pytest.fixture(scope="session")
            def low():
                note("low up")
                yield 1
                note("low down")
            @pytest.fixture(scope="session")
            def server(low, worker_id):
                note(f"server up {worker_id}")
                yield low
                note("server down")
            @pytest.fixture(scope="session")
            def other(server):
                note("other up")
                yield
                note("other down")
        """,
        test_it="""
            import pytest, time
            @pytest.mark.parametrize("n", range(4))
            def test_it(server, low, other, worker_id, n):
                assert worker_id.startswith("gw")
                time.sleep(0.1)
        """,
    )
    qe.run("--qe-parallel=2", ONCE).assert_outcomes(passed=4)
    notes = qe.lines("notes")
    assert notes[:2] == ["low up", "server up master"]
    assert notes[-2:] == ["server down", "low down"]
    assert notes.count("other up") == notes.count("other down") == 2


def test_output_warnings_and_log_are_the_first_tests(qe: Qe) -> None:
    suite(
        qe,
        "print('printed'); logging.warning('logged'); warnings.warn('warned')",
        "print('printed late')",
        "assert 0",
    )
    text = qe.run("--qe-parallel=3", ONCE).stdout.str()
    assert text.count("-- Captured stdout setup --") == text.count("-- Captured log setup --") == 1
    assert text.index("Captured stdout setup") < text.index("Captured log setup")
    assert text.count("UserWarning: warned") == 1
    assert "deprecat" not in text
    assert qe.lines("notes") == ["up", "down"]
    assert "printed late" in qe.run("--qe-parallel=3", ONCE, "-rA").stdout.str()


@pytest.mark.parametrize(
    "body, outcome",
    [("raise OSError('no port')", "errors"), ("pytest.skip('no port')", "skipped")],
    ids=["raise", "skip"],
)
def test_a_failing_set_up_happens_once(qe: Qe, body: str, outcome: str) -> None:
    suite(qe, body)
    result = qe.run("--qe-parallel=3", ONCE, "-rs")
    result.assert_outcomes(**{outcome: 12})
    assert qe.lines("notes") == ["up"]
    result.stdout.fnmatch_lines("*no port*")


def test_a_failing_teardown_is_the_last_tests(qe: Qe) -> None:
    suite(qe, after="print('spoke'); raise OSError('still busy')")
    result = qe.run("--qe-parallel=3", ONCE)
    result.assert_outcomes(passed=12, errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_it*", "*OSError: still busy*",
                                 "*Captured stdout teardown*", "*spoke*"])  # fmt: skip


LEFT = {
    "a thread": (
        "stop = threading.Event(); request.addfinalizer(stop.set); "
        "threading.Thread(target=stop.wait, name='pump').start()",
        "thread 'pump'",
    ),
    "a socket": ("s = socket.create_server(('127.0.0.1', 0)); request.addfinalizer(s.close)",
                 "socket:"),
}  # fmt: skip


@pytest.mark.parametrize("what", LEFT)
def test_what_a_fork_would_break_is_refused(qe: Qe, what: str) -> None:
    body, word = LEFT[what]
    suite(qe, body)
    path = qe.path / "conftest.py"
    path.write_text(path.read_text() + "\n" + "\n".join([
        "@pytest.fixture(scope='session')",
        "def good():",
        "    note('good up')",
        "    yield",
        "    note('good down')",
    ]))  # fmt: skip
    source = path.read_text().replace("def server(tmp", "def server(request, tmp")
    path.write_text(source)
    tests = qe.path / "test_it.py"
    tests.write_text(tests.read_text().replace("(server,", "(good, server,"))
    result = qe.run("--qe-parallel=2", "--qe-once=good,server")
    result.assert_outcomes(passed=12)
    lines = [line for line in result.outlines if "--qe-once" in line]
    assert len(lines) == 1 and "server" in lines[0] and word in lines[0], lines
    notes = qe.lines("notes")
    # The refused one went up and down in the keeper, then in each worker.
    assert notes[:3] == ["good up", "up", "down"], notes
    assert notes.count("up") == notes.count("down") == 3
    assert notes.count("good up") == 1 and notes[-1] == "good down"


REFUSED = {
    "parametrised": ("@pytest.fixture(scope='session', params=[1, 2])\ndef server(request): "
                     "return request.param", "it is parametrised"),
    "its dependency is": ("@pytest.fixture(scope='session', params=[1, 2])\ndef low(request): "
                          "return 1\n@pytest.fixture(scope='session')\ndef server(low): "
                          "return low", "'low' is parametrised"),
    "of a module": ("@pytest.fixture(scope='module')\ndef server(): return 1",
                    "its scope is module"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_shared_is_refused_before(qe: Qe, what: str) -> None:
    source, word = REFUSED[what]
    (qe.path / "conftest.py").write_text("import pytest\n" + source)
    qe.files(test_it="def test_a(server): pass\ndef test_b(server): pass")
    result = qe.run("--qe-parallel=2", ONCE)
    result.assert_outcomes(passed=4 if "param" in source else 2)
    lines = [line for line in result.outlines if "--qe-once" in line]
    assert len(lines) == 1 and f"server: {word}" in lines[0], lines


def test_nobody_asks_for_it(qe: Qe) -> None:
    suite(qe)
    qe.files(test_it="def test_a(): pass\ndef test_b(): pass")
    result = qe.run("--qe-parallel=2", ONCE)
    result.assert_outcomes(passed=2)
    assert "server: no test asks for it by its name" in result.stdout.str()
    assert qe.lines("notes") == []


@pytest.mark.parametrize(
    "args, word",
    [
        (["--qe-once=nobody"], "--qe-once=nobody: no fixture has this name"),
        (["--qe-once=a-b"], "--qe-once=a-b: takes names of fixtures"),
        ([ONCE, "--qe-start=spawn"], "--qe-once: takes workers that are forked"),
    ],
)
def test_wrong_usage(qe: Qe, args: list[str], word: str) -> None:
    suite(qe)
    result = qe.run("--qe-parallel=2", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = [line for line in [*result.outlines, *result.errlines] if word in line]
    assert len(said) == 1, (result.outlines, result.errlines)
    assert qe.lines("notes") == qe.lines("seen") == []


def test_spawn_by_auto_shares_nothing(qe: Qe) -> None:
    suite(qe)
    path = qe.path / "conftest.py"
    path.write_text(path.read_text() + "\nleaked = socket.socket()\n")
    result, written = qe.json("--qe-parallel=2", ONCE)
    result.assert_outcomes(passed=12)
    assert "server: spawned workers share nothing; not shared by workers" in result.stdout.str()
    # On a busy machine one worker may have had all tests.
    assert qe.lines("notes").count("up") == len(set(written.workers().values()))


def test_a_set_up_that_hangs_is_left_to_the_workers(qe: Qe) -> None:
    """There each test that asks for it meets the limit, as without the option."""
    suite(qe, "time.sleep(600 if not os.path.exists('calm') else 0)")
    tests = qe.path / "test_it.py"
    tests.write_text(tests.read_text().replace("range(12)", "range(2)"))
    result = qe.run("--qe-parallel=2", ONCE, "--qe-timeout=1")
    result.assert_outcomes(errors=2)
    text = result.stdout.str()
    assert "--qe-once: server: its set-up took longer than 1 s; not shared" in text
    assert text.count("Timeout: exceeded 1 s in setup") >= 2
    assert "time.sleep(600" in text, "the stack's source line"
    assert qe.lines("notes") == ["up"] * 3


def test_a_set_up_that_dies_is_left_to_the_workers(qe: Qe) -> None:
    suite(qe, "if 'PYTEST_XDIST_WORKER' not in os.environ: os.abort()")
    result = qe.run("--qe-parallel=2", ONCE)
    result.assert_outcomes(passed=12)
    assert "server: its set-up died (killed by SIGABRT)" in result.stdout.str()


def test_a_teardown_that_hangs_is_ended(qe: Qe) -> None:
    suite(qe, after="time.sleep(600)")
    began = time.monotonic()
    result = qe.run("--qe-parallel=2", ONCE, "--qe-timeout=2")
    assert time.monotonic() - began < 30
    result.assert_outcomes(passed=12, errors=1)
    said = "*Timeout: exceeded 2 s in teardown of server (keeper was killed)*"
    result.stdout.fnmatch_lines([said, "*time.sleep(600)*"])


@pytest.mark.parametrize("args", [("-x",), ("--maxfail=1",), ("--sw",)], ids=" ".join)
def test_torn_down_after_a_stop(qe: Qe, args: tuple[str, ...]) -> None:
    suite(qe, more="assert n != 1")
    result = qe.run("--qe-parallel=2", ONCE, *args)
    assert result.parseoutcomes()["failed"] == 1
    assert qe.lines("notes") == ["up", "down"]
    assert len(seen(qe)) < 12


def test_torn_down_after_crashes(qe: Qe) -> None:
    suite(qe, more="n % 3 or os.kill(os.getpid(), 9)")
    result = qe.run("--qe-parallel=2", ONCE)
    result.assert_outcomes(passed=8, failed=4)
    assert qe.lines("notes") == ["up", "down"]
    assert len({line[0] for line in seen(qe)}) == 1, "new workers share it"


def test_retries_share_it(qe: Qe) -> None:
    suite(qe, more="assert os.path.exists(f'was-{n}') or open(f'was-{n}', 'w').close()")
    result = qe.run("--qe-parallel=2", ONCE, "--qe-retries=1")
    result.assert_outcomes(passed=12)
    assert len(seen(qe)) == 24
    assert qe.lines("notes") == ["up", "down"]


@pytest.mark.parametrize("when", ["tests", "set-up"])
def test_torn_down_after_ctrl_c(qe: Qe, when: str) -> None:
    if when == "tests":
        suite(qe, more="time.sleep(600)")
    else:
        suite(qe, "try: time.sleep(600)\n        finally: note('down')")
    process = qe.popen("--qe-parallel=2", ONCE)
    what = "seen" if when == "tests" else "notes"
    wait_for(lambda: len(qe.lines(what)) >= 1 or process.poll() is not None, what)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=HUNG) == pytest.ExitCode.INTERRUPTED, qe.output()
    assert qe.lines("notes") == ["up", "down"], qe.output()


SUBPROCESS = (
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
    "env={**os.environ, 'IS_THE_SERVER': '1'})"
)


def test_its_own_process_lives_until_the_teardown(qe: Qe) -> None:
    suite(qe, SUBPROCESS + "; note(str(child.pid))", "child.terminate(); note(str(child.wait()))")
    qe.files(
        test_alive="""
        import os
        def test_alive(server):
            with open("notes") as file: pid = int(file.read().split()[1])
            os.kill(pid, 0)
    """
    )
    qe.run("--qe-parallel=2", ONCE).assert_outcomes(passed=13)
    notes = qe.lines("notes")
    assert [notes[0], *notes[2:]] == ["up", "down", str(-signal.SIGTERM)]


@pytest.mark.parametrize("own_session", [False, True])
def test_nothing_outlives_the_controller(qe: Qe, own_session: bool) -> None:
    body = SUBPROCESS
    if own_session:
        body = body.replace("env=", "start_new_session=True, env=")
    suite(qe, body, more="time.sleep(600)")
    process = qe.popen("--qe-parallel=2", ONCE)
    wait_for(lambda: len(qe.lines("seen")) == 2 or process.poll() is not None, "both tests")
    mark = f"QE_TESTS_MARK={os.environ['QE_TESTS_MARK']}"
    assert any("sleep(600)" in command for command in processes_with(mark).values())
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=HUNG)
    began = time.monotonic()
    wait_for(lambda: not processes_with(mark), "the end of all")
    assert time.monotonic() - began < 5


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("who", ["keeper", "supervisor"])
def test_what_was_lost_is_set_up_again(qe: Qe, who: str) -> None:
    suite(
        qe,
        more="""
        while n == 0 and not os.path.exists("go-on"): time.sleep(0.02)
    """,
    )
    process = qe.popen("--qe-parallel=2", ONCE)
    wait_for(lambda: len(qe.lines("seen")) >= 6 or process.poll() is not None, "some tests")
    keeper = int(seen(qe)[0][0])
    os.kill(keeper if who == "keeper" else parent_of(keeper), signal.SIGKILL)
    wait_for(lambda: qe.lines("notes").count("up") == 2, "the second set-up")
    (qe.path / "go-on").touch()
    assert process.wait(timeout=HUNG) == 0, qe.output()
    assert "12 passed" in qe.output()
    assert qe.lines("notes") == ["up", "up", "down"]
    if who == "keeper":
        assert "--qe-once: what held server died (killed by SIGKILL)" in qe.output()


def test_coverage_of_its_set_up(qe: Qe) -> None:
    qe.use("pytest_cov")
    suite(qe, "value = 1", "value = 2")
    result = qe.run("--qe-parallel=2", ONCE, "--cov=.", "--cov-report=term-missing")
    result.assert_outcomes(passed=12)
    (line,) = [line for line in result.outlines if line.startswith("conftest.py")]
    assert "100%" in line, result.stdout.str()


def test_nothing_of_ours_is_in_a_traceback(qe: Qe) -> None:
    qe.files(
        conftest="""
            import pytest
            @pytest.fixture(scope="session")
            def fails(): raise RuntimeError("in its set-up")
        """,
        test_it="def test_it(fails): pass",
    )
    for style in ("auto", "short", "long"):
        result = qe.run("--qe-parallel=1", "--qe-once=fails", f"--tb={style}")
        assert result.parseoutcomes() == {"errors": 1}
        assert "pytest_qe" not in result.stdout.str()
