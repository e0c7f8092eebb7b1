"""Whether forking this process is safe, and if not, because of what.

Only the forking thread lives on in a fork: locks that others hold stay locked.
What `_SHARED` names is shared by a fork and breaks silently when both sides use
it. Nobody but its parent can wait for a process. SQLite forbids a connection
that was opened before a fork. What is known to be harmless all the same is in
the tables of `compat.py`.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import types

import pytest

from . import compat

#: The descriptors that were open before any conftest was imported.
BEFORE = pytest.StashKey[dict[int, str]]()

_LEVELS = 6  # of references between a descriptor and its owner

#: Descriptors, by the beginning of what they are, and what goes wrong.
_SHARED = {
    "socket:": "two processes would read each other's data",
    "anon_inode:[eventpoll]": "an event loop would see the other's changes",
    "anon_inode:[io_uring]": "both would submit to the same rings",
    "anon_inode:inotify": "one would take the other's events",
    "anon_inode:[fanotify]": "one would take the other's events",
    "anon_inode:[signalfd]": "it would tell of its reader's signals, not of its owner's",
    "anon_inode:[timerfd]": "one would take the other's expiry",
    "/dev/nvidia": "a GPU's context belongs to one process",
    "/dev/dri/": "a GPU's context belongs to one process",
    "/dev/kfd": "a GPU's context belongs to one process",
}

_SQLITE = b"SQLite format 3\0"


def open_descriptors() -> dict[int, str]:
    """The descriptors of this process and what each is."""
    found = {}
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return {}
    for name in names:
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    return found


def _module_of(thread: threading.Thread) -> str:
    target = getattr(thread, "_target", None)
    if target is not None:
        return str(getattr(target, "__module__", "?"))
    return type(thread).__module__


def live_threads() -> str | None:
    """A thread beside this one that a fork would lose."""
    main = threading.main_thread()
    others = [t for t in threading.enumerate() if t is not main and t.is_alive()]
    for thread in others:
        module = _module_of(thread)
        if module.split(".")[0] not in compat.HARMLESS_THREADS:
            return f"thread {thread.name!r} of {module} is alive"
    return _native_threads({t.native_id for t in (main, *others)})


def _native_threads(known: set[int | None]) -> str | None:
    """Threads that Python has not made, beyond those of harmless libraries."""
    names = []
    try:
        for task in os.listdir("/proc/self/task"):
            if int(task) not in known:
                with open(f"/proc/self/task/{task}/comm", encoding="utf-8") as file:
                    names.append(file.read().strip())
        with open("/proc/self/comm", encoding="utf-8") as file:
            own = (file.read().strip(), os.path.basename(sys.executable)[:15])
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            mapped = {line[line.index("/") :].strip() for line in file if "/" in line}
    except OSError:
        return None  # one that has ended meanwhile, or no /proc
    # A harmless pool has a thread a processor, and gives them no names.
    pools = [m for m in mapped if any(word in m for word in compat.HARMLESS_LIBRARIES)]
    spare = len(pools) * ((os.cpu_count() or 1) - 1)
    if len(names) <= spare and all(name in own for name in names):
        return None
    some = ", ".join(sorted({name for name in names if name not in own})[:3])
    words = f" ({some})" if some else ""
    return f"{len(names)} native thread(s){words} of an imported library are alive"


def _children() -> str | None:
    """A living child: waiting for it works in its parent alone."""
    pids: list[str] = []
    try:
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/children", encoding="ascii") as file:
                pids += file.read().split()
    except OSError:
        return None  # a kernel that does not list them
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                state = file.read().rpartition(")")[2].split()[0]
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                command = file.read().replace("\0", " ").strip()
        except OSError:
            continue  # it has just ended
        if state not in "ZX" and not any(w in command for w in compat.HARMLESS_CHILDREN):
            name = os.path.basename(command.split(" ", 1)[0])
            return f"child process {pid} ({name}) is alive"
    return None


def _objects(kinds: tuple[type, ...]) -> list[object]:
    """The Python objects of these types."""
    found = {}
    for holder in gc.get_objects():
        # An epoll instance is not among the collector's objects; its holder is.
        for thing in gc.get_referents(holder):
            if type(thing) in kinds or isinstance(thing, kinds):
                found[id(thing)] = thing
    return list(found.values())


def _descriptor_objects(fd: int) -> list[object]:
    """The Python objects of this descriptor: sockets and epoll instances."""
    import select
    import socket

    found = []
    for thing in _objects((socket.socket, select.epoll)):
        try:
            if thing.fileno() == fd:  # type: ignore[attr-defined]
                found.append(thing)
        except Exception:
            pass  # closed, or a subclass that does as it likes
    return found


def _owner(level: list[object]) -> str:
    """The module that holds these objects, as far as Python knows: that of the
    nearest class or global that is not of the standard library."""
    names = {id(vars(m)): n for n, m in list(sys.modules.items()) if hasattr(m, "__dict__")}
    if not level:
        return "an unknown module"
    seen = {id(thing) for thing in level}
    for _ in range(_LEVELS):
        holders = gc.get_referrers(*level)
        seen.update((id(level), id(seen), id(names)))
        level = []
        for holder in holders:
            if id(holder) in seen or isinstance(holder, types.FrameType):
                continue
            seen.add(id(holder))
            name = names.get(id(holder), type(holder).__module__)
            if name.split(".")[0] not in sys.stdlib_module_names:
                return name
            level.append(holder)
        if not level:
            break
    return "a Python object"


def _database(fd: int, target: str) -> str | None:
    """Whose SQLite database this is, None if it is none, or harmless."""
    try:
        # Not opened anew: closing it would drop the locks that SQLite holds.
        if not target.startswith("/") or os.pread(fd, len(_SQLITE), 0) != _SQLITE:
            return None
    except OSError:
        return None
    import sqlite3

    owners = [_owner([thing]) for thing in _objects((sqlite3.Connection,))]
    left = [o for o in owners if o.split(".")[0] not in compat.HARMLESS_DATABASES]
    return None if owners and not left else (left or ["an unknown module"])[0]


def new_descriptor(before: dict[int, str], how: str) -> str | None:
    """A descriptor that a fork would break and that was not open before."""
    # A socket's name is its own: under another number it is no new one. While pytest
    # captures, standard output has such another number.
    known = {target for target in before.values() if target.startswith("socket:")}
    for fd, target in open_descriptors().items():
        if before.get(fd) == target or target in known:
            continue
        if target.startswith(tuple(_SHARED)):
            owner = _owner(_descriptor_objects(fd))
            if owner.split(".")[0] not in compat.HARMLESS_THREADS:
                return f"descriptor {fd} ({target}) was opened {how} by {owner}"
        elif (found := _database(fd, target)) is not None:
            return f"database {target} was opened {how} by {found}"
    return None


def choose(asked: str, before: dict[int, str]) -> tuple[str, str]:
    """(``fork`` or ``spawn``, why).

    Args:
        asked: the option: auto, fork or spawn.
        before: descriptors that were open before collection.
    """
    if asked != "auto":
        return asked, "asked for"
    reason = live_threads() or new_descriptor(before, "during collection") or _children()
    if reason is not None:
        return "spawn", reason
    return "fork", "no live threads or shared descriptors"
