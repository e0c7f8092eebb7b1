"""What workers print while they run: live, a line at a time, by worker.

Where pytest does not capture (``-s``, live logs), each worker's standard output
and error are pipes of its own, from which the controller prints lines between
those of the reporter. What a worker had printed before it died is in its pipe.
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import sys
import termios
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pytest

    from .terminal import Terminal

_PIPE_BYTES = 1 << 20  # the most that Linux grants without privilege
_MAX_LINE = 1 << 16  # bytes: what is longer is printed in parts

#: What a worker writes where a line has to end that may not have: when it begins,
#: and after each test. Only the worker knows what was printed before that.
_BREAK = b"\0qe-end-of-line\0\n"


class Ends(NamedTuple):
    """The pipes of one slot; both streams share one if both are one file."""

    out_r: int
    out_w: int
    err_r: int
    err_w: int


class Screen(NamedTuple):
    """What the controller prints to."""

    width: int
    markup: bool
    named: bool  # whether lines of workers begin with their names


def is_wanted(config: pytest.Config) -> bool:
    """Whether anything is printed past pytest's capturing."""
    from .logs import has_live_log

    return getattr(config.option, "capture", "no") != "fd" or has_live_log(config)


def prefix_of(slot: int) -> str:
    return f"[gw{slot}] "


def _is_one_file() -> bool:
    """Whether standard output and error are the same, as on a terminal."""
    try:
        return os.path.samestat(os.fstat(1), os.fstat(2))
    except OSError:
        return False


def _make_pipe() -> tuple[int, int]:
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    try:
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        pass  # the user's share is used up: a smaller one does
    return ends


def flush() -> None:
    """Empties the buffers of standard output and error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # closed, or somebody's own object


class Own:
    """A worker's pipes, which become its standard output and error."""

    def __init__(self, all_ends: list[Ends], slot: int) -> None:
        flush()
        for stream in (sys.stdout, sys.stderr):
            try:
                # A pipe would make it buffer, a terminal did not.
                stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
            except (AttributeError, ValueError):
                pass  # somebody's own object, or closed
        ends = Ends(*all_ends[slot])
        self.out, self.err = ends.out_w, ends.err_w
        self._fds = {ends.out_w, ends.err_w}
        os.dup2(ends.out_w, 1)
        os.dup2(ends.err_w, 2)
        for fd in {fd for each in all_ends for fd in each} - self._fds:
            try:
                os.close(fd)
            except OSError:
                pass  # a spawned worker has the ends for writing only
        for fd in self._fds:
            os.set_inheritable(fd, False)
        self.end_lines()

    def end_lines(self) -> None:
        """A test has ended, and so has its line."""
        flush()
        for fd in self._fds:
            try:
                os.write(fd, _BREAK)
            except OSError:
                pass  # the test has closed what is not its own


class _Stream:
    """One pipe, as the controller reads it."""

    def __init__(self, fd: int, slot: int, is_err: bool) -> None:
        self.fd = fd
        self.slot = slot
        self.is_err = is_err
        self.partial = b""

    def read(self) -> bytes:
        """What is in the pipe now; more may come while this reads."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self.fd, termios.FIONREAD, waiting)
        return os.read(self.fd, waiting[0]) if waiting[0] else b""

    def lines(self, data: bytes) -> list[bytes]:
        """Complete lines, with what was left over before."""
        *lines, self.partial = (self.partial + data).split(b"\n")
        mark = _BREAK[:-1]
        lines = [line.removesuffix(mark) for line in lines if line != mark]
        if len(self.partial) > _MAX_LINE:
            lines.append(self.partial)
            self.partial = b""
        return lines

    def rest(self) -> list[bytes]:
        """A line that was not ended."""
        rest, self.partial = self.partial, b""
        return [rest] if rest else []


class Live:
    """The controller's side. Until it is opened there is nothing to print."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.named = False
        self.ends: list[Ends] = []
        self._streams: dict[int, _Stream] = {}
        self._poll = select.poll()
        self._held: list[tuple[_Stream, list[bytes]]] | None = None

    def open(self, slots: int, named: bool) -> None:
        """Makes the pipes.

        Args:
            slots: how many workers there may be.
            named: whether lines begin with the worker's name.
        """
        self.named = named
        one = _is_one_file()
        try:
            for _ in range(slots):
                out = _make_pipe()
                self.ends.append(Ends(*out, *out))
                if not one:
                    self.ends[-1] = Ends(*out, *_make_pipe())
        except OSError as error:
            self.close()
            self.terminal.warn(f"what workers print has no names: {error.strerror}")
        for slot, ends in enumerate(self.ends):
            for fd in {ends.err_r, ends.out_r}:
                self._streams[fd] = _Stream(fd, slot, fd != ends.out_r)
                self._poll.register(fd, select.POLLIN)

    def set_inheritable(self, on: bool) -> None:
        """Lets spawned workers have the ends that they write to."""
        for ends in self.ends:
            os.set_inheritable(ends.out_w, on)
            os.set_inheritable(ends.err_w, on)

    def pump(self) -> None:
        """Prints what there is. What a worker printed before it sent an event
        is in its pipe when the event arrives."""
        for fd, _ in self._poll.poll(0) if self.ends else ():
            stream = self._streams[fd]
            self._print(stream, stream.lines(stream.read()))

    def complete(self, slot: int) -> None:
        """A worker is dead: its last line is ended."""
        for fd in dict.fromkeys(self.ends[slot][::2]) if self.ends else ():
            self._print(self._streams[fd], self._streams[fd].rest())

    def finish(self) -> None:
        """Prints what is left at the end of the run."""
        self.pump()
        for slot in range(len(self.ends)):
            self.complete(slot)

    def hold(self, on: bool) -> None:
        """While this is on nothing is printed, but kept: somebody else owns the
        terminal."""
        held, self._held = self._held, [] if on else None
        for stream, lines in held or ():
            self._print(stream, lines)

    def _print(self, stream: _Stream, lines: list[bytes]) -> None:
        if not lines:
            return
        if self._held is not None:
            self._held.append((stream, lines))
            return
        name = prefix_of(stream.slot).encode() if self.named else b""
        if name:
            # What goes back to the beginning of its line would hide the name.
            lines = [
                name + line[:-1].replace(b"\r", b"\r" + name) + line[-1:]
                for line in lines
            ]  # fmt: skip
        self.terminal.own_line()
        file: Any = self.terminal.file
        if stream.is_err:
            file.flush()
            file = sys.stderr
        data = b"\n".join(lines) + b"\n"
        binary = getattr(file, "buffer", None)
        if binary is None:
            file.write(data.decode("utf-8", "replace"))
        else:
            file.flush()
            binary.write(data)
        file.flush()

    def close(self) -> None:
        """Closes all pipes; nothing more is printed."""
        for fd in {fd for ends in self.ends for fd in ends}:
            os.close(fd)
        self.ends = []
