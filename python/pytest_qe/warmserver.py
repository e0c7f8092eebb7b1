"""A server that runs a Python script many times, each time in a fork of itself.

    python warmserver.py SCRIPT [OPTION...]

SCRIPT is a program such as ``.venv/bin/pytest``, options what each run of it has.
What it would import is imported once; a fork then takes milliseconds where a fresh
interpreter takes a fifth of a second. The protocol is in csrc/qe_warm.h. The name of its
socket, in the abstract namespace, is printed as the first line when it listens; the variable
QE_WARM_SOCKET may give a descriptor that is bound already. It ends when there is anything to
read from its standard input, or that has ended.

Needs the standard library alone, as it runs with the interpreter of SCRIPT, whatever is
installed there (Python 3.8 or newer, Linux).
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # As it would be for SCRIPT: what lies beside this file is not to be imported.
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = sys.argv[1].rpartition("/")[0]

import ctypes
import errno
import gc
import importlib
import os
import resource
import runpy
import selectors
import signal
import socket
import struct
import time
import warnings
from typing import Any

_PDEATHSIG, _SUBREAPER = 1, 36  # of prctl(2)
_MOST_BYTES = 64 << 20
_FDS = struct.Struct("ii")
_CREDENTIALS = struct.Struct("iII")
_LENGTH = struct.Struct("=Q")
_NO_LIMIT = (1 << 63) - 1  # what setrlimit takes here
_DEAF_TO = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_POPULATE_WRITE = 23  # of madvise(2), from Linux 5.14 on
_POPULATE_BYTES = 64 << 20
_QUIET_S = 0.07  # after the last event, before a fork is made in advance
_LINGER_S = 2.0  # an abandoned command's process group keeps its number so long
# What an interpreter looks at when it starts, so that a fork would not have seen it.
_AT_START = ("PYTHON", "LC_", "LANG", "COV_CORE_", "COVERAGE_", "MALLOC_", "LD_")

_WITHOUT, _ALL = "QE_WARM_WITHOUT", "*"  # plugins not to import before a fork
_SOCKET = "QE_WARM_SOCKET"  # the number of a descriptor: where to listen, if that is known

_libc = ctypes.CDLL(None)


class Job:
    """What a command was asked for, as its fork finds it."""

    def __init__(self, words: list[bytes], fds: list[int]) -> None:
        self.fds = fds
        count = [int(words[i]) for i in range(5)]
        self.limits = count[2:]
        self.cwd = words[5]
        self.argv = words[6 : 6 + count[0]]
        variables = words[6 + count[0] : 6 + count[0] + count[1]]
        self.environ = dict(word.split(b"=", 1) for word in variables if word.find(b"=") > 0)


class Spare:
    """A fork that was made in advance: when a request comes, the fork and most of its page
    faults, a third of a short run, have happened while others waited for something."""

    def __init__(self) -> None:
        self.ours, self.its = socket.socketpair()
        self.ours.settimeout(5)
        try:
            self.pid = os.fork()
        except OSError:
            self.ours.close()
            self.its.close()
            raise
        if self.pid == 0:
            self.ours.close()
            _libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            _copy_pages()
        else:
            self.its.close()

    def give(self, body: bytes, fds: list[int]) -> bool:
        """Has it do a job; False: it is not there any more, and nothing was started."""
        try:
            if _has_ended(self.pid):
                return False
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, _FDS.pack(*fds))
            self.ours.sendmsg([_LENGTH.pack(len(body))], [rights])
            self.ours.sendall(body)
            return True
        except OSError:
            os.kill(self.pid, signal.SIGKILL)  # not reaped yet
            return False
        finally:
            self.ours.close()

    def await_job(self) -> Job:
        """In the fork."""
        head, ancillary, _, _ = self.its.recvmsg(_LENGTH.size, socket.CMSG_SPACE(_FDS.size))
        if len(head) < _LENGTH.size:
            os._exit(0)  # there will be none
        left = _LENGTH.unpack(head)[0]
        parts = []
        while left > 0:
            part = self.its.recv(min(left, 1 << 20))
            if part == b"":
                os._exit(0)
            parts.append(part)
            left -= len(part)
        self.its.close()
        return Job(b"".join(parts).split(b"\0")[:-1], _descriptors(ancillary))


class Client:
    """One connection: a request, then the command that runs for it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.fds: list[int] = []
        self.pid = 0
        self.ended = False
        self.gone_since: float | None = None


def _at_start(environ: Any) -> dict[bytes, bytes]:
    return {
        name: value
        for name, value in environ.items()
        if name.decode("utf-8", "replace").startswith(_AT_START)
    }


