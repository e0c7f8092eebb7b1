"""Whether forking this process is safe, and if not, because of what.

Only the forking thread lives on in a fork: locks that others hold stay locked.
Sockets, epoll and io_uring instances and GPU devices are shared by a fork and
break silently when both sides use them.
"""

from __future__ import annotations

import os
import sys
import threading

from . import compat

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


def _owner(fd: int) -> str:
    """The module that holds the socket, as far as Python knows."""
    import gc
    import socket

    for thing in gc.get_objects():
        try:
            if not isinstance(thing, socket.socket) or thing.fileno() != fd:
                continue
        except Exception:
            continue
        for name, module in list(sys.modules.items()):
            if any(value is thing for value in vars(module).values()):
                return name
        for holder in gc.get_referrers(thing):
            if isinstance(holder, dict):
                for owner in gc.get_referrers(holder):
                    if getattr(owner, "__dict__", None) is holder:
                        return type(owner).__module__
        return "a Python object"
    return "an unknown module"


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
