"""A real queue server, and nodes of a run that have no tests of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import HUNG, wait_for
from pytest_qe import _core, events, queues
from pytest_qe.keys import key

PROJECT = "shop"
WORD = "open-sesame"


class RedisServer:
    """redis-server on a free loopback port, with a folder of its own."""

    def __init__(self, folder: Path, *options: str, tls: bool = False) -> None:
        self.folder, self.options, self.tls = folder, options, tls
        folder.mkdir(exist_ok=True)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"rediss://localhost:{self.port}" if self.tls else f"redis://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> str:
        return str(self.folder / "cert.pem")

    def start(self) -> None:
        port = ["--port", str(self.port)]
        if self.tls:
            self._make_certificate()
            port = [
                "--port", "0", "--tls-port", str(self.port), "--tls-cert-file", "cert.pem",
                "--tls-key-file", "key.pem", "--tls-auth-clients", "no",
                "--tls-ca-cert-file", "cert.pem",
            ]  # fmt: skip
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", *port, "--save", "", *self.options],
            cwd=self.folder, stdout=(self.folder / "log").open("ab"), stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for(self._answers, f"redis-server: {self.folder / 'log'}")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def _make_certificate(self) -> None:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"],
            cwd=self.folder, check=True, capture_output=True,
        )  # fmt: skip

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def order(self, *words: str | bytes) -> str:
        """Sends a command, as anybody might; the reply as it comes."""
        parts = [word.encode() if isinstance(word, str) else word for word in words]
        data = b"*%d\r\n" % len(parts)
        data += b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        with socket.create_connection(("127.0.0.1", self.port), 10) as one:
            one.sendall(data)
            reply = one.recv(1 << 16).decode("utf-8", "replace")
        assert not reply.startswith("-"), reply
        return reply


def make_server(folder: Path, *options: str, tls: bool = False) -> RedisServer:
    for program in ("redis-server", *(["openssl"] if tls else [])):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (tools/setup.sh test)")
    server = RedisServer(folder, *options, tls=tls)
    server.start()
    return server


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = make_server(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


#: Ends an attempt with the status that is given for it: `sh -c SCRIPT sh PLACE STATUS...`.
_SCRIPT = """
place=$1; shift; n=0
until mkdir "$place.$n" 2>/dev/null; do n=$((n + 1)); done
while [ $n -gt 0 ]; do shift; n=$((n - 1)); done
echo "printed by ${place##*/}"
exit $1
"""


def share(
    server: RedisServer,
    run: str,
    *units: str,
    node: str = "a",
    project: str = PROJECT,
    maxfail: int = 0,
    **more: Any,
) -> None:
    """Is a node of a run, up to its end, with commands for tests.

    Args:
        units: NAME=STATUS[,STATUS...]: of each an exit status for each of its attempts.
        more: fields of each payload.
    """
    names = [unit.partition("=")[0] for unit in units]
    plan = _core.Plan()
    for number, unit in enumerate(units):
        name, _, statuses = unit.partition("=")
        place = server.folder / f"{run.replace('/', '-')}-{number}"
        argv = ["/bin/sh", "-c", _SCRIPT, "sh", str(place), *statuses.split(",")]
        plan.add_command(key(name), argv, item=number, retries=statuses.count(","))
    plan.seal()
    order = plan.places()
    places = {unit: place for place, (unit, _, _) in enumerate(order)}
    target = queues.target(server.url, run=run, project=project, root=Path.cwd(), environ={})
    queue = queues.open_queue(
        target, [key(names[unit]) for unit, _, _ in order], [scope for _, scope, _ in order],
        [flags for _, _, flags in order], [0] * len(order), workers=2, maxfail=maxfail, name=node,
    )  # fmt: skip
    queue.join()
    session, _ = _core.start(plan, 2, commands=True, source=queue.source, exact_backoff=True)
    assert session is not None
    queue.start()
    try:
        for event in _events(session):
            end = events.Finish(*event)
            again, outcome = False, end.outcome
            if not end.settled:
                again, outcome = session.settle(end.unit, end.attempt, end.outcome, True)
            failed = not again and outcome != _core.PASSED and outcome != _core.FLAKY
            bad = end.outcome != _core.PASSED
            text = (end.location or b"").decode()
            fields: dict[str, Any] = {
                "outcome": end.outcome, "start": time.time(), "duration": end.duration,
                "worker": end.slot, "node": node, "peak": end.peak_bytes,
                "message": f"{names[end.unit]} ended badly" if bad else None,
                "failures": [("call", f"exit status of {names[end.unit]}")] if bad else [],
                "output": [("stdout", text)] if bad else [],
            }  # fmt: skip
            payload = queues.pack(**{**fields, **more})
            queue.tell(places[end.unit], end.attempt, outcome, again, failed, payload)
    finally:
        session.close()
        queue.finish()


def _events(session: _core.Session) -> Iterator[tuple[Any, ...]]:
    until = time.monotonic() + HUNG
    while time.monotonic() < until:
        for event in session.events(100):
            if event[0] == _core.EV_DONE:
                return
            if event[0] == _core.EV_FINISH:
                yield event
    raise AssertionError("the session has no end")


class Nodes:
    """Nodes of one run of a project `shop`, each a process with a group of its own.

    Args:
        folder: the project's; what they print, and what ran, is noted there.
    """

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.folder, self.server = folder, server
        self.run = "one"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def spawn(self, name: str, *argv: str, **env: str) -> subprocess.Popen[bytes]:
        """Starts a node; it finds its name in the variable NODE."""
        with open(self.folder / f"out-{name}.txt", "wb") as out:
            self.processes[name] = subprocess.Popen(
                argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, env={**os.environ, "NODE": name, **env},
                start_new_session=True,
            )  # fmt: skip
        return self.processes[name]

    def wait(self, *names: str) -> list[int]:
        """Exit statuses, of all nodes where none are named."""
        return [self.processes[name].wait(HUNG) for name in names or self.processes]

    def output(self, name: str) -> str:
        return (self.folder / f"out-{name}.txt").read_text("utf-8", "replace")

    def result(self, name: str) -> dict[str, Any]:
        """What `--json=NAME.json` of a node says."""
        found: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return found

    def ran(self) -> Counter[str]:
        """How often each thing began, by the `ran-NAME.N` that it leaves."""
        return Counter(path.name[4:].rpartition(".")[0] for path in self.folder.glob("ran-*"))

    def began(self, at_least: int) -> None:
        wait_for(lambda: sum(self.ran().values()) >= at_least, f"{at_least} of it to begin")

    def queue(self, command: str, *words: str) -> tuple[int, str]:
        """Exit status and output of `qe queue COMMAND`."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest_qe", "queue", command, *words,
             f"--queue={self.server.url}", "--project=shop"],
            cwd=self.folder, capture_output=True, text=True, timeout=HUNG, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def report(self, *words: str, run: str | None = None) -> tuple[int, dict[str, Any], str]:
        """Exit status, JSON and output of `qe queue report`."""
        path = self.folder / "whole.json"
        path.unlink(missing_ok=True)
        status, text = self.queue("report", run or self.run, f"--json={path}", *words)
        return status, json.loads(path.read_text()) if path.exists() else {}, text

    def close(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
