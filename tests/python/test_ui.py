"""`qe ui` serves this machine's browser, and nobody else."""

from __future__ import annotations

import contextlib
import http.client
import json
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable

import pytest

from cli_help import QE, Cli
from conftest import HUNG
from ui_help import Ui, cli, ui

__all__ = ["cli", "ui"]

Start = Callable[..., Ui]
PATHS = ("/", "/live.js", "/api/about", "/api/runs", "/events", "/nothing")


def test_it_serves_a_page_that_runs_no_script_but_its_own(ui: Start) -> None:
    server = ui()
    for path, kind in (
        ("/", "text/html"), ("/live.js", "text/javascript"), ("/live.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ):  # fmt: skip
        answer = server.ask(path)
        assert answer.status == 200
        assert str(answer.getheader("content-type")).startswith(kind)
        policy = str(answer.getheader("content-security-policy"))
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "script-src 'self'" in policy and "unsafe" not in policy
        assert answer.getheader("cache-control") == "no-store"
        assert answer.getheader("x-content-type-options") == "nosniff"
        assert answer.getheader("access-control-allow-origin") is None
    page = server.ask("/").text  # type: ignore[attr-defined]
    assert server.token not in page
    assert server.ask("/../ui.py").status == 404
    assert server.ask("/%2e%2e/report.html").status == 404


@pytest.fixture
def one(ui: Start) -> Ui:
    return ui()


def test_other_hosts_and_other_sites_are_refused(one: Ui) -> None:
    ours = f"127.0.0.1:{one.port}"
    for path in PATHS:
        for host in (
            "evil.example", f"evil.example:{one.port}", "127.0.0.1", f"127.0.0.1:{one.port + 1}",
            f"127.0.0.1.evil.example:{one.port}", f"[::2]:{one.port}", f"0.0.0.0:{one.port}", "",
            f"10.0.0.1:{one.port}", f"127.0.0.1:{one.port}:{one.port}", f"@{ours}",
        ):  # fmt: skip
            assert one.ask(path, Host=host).status in (400, 421), (path, host)
        for origin in (
            "http://evil.example", "null", f"https://{ours}", f"http://localhost:{one.port}",
            f"http://127.0.0.1:{one.port + 1}", f"http://{ours}/", "",
        ):  # fmt: skip
            assert one.ask(path, Origin=origin).status == 403, (path, origin)
        for site in ("cross-site", "same-site", "", "anything"):
            assert one.ask(path, Sec_Fetch_Site=site).status == 403, (path, site)
    for host in (ours, f"localhost:{one.port}", f"LOCALHOST:{one.port}", f"[::1]:{one.port}"):
        assert one.ask("/api/about", Host=host, Sec_Fetch_Site="none").status == 200
    allowed = one.ask("/api/about", Origin=f"http://{ours}", Sec_Fetch_Site="same-origin")
    assert allowed.status == 200


def test_two_hosts_are_refused(one: Ui) -> None:
    with socket.create_connection(("127.0.0.1", one.port), timeout=30) as connection:
        host = f"Host: 127.0.0.1:{one.port}\r\n"
        connection.sendall(f"GET /api/runs HTTP/1.1\r\n{host}{host}\r\n".encode())
        answer = connection.recv(4096)
    assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))


def test_actions_need_the_token(one: Ui) -> None:
    wrong = one.token[:-1] + ("a" if one.token[-1] != "a" else "b")
    for given in ({}, {"X_QE_Token": wrong}, {"X_QE_Token": ""}, {"X_QE_Token": "é"},
                  {"Cookie": f"token={one.token}"}):  # fmt: skip
        answer = one.ask("/api/do/check", "POST", "{}", **given)
        assert answer.status == 403, given
        assert "token" in answer.text  # type: ignore[attr-defined]
    assert one.ask(f"/api/do/check?token={one.token}", "POST", "{}").status == 403
    assert one.do("check") == (200, {})
    assert one.do("nothing")[0] == 404
    assert one.ask("/api/do/check", X_QE_Token=one.token).status == 405
    assert one.ask("/api/do/check", "DELETE", X_QE_Token=one.token).status == 405
    foreign = {"X_QE_Token": one.token, "Origin": "http://evil.example"}
    assert one.ask("/api/do/check", "POST", "{}", **foreign).status == 403


