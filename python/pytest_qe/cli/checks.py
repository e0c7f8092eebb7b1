"""What ``qe doctor`` looks at; each look survives what it finds."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .. import frameworks, places

_VERSION_S = 20.0  # a tool that says no version by then has none
_LITTLE_ROOM = 256 << 20  # bytes in the folder for temporary files
_FEW_FILES = 1024
_FEW_PROCESSES = 256
_OLDEST_PYTEST = (8,)
_OLDEST_NODE = (20,)


@dataclass(frozen=True)
class Check:
    """What was seen.

    Attributes:
        state: "ok"; "none": it is not here, and need not be; "poor": less than is good;
            "broken": qe needs it.
        says: one line.
        remedy: what to do; "" where there is nothing to do.
    """

    name: str
    state: str
    says: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def checks() -> list[Check]:
    """All of them, in an order for people."""
    looks: list[Callable[[], Check]] = [_python, _core, _pytest, _plugin, _node]
    looks += [partial(_tool, name) for name in frameworks.names() if name not in _SEEN]
    looks += [
        _processors, _quota, _memory, _processes, _files, _pressure, _memfd, _pidfd, _userns,
        _temporary, _history,
    ]  # fmt: skip
    return [_looked(look) for look in looks]


_SEEN = ("pytest", "node", "command")


def _looked(look: Callable[[], Check]) -> Check:
    try:
        return look()
    except Exception as error:  # one look that fails hides no other
        name = getattr(look, "__name__", "check").strip("_")
        return Check(name, "poor", f"cannot be told: {type(error).__name__}: {error}")


# --------------------------------------------------------------------- tools


def _python() -> Check:
    says = f"{platform.python_version()} ({sys.implementation.name}), {sys.executable}"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return Check("python", "broken", says, "qe does not know free-threaded builds")
    return Check("python", "ok", says)


def _core() -> Check:
    try:
        from .. import _core
    except ImportError as error:
        remedy = "it needs Linux and CPython: pip install --force-reinstall pytest-qe"
        return Check("core", "broken", str(error), remedy)
    return Check("core", "ok", f"qe {_core.VERSION}, {platform.system()} {platform.release()}")


def _said(argv: list[str]) -> str:
    """The first line that a program prints; "" where it does not end well."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=_VERSION_S, start_new_session=True, check=False,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "NO_COLOR": "1"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = done.stdout.decode("utf-8", "replace").strip()
    return text.split("\n")[0] if done.returncode == 0 else ""


def _number(text: str) -> tuple[int, ...]:
    match = re.search(r"\d+(?:\.\d+)+|\d+", text)
    return tuple(map(int, match[0].split("."))) if match is not None else ()


def _found(name: str) -> tuple[str | None, str]:
    """Where a framework's tool is, and what it says of its version."""
    path = frameworks.find_tool(frameworks.lookup(name), os.getcwd(), os.environ)
    if path is None:
        return None, ""
    return path, _said([path, "version" if name == "go" else "--version"])


def _tool(name: str) -> Check:
    path, version = _found(name)
    if path is None:
        return Check(name, "none", "not found", frameworks.lookup(name).install)
    if not version:
        return Check(name, "poor", f"{path} does not say its version", "does it start?")
    return Check(name, "ok", f"{version}, {path}")


def _pytest() -> Check:
    path, version = _found("pytest")
    install = "pip install 'pytest>=8'"
    if path is None:
        return Check("pytest", "poor", "not found here or in PATH", install)
    if not version:
        return Check("pytest", "poor", f"{path} does not start", install)
    if _number(version) < _OLDEST_PYTEST:
        return Check("pytest", "broken", f"{version}, {path}", f"the plugin needs 8: {install}")
    return Check("pytest", "ok", f"{version}, {path}")


