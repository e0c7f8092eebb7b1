"""Whether forking this process is safe, and if not, because of what.

Only the forking thread lives on in a fork: locks that others hold stay locked.
Sockets, epoll and io_uring instances and GPU devices are shared by a fork and
break silently when both sides use them.
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

_UNSAFE = ("socket:", "anon_inode:[eventpoll]", "anon_inode:[io_uring]",
           "/dev/nvidia", "/dev/dri/", "/dev/kfd")  # fmt: skip


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


def _threads() -> str | None:
    main = threading.main_thread()
    others = [t for t in threading.enumerate() if t is not main and t.is_alive()]
    for thread in others:
        module = _module_of(thread)
        if module.split(".")[0] not in compat.HARMLESS_THREADS:
            return f"thread {thread.name!r} of {module} is alive"
    try:
        native = len(os.listdir("/proc/self/task")) - 1 - len(others)
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            maps = file.read()
    except OSError:
        return None
    if native > 0 and not any(name in maps for name in compat.HARMLESS_LIBRARIES):
        return f"{native} native thread(s) of an imported library are alive"
    return None


def _descriptor_objects(fd: int) -> list[object]:
    """The Python objects of this descriptor: sockets and epoll instances."""
    import select
    import socket

    kinds = (socket.socket, select.epoll)
    found = {}
    for holder in gc.get_objects():
        # An epoll instance is not among the collector's objects; its holder is.
        for thing in gc.get_referents(holder):
            if type(thing) in kinds or isinstance(thing, kinds):
                try:
                    if thing.fileno() == fd:
                        found[id(thing)] = thing
                except Exception:
                    pass  # closed, or a subclass that does as it likes
    return list(found.values())


def _owner(fd: int) -> str:
    """The module that holds the descriptor, as far as Python knows: that of
    the nearest class or global that is not of the standard library."""
    names = {id(vars(m)): n for n, m in list(sys.modules.items()) if hasattr(m, "__dict__")}
    level = _descriptor_objects(fd)
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


def _descriptors(before: dict[int, str]) -> str | None:
    for fd, target in open_descriptors().items():
        if before.get(fd) == target or not target.startswith(_UNSAFE):
            continue
        owner = _owner(fd)
        if owner.split(".")[0] in compat.HARMLESS_THREADS:
            continue
        return f"descriptor {fd} ({target}) was opened during collection by {owner}"
    return None


def choose(asked: str, before: dict[int, str]) -> tuple[str, str]:
    """(``fork`` or ``spawn``, why).

    Args:
        asked: the option: auto, fork or spawn.
        before: descriptors that were open before collection.
    """
    if asked != "auto":
        return asked, "asked for"
    reason = _threads() or _descriptors(before)
    if reason is not None:
        return "spawn", reason
    return "fork", "no live threads or shared descriptors"