def test_what_makes_no_sense_is_one_line(one: Ui) -> None:
    for body in ("", "[]", "{", "[" * 60_000):
        answer = one.ask("/api/do/check", "POST", body, X_QE_Token=one.token)
        assert answer.status == 400, body[:9]
    large = one.ask("/api/do/check", "POST", "x" * 70_000, X_QE_Token=one.token)
    assert large.status == 413
    for path in ("run", "run?id=x", "run?id=-1", "run?id=9999999999999999", "test", "test?id=",
                 "test?id=%00", "runs?most=x"):  # fmt: skip
        status, why = one.refused(path)
        assert status == 400 and "takes a" in why, path
    assert one.refused("run?id=1") == (
        404,
        f"{one.get('about')['history']}: there is no history yet",
    )
    assert one.refused("log?id=../../x")[0] == 404
    assert one.do("cancel", id="x") == (404, {"error": "there is no background run 'x'"})
    assert one.do("dismiss", id="../history")[0] == 404
    for odd in ("\udc80", "a\0b", "x" * 200):
        assert one.do("cancel", id=odd)[0] == 404, odd
    assert one.do("dismiss")[0] == 400
    status, why = one.do("release", test="a")
    assert status == 409 and "--quarantine=FILE" in why["error"]
    assert not _made()


def _made() -> list[str]:
    """What looking has made: nothing."""
    from pathlib import Path

    return [path.name for path in Path(".qe").iterdir()]


def test_what_asks_for_no_more_than_a_head_gets_its_end(one: Ui) -> None:
    for path in ("/", "/api/about", "/events"):
        answer = one.ask(path, "HEAD")
        assert answer.status == 200 and answer.text == ""  # type: ignore[attr-defined]


def test_it_serves_where_nothing_can_be_printed(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    words = shlex.join([*QE, "ui", f"--port={port}"])
    closed = ["sh", "-c", f"exec {words} >&-"]
    process = subprocess.Popen(closed, stderr=subprocess.PIPE, text=True)
    try:
        while True:
            assert process.poll() is None, process.communicate()[1]
            with contextlib.suppress(ConnectionRefusedError):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HUNG)
                connection.request("GET", "/api/about")
                assert connection.getresponse().status == 200
                break
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=HUNG)[1] == ""
        assert process.returncode == 130
    finally:
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_whoever_listens(ui: Start, number: signal.Signals) -> None:
    server = ui()
    with server.events() as first, server.events() as second:
        first.wait("live", lambda runs: runs == [])
        second.wait("machine", lambda machine: machine["memory"] > machine["used"] > 0)
        begun = time.monotonic()
        assert server.end(number) == (128 + number, "")
        assert time.monotonic() - begun < 10
        assert first.response.read() is not None  # its end


def test_listeners_are_bounded(ui: Start) -> None:
    server = ui()
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(server.events()) for _ in range(32)]
        assert all(stream.status == 200 for stream in streams)
        for stream in streams:
            stream.wait("history", lambda state: state["state"] == "absent")
        with server.events() as refused:
            assert refused.status == 503
            assert json.loads(refused.response.read()) == {"error": "too many pages are open"}
        streams[0].connection.close()
        streams[0].response.close()
        deadline = time.monotonic() + 30
        status = 503
        while status == 503 and time.monotonic() < deadline:
            with server.events() as again:
                status = again.status
        assert status == 200
        assert server.get("about")["version"]


def test_a_port_that_is_taken_and_a_host_that_is_not_ours(cli: Cli, ui: Start) -> None:
    server = ui()
    said = cli.refused("ui", f"--port={server.port}", status=3)
    assert said == f"--port={server.port}: is taken: another qe ui? --port=0 takes any that is free"
    said = cli.refused("ui", "--port=0", "--host=192.0.2.1", "--allow-remote", status=3)
    assert "is no address of this machine" in said
    assert "takes a name or an address" in cli.refused(
        "ui", "--port=0", "--host=no.such.invalid", "--allow-remote", status=3
    )
    said = cli.refused("ui", "--port=0", "--host=0.0.0.0")
    assert "--allow-remote" in said and "unencrypted" in said
    assert "is a folder" in cli.refused("ui", "--history=.")
    assert "neither .json nor .toml" in cli.refused("ui", "--quarantine=held.txt")


def test_a_package_that_is_missing_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.write("none/starlette/__init__.py", "raise ModuleNotFoundError(name='starlette')")
    monkeypatch.setenv("PYTHONPATH", str(cli.path / "none"))
    assert cli.refused("ui") == "qe ui needs starlette: pip install 'pytest-qe[ui]'"