class _EnoughError(Exception):
    """pytest has imported its plugins, and would now look at the project."""


class _UnfitError(Exception):
    """A plugin that a fork must import by itself: it starts threads or processes, warns,
    prints, or fails."""


def _load(entry: Any) -> None:
    before = _children()
    with warnings.catch_warnings(record=True) as told:
        try:
            entry.load()
            printed = _has_printed()
        except BaseException:  # each run says so itself
            raise _UnfitError(entry.name) from None
    if told or printed or len(os.listdir("/proc/self/task")) > 1 or _children() != before:
        raise _UnfitError(entry.name)


def _has_printed() -> bool:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return os.lseek(1, 0, os.SEEK_CUR) > 0


def _preload_pytest(args: list[str], without: list[str]) -> None:
    """Imports what every run with these options does: pytest's own plugins, and those that
    are installed, as pytest would (with its rewritten assertions). None is registered, and
    nothing of the project is imported.
    """
    from importlib.metadata import distributions

    from _pytest.assertion.rewrite import AssertionRewritingHook
    from _pytest.config import get_config

    config = get_config()
    manager = config.pluginmanager
    prepare = manager.consider_preparse

    def exclude(args: Any, *, exclude_only: bool = False) -> None:
        prepare(args, exclude_only=True)

    def load(group: str, name: str | None = None) -> None:
        for distribution in list(distributions()):
            for entry in distribution.entry_points:
                if entry.group == group and not (
                    entry.name in without or manager.is_blocked(entry.name)
                ):
                    _load(entry)
        enough()

    def enough(*_: Any) -> None:
        raise _EnoughError

    manager.consider_preparse = exclude  # type: ignore[method-assign]
    manager.load_setuptools_entrypoints = load  # type: ignore[assignment,method-assign]
    # Comes next, also where plugins are not loaded.
    manager.consider_env = enough  # type: ignore[method-assign]
    path = list(sys.path)
    try:
        config.parse(list(args))
    except _EnoughError:
        pass
    finally:
        sys.path[:] = path
        sys.meta_path[:] = [
            finder for finder in sys.meta_path if not isinstance(finder, AssertionRewritingHook)
        ]


def _preload_late() -> None:
    """What each run comes to import later, and compile for its JUnit report: together half
    of the time that a short one takes."""
    import pdb  # noqa: F401 - pytest does when it is configured

    try:
        from _pytest.junitxml import bin_xml_escape

        bin_xml_escape("")
    except Exception:  # another pytest: then each run does
        pass


def _preload(script: str, args: list[str], told: int) -> None:
    """Where something cannot be shared, begins again without it: no import can be undone."""
    without = os.environ.pop(_WITHOUT, "").split("/")
    if os.path.basename(script) not in ("pytest", "py.test") or _ALL in without:
        return
    try:
        _preload_pytest(args, without)
    except _UnfitError as error:
        without.append(str(error))
    except BaseException:
        without.append(_ALL)
    else:
        _preload_late()
        return
    os.dup2(told, 1)
    os.execve(
        sys.executable,
        [sys.executable, *sys.argv],
        {**os.environ, _WITHOUT: "/".join(without)},
    )


