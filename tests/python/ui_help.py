"""`qe ui` as users start it, and what a browser would ask of it."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import pytest

from cli_help import QE, Cli, cli
from conftest import HUNG

__all__ = ["Ui", "cli", "run_pytest", "start_pytest", "ui"]

PYTEST = [
    sys.executable, "-m", "pytest", "-p", "pytest_qe.plugin", "-p", "no:cacheprovider",
    "--qe-parallel=2", "--qe-grace=1", "-q",
]  # fmt: skip


def run_pytest(*args: str) -> None:
    done = subprocess.run([*PYTEST, *args], capture_output=True, text=True, timeout=HUNG)
    assert done.returncode in (0, 1), done.stdout + done.stderr


def start_pytest(*args: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*PYTEST, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Events:
    """A stream of events that is read as it comes."""

    def __init__(self, ui: Ui) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", ui.port, timeout=HUNG)
        self.connection.request("GET", "/events")
        self.response = self.connection.getresponse()
        self.status = self.response.status

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.response.close()
        self.connection.close()

    def all(self) -> Iterator[tuple[str, Any]]:
        topic = ""
        for line in self.response:
            if line.startswith(b"event: "):
                topic = line[7:].decode().strip()
            elif line.startswith(b"data: "):
                yield topic, json.loads(line[6:])

    def wait(self, topic: str, found: Callable[[Any], Any]) -> Any:
        """What is true of a topic's value, once it is."""
        seen = []
        timer = threading.Timer(30, self.connection.close)
        timer.start()
        try:
            for name, value in self.all():
                if name == topic:
                    seen.append(value)
                    if result := found(value):
                        return result
        except (OSError, ValueError, AttributeError):
            pass  # it was closed while it was read
        finally:
            timer.cancel()
        raise AssertionError(f"{topic} never became so; the last: {seen[-1:]}")


class Ui:
    """A server that runs until the end of a test."""

    def __init__(self, *args: str) -> None:
        self.process = subprocess.Popen(
            [*QE, "ui", "--port=0", *args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        match = re.fullmatch(r"qe ui: (http://127\.0\.0\.1:(\d+)/)#token=([\w-]{32})\n", first)
        assert match is not None, first or self.process.communicate()[1]
        self.url, self.port, self.token = match[1], int(match[2]), match[3]

    def ask(
        self, path: str, method: str = "GET", body: str | None = None, **headers: str
    ) -> http.client.HTTPResponse:
        """An answer, whose body is in ``text``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HUNG)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, given)
        response = connection.getresponse()
        response.text = response.read().decode()  # type: ignore[attr-defined]
        connection.close()
        return response

    def get(self, path: str) -> Any:
        answer = self.ask(f"/api/{path}")
        assert answer.status == 200, answer.text  # type: ignore[attr-defined]
        return json.loads(answer.text)  # type: ignore[attr-defined]

    def refused(self, path: str) -> tuple[int, str]:
        answer = self.ask(f"/api/{path}")
        return answer.status, json.loads(answer.text)["error"]  # type: ignore[attr-defined]

    def test(self, id: str) -> Any:
        return self.get(f"test?id={urllib.parse.quote(id, safe='', errors='surrogatepass')}")

    def do(self, name: str, **asked: Any) -> tuple[int, Any]:
        answer = self.ask(f"/api/do/{name}", "POST", json.dumps(asked), X_QE_Token=self.token)
        return answer.status, json.loads(answer.text)  # type: ignore[attr-defined]

    def events(self) -> Events:
        return Events(self)

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """The exit status after a signal, and what was printed on standard error."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=HUNG)
        return self.process.returncode, errors


@pytest.fixture
def ui(cli: Cli) -> Iterator[Callable[..., Ui]]:
    """Starts servers; each must end cleanly at the end."""
    started: list[Ui] = []

    def start(*args: str) -> Ui:
        started.append(Ui(*args))
        return started[-1]

    yield start
    for one in started:
        if one.process.returncode is None:
            assert one.end() == (130, "")
