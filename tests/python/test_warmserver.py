"""Runs of pytest by a warm server are those of fresh interpreters."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

import pytest_qe
from conftest import OTHERS, Qe, processes_with
from pytest_qe.agents.session import CommandSession, Ended, Policy, Unit

SERVER = Path(pytest_qe.__file__).parent / "warmserver.py"
PYTEST = str(Path(sys.executable).parent / "pytest")


class Warm:
    """Runs of a script: by servers, and by fresh interpreters."""

    def __init__(self, qe: Qe) -> None:
        self.path = qe.path
        self.servers: list[subprocess.Popen[bytes]] = []

    def serve(self, script: str = PYTEST, *options: str, **env: str) -> str:
        """Starts a server; its address."""
        server = subprocess.Popen(
            [sys.executable, str(SERVER), script, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.path,
            env={**os.environ, **env},
        )
        self.servers.append(server)
        assert server.stdout is not None
        name = server.stdout.readline().decode().strip()
        assert name, "the server did not come up"
        return name

    def close(self) -> None:
        for server in self.servers:
            assert server.stdin is not None and server.stdout is not None
            server.stdin.close()
            assert server.wait(30) == 0
            server.stdout.close()

    def run(self, name: str, *argv: str, **env: str) -> Ended:
        """One run, by the server of that address; "" is none."""
        return self.many(name, 1, *argv, **env)[0]

    def many(self, name: str, times: int, *argv: str, **env: str) -> list[Ended]:
        async def all_of_it() -> list[Ended]:
            unit = Unit(argv, env, cwd=str(self.path), warm=name)
            ends = []
            async with CommandSession([unit] * times, Policy(1, timeout=60)) as session:
                while (event := await session.next()) is not None:
                    if isinstance(event, Ended):
                        ends.append(event)
            return ends

        return asyncio.run(all_of_it())


@pytest.fixture
def warm(qe: Qe) -> Iterator[Warm]:
    warm = Warm(qe)
    yield warm
    warm.close()


def same(text: bytes | str) -> str:
    """What is printed, without what no two runs have in common."""
    words = text.decode() if isinstance(text, bytes) else text
    words = re.sub(r" in [0-9.]+s( \([0-9:]+\))?", " in TIME", words)
    words = re.sub(r'(time|timestamp)="[^"]*"', r"\1", words)
    words = re.sub(r"(?m)^=+ (.*?) =+$", r"= \1 =", words)
    words = re.sub(r"random seed: \d+|--randomly-seed=\d+|random-order-seed: \d+", "SEED", words)
    return re.sub(r"0x[0-9a-f]+", "0xADDRESS", words)


SUITE = {
    "test_passes": "def test_one(): pass\ndef test_two(tmp_path): print('x')\n",
    "test_fails": "def test_it():\n    a, b = [1, 2], [1, 3]\n    assert a == b\n",
    "test_errors": (
        "import pytest\n@pytest.fixture\ndef broken(): raise LookupError('why')\n"
        "def test_it(broken): pass\n"
    ),
    "test_syntax": "def test_it(:\n",
    "test_empty": "x = 1\n",
    "test_warns": "import warnings\ndef test_it(): warnings.warn('mind')\n",
    "test_raises": "raise RuntimeError('at import')\n",
    "test_exits": "import os\ndef test_it(): os._exit(7)\n",
    "test_kills": "import os, signal\ndef test_it(): os.kill(os.getpid(), signal.SIGSEGV)\n",
    "test_skips": "import pytest\n@pytest.mark.skip\ndef test_it(): pass\n",
    "test_odd": "import sys\ndef test_it():\n    sys.exit(3)\n",
}


def write(path: Path, files: Mapping[str, str]) -> None:
    for name, source in files.items():
        (path / f"{name}.py").write_text(source, "utf-8")


@pytest.mark.parametrize("plugins", ["none", "some"])
def test_warm_and_cold_tell_the_same(warm: Warm, qe: Qe, plugins: str) -> None:
    if plugins == "some":
        qe.use("pytest_mock", "pytest_cov", "html", "metadata", "timeout", "hypothesispytest")
    write(qe.path, SUITE)
    (qe.path / "conftest.py").write_text(
        "import pytest\n@pytest.fixture(autouse=True)\ndef mine(): print('of the conftest')\n"
        "def pytest_report_header(config): return 'rootdir is mine'\n",
        "utf-8",
    )
    (qe.path / "extra.py").write_text(
        "def pytest_report_header(config): return 'extra is here'\n"
        "def helper(a):\n    assert a == 1\n",
        "utf-8",
    )
    runs: list[tuple[str, ...]] = [(f"{name}.py",) for name in SUITE]
    runs += [
        ("-p", "extra", "test_passes.py"),
        ("-p", "no:terminal", "test_fails.py"),
        ("-p", "no:cacheprovider", "-v", "test_passes.py"),
        ("--no-such-option",),
        ("missing.py",),
        ("--version",),
        ("-rA", "-s", "test_passes.py", "test_fails.py", "test_warns.py"),
        ("-W", "error", "test_warns.py"),
        ("--assert=plain", "test_fails.py"),
    ]
    name = warm.serve(PYTEST, "-p", "no:cacheprovider")
    for run in runs:
        told = []
        for address in ("", name):
            report = qe.path / "report.xml"
            report.unlink(missing_ok=True)
            end = warm.run(address, PYTEST, f"--junit-xml={report}", *run)
            xml = report.read_text("utf-8") if report.exists() else "none"
            # A stack reaches down to who began: a console script, or the server.
            stderr = same(end.stderr).partition("Current thread")[0]
            told.append((end.returncode, same(end.stdout), stderr, same(xml)))
        assert told[0] == told[1], run


def test_it_is_the_server_that_runs_them(warm: Warm, qe: Qe) -> None:
    qe.files(test_it="import os\ndef test_it(): print('parent', os.getppid())\n")
    name = warm.serve()
    end = warm.run(name, PYTEST, "-s", "test_it.py")
    assert f"parent {warm.servers[0].pid}\n" in end.stdout.decode()
    # Of another environment at the start, it does not.
    end = warm.run(name, PYTEST, "-s", "test_it.py", PYTHONHASHSEED="7")
    assert end.returncode == 0
    assert f"parent {warm.servers[0].pid}\n" not in end.stdout.decode()


def test_a_run_sees_what_an_interpreter_sees(warm: Warm, qe: Qe) -> None:
    script = qe.path / "script.py"
    script.write_text(
        f"#!{sys.executable}\n"
        "import atexit, os, sys, json, signal, threading\n"
        "print(sys.argv, sys.path, __name__, __file__)\n"
        "print(sys.modules['__main__'].__dict__ is globals())\n"
        "print(os.readlink('/proc/self/fd/0'), repr(sys.stdin.read()))\n"
        "print(sorted(os.listdir('/proc/self/fd')), os.getcwd(), dict(os.environ))\n"
        "print({s: signal.getsignal(s) for s in signal.valid_signals()})\n"
        "print(sys.flags, sys.warnoptions, sys.getrecursionlimit(), len(threading.enumerate()))\n"
        "print(sys.stdout.encoding, sys.stdout.line_buffering, sys.meta_path, sys.excepthook)\n"
        "print(sorted(m for m in sys.modules if 'pytest' in m))\n"
        "atexit.register(print, 'last')\n"
        "atexit.register(print, 'first')\n",
        "utf-8",
    )
    script.chmod(0o755)
    name = warm.serve(str(script))
    cold = warm.run("", str(script), "a", "b c")
    hot = warm.run(name, str(script), "a", "b c")
    assert cold.returncode == 0
    assert same(hot.stdout) == same(cold.stdout)
    assert hot.stderr == cold.stderr == b""


def test_chance_differs_from_run_to_run(warm: Warm, qe: Qe) -> None:
    qe.use("randomly")  # which imports numpy, where that is installed
    qe.files(
        test_it="""
        import os, random, sys, uuid, tempfile
        def test_it():
            numpy = sys.modules.get("numpy.random")
            print("=>", random.random(), os.urandom(4).hex(), uuid.uuid4(),
                  tempfile.mktemp(), numpy.random() if numpy else uuid.uuid4(), end="|")
        """
    )
    name = warm.serve()
    ends = warm.many(name, 5, PYTEST, "-s", "-p", "no:randomly", "test_it.py")
    found = [re.search(r"=> ([^|]*)", end.stdout.decode()) for end in ends]
    lines = [match[1].split() for match in found if match is not None]
    assert len(lines) == 5
    for column in zip(*lines, strict=True):
        assert len(set(column)) == 5, column


def test_each_server_draws_its_own_hash_seed(warm: Warm, qe: Qe) -> None:
    qe.files(test_it="def test_it(): print('=>', hash('a string'), end='|')\n")

    def hashes(name: str) -> set[str]:
        ends = warm.many(name, 3, PYTEST, "-s", "test_it.py")
        return {re.findall(r"=> ([^|]*)", end.stdout.decode())[0] for end in ends}

    assert len(hashes("")) > 1
    first, second = hashes(warm.serve()), hashes(warm.serve())
    assert len(first) == len(second) == 1 and first != second


@pytest.mark.parametrize("autoload", ["", "1"])
def test_nothing_of_the_project_is_imported(warm: Warm, qe: Qe, autoload: str) -> None:
    trace = "open('imported', 'a').write('%s %d\\n' % (__name__, __import__('os').getpid()))\n"
    write(
        qe.path,
        {
            "conftest": trace + "pytest_plugins = ['more']\n",
            "more": trace,
            "named": trace,
            "by_option": trace,
            "test_it": trace + "def test_it(): pass\n",
        },
    )
    (qe.path / "pytest.ini").write_text("[pytest]\naddopts = -p by_option\n", "utf-8")
    more = {"PYTHONPATH": str(qe.path), "PYTEST_PLUGINS": "named"}
    if autoload:
        more["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = autoload
    name = warm.serve(PYTEST, "-p", "by_option", **more)
    assert not (qe.path / "imported").exists()
    end = warm.run(name, PYTEST, "-p", "no:cacheprovider", "test_it.py", **more)
    assert end.returncode == 0, end.stdout.decode()
    lines = (qe.path / "imported").read_text().splitlines()
    assert {line.split()[0] for line in lines} == {
        "conftest", "more", "named", "by_option", "test_it",
    }  # fmt: skip
    assert str(warm.servers[0].pid) not in {line.split()[1] for line in lines}


def install(path: Path, name: str, source: str) -> None:
    """A distribution with one plugin, as pip would leave it."""
    info = path / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pytest11]\n{name} = {name}\n")
    (info / "RECORD").write_text(f"{name}.py,,\n")
    (path / f"{name}.py").write_text(
        "import os\n"
        "def pytest_report_header(config):\n"
        f"    return '{name} of %d' % of\n"
        "of = os.getpid()\n" + source,
        "utf-8",
    )


@pytest.mark.parametrize(
    ("source", "shared"),
    [
        ("", True),
        ("import threading\nthreading.Thread(target=__import__('time').sleep, "
         "args=(1000,), daemon=True).start()\n", False),
        ("import warnings\nwarnings.warn('mind')\n", False),
        ("print('hello', flush=True)\n", False),
        ("import subprocess\nsleeper = subprocess.Popen(['sleep', '3'])\n", False),
        ("if os.environ.get('FAILS'): raise RuntimeError('no')\n", False),
        ("if os.environ.get('FAILS'): raise SystemExit(3)\n", False),
        ("if os.environ.get('FAILS'): os._exit(3)\n", None),
    ],
    ids=["plain", "thread", "warns", "prints", "process", "fails", "exits", "leaves"],
)  # fmt: skip
def test_what_cannot_be_shared_is_left_out(
    warm: Warm, qe: Qe, source: str, shared: bool | None
) -> None:
    install(qe.path / "site", "odd_one", source)
    install(qe.path / "site", "plain_one", "")
    qe.files(test_it="def test_it(): pass\n")
    path = {"PYTHONPATH": str(qe.path / "site")}
    if shared is None:  # there is no server then, and no name
        with pytest.raises(AssertionError, match="did not come up"):
            warm.serve(PYTEST, **path, FAILS="1")
        warm.servers.pop().wait(30)
        return
    name = warm.serve(PYTEST, **path, FAILS="1")
    ends = warm.many(name, 2, PYTEST, "test_it.py", **path)
    server = warm.servers[0].pid
    for end in ends:
        said = end.stdout.decode()
        assert end.returncode == 0, said + end.stderr.decode()
        assert f"plain_one of {server}\n" in said
        assert (f"odd_one of {server}\n" in said) == shared
        assert "odd_one of " in said


def test_a_broken_configuration_is_told_by_each_run(warm: Warm, qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass\n")
    (qe.path / "pytest.ini").write_text("[pytest\nnonsense", "utf-8")
    name = warm.serve()
    cold, hot = (warm.run(address, PYTEST, "test_it.py") for address in ("", name))
    assert cold.returncode == hot.returncode == 4
    assert same(cold.stderr) == same(hot.stderr) != ""


def test_a_file_that_comes_later_is_found(warm: Warm, qe: Qe) -> None:
    name = warm.serve(PYTEST, PYTHONPATH=str(qe.path))
    qe.files(later="x = 1\n", test_it="import later\ndef test_it(): assert later.x\n")
    end = warm.run(name, PYTEST, "test_it.py", PYTHONPATH=str(qe.path))
    assert end.returncode == 0, end.stdout.decode()


def test_relative_paths_hold_in_the_folder_of_the_start_alone(warm: Warm, qe: Qe) -> None:
    (qe.path / "below").mkdir()
    qe.files(test_it="import os\ndef test_it(): print('parent', os.getppid())\n")
    name = warm.serve(PYTEST, PYTHONPATH="below")
    parent = f"parent {warm.servers[0].pid}\n"
    argv = (PYTEST, "-s", str(qe.path / "test_it.py"))
    assert parent in warm.run(name, *argv, PYTHONPATH="below").stdout.decode()
    warm.path = qe.path / "below"
    assert parent not in warm.run(name, *argv, PYTHONPATH="below").stdout.decode()


def test_it_is_cheaper(warm: Warm, qe: Qe, record_property: Callable[[str, object], None]) -> None:
    qe.use(*(name for name in OTHERS if name not in ("xdist", "xdist.looponfail", "django")))
    qe.files(test_it="def test_it(): pass\n")
    name = warm.serve()
    cold, hot = (
        sum(end.cpu for end in warm.many(address, 5, PYTEST, "test_it.py"))
        for address in ("", name)
    )
    record_property("cold_by_warm", cold / hot)
    print(f"a run: {cold / 5:.3f} s of processor time cold, {hot / 5:.3f} s warm")
    assert hot < cold


def test_it_ends_with_its_standard_input(warm: Warm, qe: Qe) -> None:
    mark = os.environ["QE_TESTS_MARK"]
    warm.serve()
    warm.serve(PYTEST, "-p", "no:terminal")
    assert len(processes_with(mark)) >= 2  # and forks that were made in advance
    warm.close()
    warm.servers.clear()
    assert not processes_with(mark)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_test_that_signals_its_parent_ends_no_other_run(warm: Warm, qe: Qe, number: str) -> None:
    (qe.path / "test_parent.py").write_text(
        f"import os, signal\ndef test_it():\n    os.kill(os.getppid(), signal.{number})\n"
    )
    (qe.path / "test_own.py").write_text(
        "import os, signal\ndef test_it():\n"
        f"    signal.signal(signal.{number}, signal.SIG_DFL)\n"
        f"    os.kill(os.getpid(), signal.{number})\n"
    )
    (qe.path / "test_next.py").write_text("import os\ndef test_it():\n    print(os.getppid())\n")
    name = warm.serve()
    assert warm.run(name, PYTEST, "test_parent.py").returncode == 0
    own = warm.run(name, PYTEST, "test_own.py").returncode
    assert own is not None and own < 0
    after = warm.run(name, PYTEST, "-s", "test_next.py")
    assert str(warm.servers[0].pid) in after.stdout.decode()


def spares(server: subprocess.Popen[bytes]) -> list[int]:
    """Forks of a server that runs nothing."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    return [int(word) for word in children.read_text().split()]