def _plugin() -> Check:
    """Whether the environment of the project's pytest has the plugin."""
    from ..agents.warm import interpreter_of

    path = frameworks.find_tool(frameworks.lookup("pytest"), os.getcwd(), os.environ)
    python = interpreter_of(path) if path is not None else None
    if python is None:
        return Check("plugin", "none", "no pytest that it could be a plugin of")
    seen = "import importlib.metadata as m; print(m.version('pytest-qe'))"
    version = _said([python, "-c", seen])
    if not version:
        remedy = f"for parallel runs and hunts with causes: {python} -m pip install pytest-qe"
        return Check("plugin", "poor", f"not in the environment of {path}", remedy)
    return Check("plugin", "ok", f"pytest-qe {version}, in the environment of {path}")


def _node() -> Check:
    path, version = _found("node")
    entry = frameworks.lookup("node")
    if path is None:
        return Check("node", "none", "not found", f"for tests in JavaScript: {entry.install}")
    if _number(version) < _OLDEST_NODE:
        return Check("node", "poor", f"{version}, {path}", f"20 is the oldest: {entry.install}")
    return Check("node", "ok", f"{version}, {path}")


# ------------------------------------------------------------------- machine


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if count >= 10 or unit == "bytes" else f"{count:.1f} {unit}"


def _processors() -> Check:
    usable = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    says = f"{usable} of {os.cpu_count()} may be used, load {load:.2f}"
    if load > 2 * usable:
        return Check("processors", "poor", says, "busy: time limits may be reached sooner")
    return Check("processors", "ok", says)


def _groups() -> Iterator[Path]:
    """The control group of this process and those above it."""
    path = Path("/sys/fs/cgroup")
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            own = path / line[3:].lstrip("/")
            for folder in (own, *own.parents):
                if folder.is_relative_to(path):
                    yield folder


def _limits(name: str) -> Iterator[tuple[Path, str]]:
    for folder in _groups():
        try:
            text = (folder / name).read_text().strip()
        except OSError:
            continue
        if not text.startswith("max"):
            yield folder, text


def _quota() -> Check:
    shares = []
    for folder, text in _limits("cpu.max"):
        quota, period = text.split()
        shares.append((int(quota) / int(period), folder))
    if not shares:
        return Check("cpu quota", "ok", "none")
    share, folder = min(shares)
    return Check("cpu quota", "ok", f"{share:.2f} processors, by {folder}")