class Server:
    def __init__(self, script: str) -> None:
        self.script = os.fsencode(script)
        self.began_with = _at_start(os.environb)
        path = os.environb.get(b"PYTHONPATH", b"")
        # Then modules come from below the folder that it began in.
        self.is_relative = path != b"" and not all(
            folder.startswith(b"/") for folder in path.split(b":")
        )
        self.clients: dict[Any, Client] = {}  # by connection
        self.spare: Spare | None = None
        given = os.environ.pop(_SOCKET, None)
        if given is not None:
            self.listener = socket.socket(fileno=int(given))
        else:
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind("")
        self.listener.listen(256)
        self.listener.setblocking(False)
        self.woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.wake = wake
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        # A test that ends its parent would end all other runs with it.
        self.before = {n: signal.signal(n, lambda number, frame: None) for n in _DEAF_TO}
        self.selector = selectors.DefaultSelector()
        for source in (0, self.woken, self.listener):
            self.selector.register(source, selectors.EVENT_READ)

    def name(self) -> bytes:
        name: bytes = self.listener.getsockname()[1:]
        return name

    # ------------------------------------------------------------ the parent's

    def serve(self) -> Job | None:
        """Returns in each fork, with its Job; in the server at its end, with None."""
        while True:
            wait = 0.5 if any(c.gone_since is not None for c in self.clients.values()) else None
            ready = self.selector.select(wait if self.spare is not None else _QUIET_S)
            if not ready and self.spare is None:
                try:
                    self.spare = Spare()
                except OSError:
                    pass  # no more processes or descriptors now; a run may find one
                if self.spare is not None and self.spare.pid == 0:
                    self._leave_to()
                    return self.spare.await_job()
            for key, _ in ready:
                if key.fileobj == 0:
                    return None
                if key.fileobj == self.woken:
                    os.read(self.woken, 4096)
                elif key.fileobj is self.listener:
                    self._accept()
                elif key.fileobj in self.clients:
                    job = self._hear(self.clients[key.fileobj])
                    if job is not None:
                        return job
            self._look()

    def _accept(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(peer)[1] != os.geteuid():
            connection.close()
            return
        connection.settimeout(5)  # a request comes in one piece
        self.clients[connection] = Client(connection)
        self.selector.register(connection, selectors.EVENT_READ)

    def _hear(self, client: Client) -> Job | None:
        try:
            if client.pid == 0:
                return self._begin(client)
            words = client.connection.recv(64)
        except (OSError, ValueError, IndexError) as error:
            if client.pid == 0:
                why = str(error).replace("\n", " ")[:100]
                self._say(client, f"R {why}\n")
            words = b""
        if words == b"":
            self._abandon(client)
        elif words.startswith(b"A") and client.ended:
            self._reap(client)
        return None

    def _begin(self, client: Client) -> Job | None:
        connection = client.connection
        # All descriptors come with the first byte.
        head, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(_FDS.size))
        client.fds += _descriptors(ancillary)
        while b"\n" not in head and len(head) < 64:
            more = connection.recv(4096)
            if more == b"":
                raise ValueError("the request is cut off")
            head += more
        line, _, body = head.partition(b"\n")
        version, _, size = line.partition(b" ")
        if version != b"QE1" or not size.isdigit() or int(size) > _MOST_BYTES:
            raise ValueError("not a request")
        while len(body) < int(size):
            more = connection.recv(min(int(size) - len(body), 1 << 20))
            if more == b"":
                raise ValueError("the request is cut off")
            body += more
        if len(client.fds) != 2:
            raise ValueError("two streams are wanted")
        job = Job(body.split(b"\0")[:-1], client.fds)
        if job.argv[:1] != [self.script]:
            raise ValueError("another script")
        if _at_start(job.environ) != self.began_with:
            raise ValueError("another environment at the start")
        if not (os.path.isdir(job.cwd) and os.access(job.cwd, os.X_OK)):
            raise ValueError("no such folder")
        if self.is_relative and not os.path.samefile(job.cwd, "."):
            raise ValueError("another folder at the start")
        spare, self.spare = self.spare, None
        if spare is not None and spare.give(body, client.fds):
            client.pid = spare.pid
        else:
            client.pid = os.fork()
        if client.pid == 0:
            self._leave_to()
            return job
        try:
            os.setpgid(client.pid, client.pid)  # so has the fork itself, or will have
        except OSError:
            pass
        self._close_fds(client)
        self._say(client, f"P {client.pid}\n")
        return None

    def _say(self, client: Client, text: str) -> None:
        try:
            client.connection.sendall(text.encode())
        except OSError:
            pass  # its end is heard of

    def _close_fds(self, client: Client) -> None:
        for fd in client.fds:
            os.close(fd)
        client.fds = []

    def _forget(self, client: Client) -> None:
        self._close_fds(client)
        self._deaf(client)
        client.connection.close()

    def _deaf(self, client: Client) -> None:
        if self.clients.pop(client.connection, None) is not None:
            self.selector.unregister(client.connection)

    def _abandon(self, client: Client) -> None:
        """Nobody asks any more: what runs for it ends, and keeps its number for a while."""
        if client.pid == 0:
            self._forget(client)
            return
        _kill_group(client.pid)
        if client.gone_since is None:
            client.gone_since = time.monotonic()
            self.selector.unregister(client.connection)

    def _look(self) -> None:
        """After any event: which commands have ended."""
        for client in list(self.clients.values()):
            if client.pid == 0:
                continue
            if not client.ended and _has_ended(client.pid):
                client.ended = True
                self._say(client, "E\n")
            gone = client.gone_since
            if gone is not None:
                _kill_group(client.pid)
                if client.ended and time.monotonic() > gone + _LINGER_S:
                    os.waitpid(client.pid, 0)
                    del self.clients[client.connection]
                    client.connection.close()
        known = {client.pid for client in self.clients.values()}
        if self.spare is not None:
            known.add(self.spare.pid)
        for pid in _children():
            if pid not in known and _has_ended(pid):
                os.waitpid(pid, 0)  # an orphan of a command's

    def _reap(self, client: Client) -> None:
        _, status, usage = os.wait4(client.pid, 0)
        cpu_us = int((usage.ru_utime + usage.ru_stime) * 1e6)
        self._say(client, f"S {status} {cpu_us} {usage.ru_maxrss}\n")
        self._forget(client)

    def end(self) -> None:
        """Nothing that was started outlives the server, wherever it went."""
        for client in self.clients.values():
            if client.pid != 0:
                _kill_group(client.pid)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            children = _children()
            if not children:
                break
            for pid in children:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
                if _has_ended(pid):
                    os.waitpid(pid, 0)
            time.sleep(0.001)

    # -------------------------------------------------------------- the fork's

    def _leave_to(self) -> None:
        """Nothing of the server stays in a fork but what it has imported."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.selector.close()
        self.listener.close()
        if self.spare is not None:
            self.spare.ours.close()
        for client in self.clients.values():
            client.connection.close()
        os.close(self.woken)
        os.close(self.wake)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds: list[int] = []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            whole = len(data) - len(data) % 4
            fds += struct.unpack(f"{whole // 4}i", data[:whole])
    return fds


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except OSError as error:
        return error.errno == errno.ECHILD


def _copy_pages() -> None:
    """What a fork shares with its parent is copied at its first write, page by page; nearly
    all of it will be written to, as reference counts are. Here in one go."""
    with open("/proc/self/maps") as file:
        lines = [line.split() for line in file]
    areas = []
    for words in lines:
        if words[1].startswith("rw") and words[1].endswith("p") and words[5:] in ([], ["[heap]"]):
            begin, _, end = words[0].partition("-")
            areas.append((int(begin, 16), int(end, 16)))
    if sum(end - begin for begin, end in areas) <= _POPULATE_BYTES:
        for first, last in areas:
            _libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), _POPULATE_WRITE)


def _children() -> list[int]:
    own = os.getpid()
    try:
        with open(f"/proc/self/task/{own}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:  # a kernel without that file
        return []


def become(job: Job, parent: int) -> None:
    """Makes this fork what an interpreter would be that had just been started."""
    _libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(127)  # it died before the line above
    os.setpgid(0, 0)
    null = os.open(os.devnull, os.O_RDWR)
    for source, target in ((null, 0), (job.fds[0], 1), (job.fds[1], 2)):
        os.dup2(source, target)
    for fd in (null, *job.fds):
        os.close(fd)
    kinds = (resource.RLIMIT_DATA, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE)
    for kind, value in zip(kinds, job.limits):  # noqa: B905 - Python 3.8 has no strict
        if 0 < value < _NO_LIMIT:
            hard = resource.getrlimit(kind)[1]
            most = value + (kind == resource.RLIMIT_CPU)
            hard = most if hard == resource.RLIM_INFINITY else min(hard, most)
            resource.setrlimit(kind, (min(value, hard), hard))
    os.chdir(job.cwd)
    os.environ.clear()
    for name, setting in job.environ.items():
        os.environb[name] = setting
    time.tzset()
    sys.argv[:] = [os.fsdecode(word) for word in job.argv]
    importlib.invalidate_caches()  # files may have come since
    if "numpy.random" in sys.modules:  # unlike random, it does not see a fork
        sys.modules["numpy.random"].seed()


def main() -> None:
    script = sys.argv[1]
    gc.disable()  # nearly all that is made from here to the first fork stays in use
    os.setpgid(0, 0)  # the interrupt of a terminal is for who asks
    _libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    for word in os.listdir("/proc/self/fd"):
        # A command has three, whatever we were given.
        if int(word) > 2 and word != os.environ.get(_SOCKET):
            try:
                os.close(int(word))
            except OSError:
                pass  # that of the listing
    # What is printed meanwhile is not for who asks.
    told, said = os.dup(1), os.memfd_create("printed")
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.close(said)
    _preload(script, sys.argv[2:], told)
    server = Server(script)
    os.write(told, server.name() + b"\n")
    os.close(told)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)
    # What has been imported stays in use: no fork looks through it for garbage.
    gc.collect()
    gc.freeze()
    gc.enable()
    parent = os.getpid()
    job = server.serve()
    if job is None:
        server.end()
        os._exit(0)  # at once: nothing is left to be told or written
    become(job, parent)
    del server
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
