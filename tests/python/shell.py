"""An interactive shell with job control, on a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path


class Shell:
    """Types what a user types, and waits for what a user waits for.

    Args:
        path: the current folder.
        wait_for: waits until a condition holds, at most for some seconds.
    """

    def __init__(self, path: Path, wait_for: Callable[..., None]) -> None:
        self.wait_for = wait_for
        self.seen = ""
        self.fd, other = pty.openpty()
        self.process = subprocess.Popen(
            ["sh", "-i"], cwd=path, stdin=other, stdout=other, stderr=other,
            env={**os.environ, "PS1": "$ ", "ENV": "", "TERM": "dumb"},
            start_new_session=True, preexec_fn=self._take_terminal,
        )  # fmt: skip
        os.close(other)

    @staticmethod
    def _take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def run(self, *args: str) -> None:
        after = [] if args[-1] == "&" else ["; echo status=$?"]
        self.type(" ".join([sys.executable, "-m", "pytest", *args, *after]) + "\n")

    def wait(self, text: str) -> None:
        """Waits until this is shown, after all that was waited for before."""

        def shown() -> bool:
            if select.select([self.fd], [], [], 0)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode("utf-8", "replace")
                except OSError:
                    pass
            return text in self.seen

        self.wait_for(shown, f"{text!r}, saw: {self.seen}", 60)
        self.seen = self.seen.split(text, 1)[1]

    def close(self) -> None:
        os.close(self.fd)
        self.process.kill()
        self.process.wait()