def _memory() -> Check:
    fields = dict(
        re.findall(r"^(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    )
    free = int(fields["MemAvailable"]) << 10
    says = f"{_size(free)} of {_size(int(fields['MemTotal']) << 10)} available"
    for folder, text in _limits("memory.max"):
        used = int((folder / "memory.current").read_text())
        free = min(free, int(text) - used)
        says += f"; {_size(used)} of {_size(int(text))} used in {folder}"
    if free < _LITTLE_ROOM:
        return Check("memory", "poor", says, "run fewer at once: --max-concurrent, --adaptive")
    return Check("memory", "ok", says)


def _limit(value: int) -> str:
    return "no limit" if value == resource.RLIM_INFINITY else str(value)


def _processes() -> Check:
    soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    says = f"ulimit -u: {_limit(soft)}"
    few = 0 <= soft < _FEW_PROCESSES
    for folder, text in _limits("pids.max"):
        says += f"; {text} in {folder}"
        few |= int(text) < _FEW_PROCESSES
    remedy = "raise it, or run fewer at once: --max-concurrent" if few else ""
    return Check("processes", "poor" if few else "ok", says, remedy)


def _files() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    says = f"ulimit -n: {_limit(soft)}, may be raised to {_limit(hard)}"
    if 0 <= soft < _FEW_FILES:
        return Check("descriptors", "poor", says, f"ulimit -n {_FEW_FILES}")
    return Check("descriptors", "ok", says)


def _pressure() -> Check:
    try:
        text = Path("/proc/pressure/cpu").read_text()
    except OSError as error:
        says = f"/proc/pressure: {error.strerror}"
        return Check("pressure", "poor", says, "--adaptive goes by the load instead")
    match = re.search(r"some avg10=(\S+)", text)
    return Check("pressure", "ok", f"waiting for a processor: {match[1] if match else '?'} %")


def _memfd() -> Check:
    if not hasattr(os, "memfd_create"):
        return Check("memfd", "broken", "this Python has no os.memfd_create", "use Linux")
    os.close(os.memfd_create("qe-doctor"))
    return Check("memfd", "ok", "can be made")


def _pidfd() -> Check:
    if not hasattr(os, "pidfd_open"):
        return Check("pidfd", "poor", "not known here", "a thread waits for each process instead")
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        remedy = "a thread waits for each process instead"
        return Check("pidfd", "poor", f"refused: {error.strerror}", remedy)
    return Check("pidfd", "ok", "can be opened")


def _userns() -> Check:
    """Hunts take the network away in a user namespace; tried in a child of its own."""
    pid = os.fork()
    if pid == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        os._exit(0 if libc.unshare(0x10000000 | 0x40000000) == 0 else 1)
    _, status = os.waitpid(pid, 0)
    if status == 0:
        return Check("namespaces", "ok", "user and network namespaces can be made")
    return Check(
        "namespaces", "poor", "no user namespace can be made",
        "hunts cannot take the network away from tests: sysctl user.max_user_namespaces",
    )  # fmt: skip


# ------------------------------------------------------------------- folders


def _temporary() -> Check:
    try:
        folder = tempfile.gettempdir()
        with tempfile.TemporaryDirectory(prefix="qe-doctor-"):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        remedy = "set TMPDIR to a folder that can be written"
        return Check("temporary", "broken", f"{error.filename}: {error.strerror}", remedy)
    says = f"{folder}, {_size(free)} free"
    if free < _LITTLE_ROOM:
        return Check("temporary", "poor", says, "make room there, or set TMPDIR")
    return Check("temporary", "ok", says)


def _history() -> Check:
    from .. import _core
    from ..errors import QeError

    path = places.find_history()
    if path is None:
        folder = places.history_of_project().parent
        while not folder.exists():
            folder = folder.parent
        if os.access(folder, os.W_OK):
            return Check("history", "none", "there is none yet: runs make .qe/history.db")
        return Check("history", "poor", f"{folder} cannot be written", "nothing is remembered")
    remedy = f"move it away: mv {path} {path}.broken"
    try:
        database = _core.History(os.fsencode(path))
        try:
            keys = len(database.keys(b"*"))
            tests = len(database.names(b""))
        finally:
            database.close()
    except (QeError, OSError) as error:
        return Check("history", "broken", f"{path}: {error}", remedy)
    return Check("history", "ok", f"{path}, {tests} tests, {keys} keys")


def checks_of_layers(config: str | None, environment: str | None) -> list[Check]:
    """What the layers of a project need: the configuration, tools, services, and room.

    Args:
        config: its file; None: the one that is found.
        environment: whose overrides are laid over it.
    """
    import asyncio

    from ..orchestration import TestOrchestratorAgent

    health = asyncio.run(TestOrchestratorAgent(config).health_check(environment))
    room = health["resources"]
    found = [
        Check("configuration", "broken", line, "correct it there") for line in health["config"]
    ]
    for name, missing in health["layers"].items():
        found += [Check(f"layer {name}", "broken", line) for line in missing]
        if not missing:
            found.append(Check(f"layer {name}", "ok", "all that it executes is here"))
    for name, one in health["services"].items():
        if one["there"]:
            found.append(Check(f"service {name}", "ok", "is there"))
        elif one["start"]:
            says = "is not there now: a layer that needs it starts it"
            found.append(Check(f"service {name}", "none", says))
        else:
            found.append(Check(f"service {name}", "broken", "is not there", "start it by hand"))
    memory = f"{room['memory'] / (1 << 30):.1f} GiB"
    found.append(Check("machine", "ok", f"{room['cpu']:g} processors, {memory} of memory"))
    found.append(Check("limits", "ok", health["limits"]))
    return found