def await_spare(server: subprocess.Popen[bytes]) -> int:
    until = time.monotonic() + 30
    while not spares(server):
        assert time.monotonic() < until, "no fork was made in advance"
        time.sleep(0.01)
    return spares(server)[0]


def test_a_fork_is_made_in_advance_and_used(warm: Warm, qe: Qe) -> None:
    qe.files(test_it="import os\ndef test_it(): print('I am', os.getpid())\n")
    name = warm.serve()
    spare = await_spare(warm.servers[0])
    assert f"I am {spare}" in warm.run(name, PYTEST, "-s", "test_it.py").stdout.decode()
    assert await_spare(warm.servers[0]) != spare


def test_one_that_is_not_there_any_more_is_not_missed(warm: Warm, qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass\n")
    name = warm.serve()
    os.kill(await_spare(warm.servers[0]), signal.SIGKILL)
    ends = warm.many(name, 3, PYTEST, "test_it.py")
    assert [end.returncode for end in ends] == [0, 0, 0]


def test_it_is_not_needed_where_no_process_can_be_made(
    warm: Warm, qe: Qe, tmp_path_factory: pytest.TempPathFactory
) -> None:
    qe.files(test_it="def test_it(): pass\n")
    folder = tmp_path_factory.mktemp("lib")
    (folder / "sitecustomize.py").write_text(
        "import errno, os, pathlib\n"
        "fork, tried = os.fork, pathlib.Path(__file__).with_name('tried')\n"
        "def full():\n"
        "    os.fork = fork\n"
        "    tried.touch()\n"
        "    raise OSError(errno.EAGAIN, 'no more processes')\n"
        "os.fork = full\n"
    )
    name = warm.serve(PYTHONPATH=str(folder))
    until = time.monotonic() + 30
    while not (folder / "tried").exists():
        assert time.monotonic() < until, "no fork was made in advance"
        time.sleep(0.01)
    await_spare(warm.servers[0])
    assert warm.run(name, PYTEST, "test_it.py", PYTHONPATH=str(folder)).returncode == 0


def test_it_goes_with_its_server(warm: Warm, qe: Qe) -> None:
    warm.serve()
    server = warm.servers.pop()
    spare = await_spare(server)
    server.kill()
    server.wait(30)
    until = time.monotonic() + 30
    while Path(f"/proc/{spare}").exists():
        assert time.monotonic() < until, "the fork is still there"
        time.sleep(0.01)
    assert server.stdin is not None and server.stdout is not None
    server.stdin.close()
    server.stdout.close()
