"""Whether a process that was noted down is still the one that runs under its number."""

from __future__ import annotations

from pathlib import Path


def boot() -> str:
    """The id of this boot; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def started(pid: int) -> int | None:
    """When a process started, in ticks since the boot; None: there is none, or it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = text.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def is_alive(pid: int, ticks: int | None, of_boot: str) -> bool:
    """Whether the process that had started at ``ticks`` of that boot still runs.

    Example:
        >>> import os
        >>> is_alive(os.getpid(), started(os.getpid()), boot())
        True
    """
    return of_boot == boot() and ticks is not None and started(pid) == ticks
