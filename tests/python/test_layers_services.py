"""Layers with PostgreSQL and Redis, which the configuration starts."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_help import QE, Cli, cli
from conftest import wait_for
from test_layers_run import category, free_port, is_open, write

__all__ = ["cli"]

POSTGRES = """\
set -e
folder=$1 port=$2
if [ "$(id -u)" = 0 ] && [ "$3" = "" ]; then # which it refuses
    chown postgres "$folder"
    exec setpriv --reuid=postgres --regid=postgres --clear-groups sh "$0" "$1" "$2" again
fi
initdb -D "$folder/data" -U qe -A trust >/dev/null
exec postgres -D "$folder/data" -p "$port" -k "$folder" -h 127.0.0.1
"""

REDIS_TEST = """\
import os, socket

def ask(*words):
    text = f"*{len(words)}\\r\\n" + "".join(f"${len(w)}\\r\\n{w}\\r\\n" for w in words)
    with socket.create_connection(("127.0.0.1", int(os.environ["REDIS_PORT"]))) as server:
        server.sendall(text.encode())
        return server.recv(1024)

def test_it_answers():
    assert ask("PING") == b"+PONG\\r\\n"

def test_it_keeps():
    ask("SET", "key", "value")
    assert ask("GET", "key") == b"$5\\r\\nvalue\\r\\n"
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that another user may enter."""
    path = Path(tempfile.mkdtemp(prefix="qe-services-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def ports(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    postgres = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    monkeypatch.setenv("PATH", os.pathsep.join([*postgres[-1:], os.environ["PATH"]]))
    for program in ("initdb", "postgres", "psql", "redis-server"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing")
    script = folder / "postgres.sh"
    script.write_text(POSTGRES)
    (folder / "data").parent.mkdir(exist_ok=True)
    ports = {"postgres": free_port(), "redis": free_port()}
    url = f"postgresql://qe@127.0.0.1:{ports['postgres']}/postgres"
    cli.write("tests/test_redis.py", REDIS_TEST)
    write(cli, {"core": {
        "execution_mode": "parallel",
        "required_services": ["postgres", "redis"],
        "categories": [
            category("schema", f"psql {url} -q -c 'create table t (n int)'"),
            category("rows", f"psql {url} -q -c 'insert into t values (42)'",
                     depends_on=["schema"]),
            {"name": "query", "command": ["psql", url, "-t", "-c", "select n from t"],
             "depends_on": ["rows"]},
            {"name": "cache", "framework": "pytest", "paths": ["tests"],
             "environment": {"REDIS_PORT": str(ports["redis"])}},
            category("held", "touch began; while [ -e hold ]; do sleep 0.05; done"),
        ],
    }}, services={
        "postgres": {
            "check": {"command": f"pg_isready -q -h 127.0.0.1 -p {ports['postgres']}"},
            "start": ["sh", str(script), str(folder), str(ports["postgres"])],
            "ready_seconds": 60,
        },
        "redis": {
            "check": {"tcp": f"127.0.0.1:{ports['redis']}"},
            "start": f"redis-server --port {ports['redis']} --bind 127.0.0.1 --save ''",
        },
    })  # fmt: skip
    return ports


def test_they_are_started_used_and_stopped(cli: Cli, ports: dict[str, int]) -> None:
    status, result = cli.json("layer", "core")
    layer = result["layers"]["core"]
    assert status == 0, layer["errors"]
    assert layer["category_results"]["query"]["stdout"].split() == ["42"]
    assert layer["category_results"]["cache"]["tests"]["passed"] == 2
    assert not any(is_open(port) for port in ports.values())


@pytest.mark.parametrize("service", ["postgres", "redis"])
def test_one_that_dies_midway_fails_what_uses_it_and_nothing_hangs(
    cli: Cli, ports: dict[str, int], service: str
) -> None:
    cli.write("hold")
    text = Path("test_layers.yaml").read_text()
    # What uses them comes after the one that is held.
    for name in ("schema", "cache"):
        text = text.replace(f'"name": "{name}",', f'"name": "{name}", "depends_on": ["held"],')
    Path("test_layers.yaml").write_text(text)
    run = subprocess.Popen([*QE, "layer", "core"], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: cli.exists("began"), "both")
    program = "postgres" if service == "postgres" else "redis-server"
    # Both write over what they were started with, the mark of this test too.
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        name = os.path.basename(command.split(" ")[0])
        if name == program and str(ports[service]) in command:
            os.kill(int(path.parent.name), 9)
    wait_for(lambda: not is_open(ports[service]), "its end")
    Path("hold").unlink()
    out = run.communicate(timeout=120)[0]
    assert run.returncode == 1
    failed = "core/schema" if service == "postgres" else "core/cache"
    assert f"FAILED   {failed}" in out, out
    assert f"  service {service} is not there any more (" in out, out
    assert "): it ended with exit status 137: Killed\n" in out, out
    assert not any(is_open(port) for port in ports.values())


def test_a_kill_stops_them_too(cli: Cli, ports: dict[str, int]) -> None:
    cli.write("hold")
    run = subprocess.Popen([*QE, "layer", "core"], stdout=subprocess.DEVNULL)
    wait_for(lambda: cli.exists("began"), "both")
    run.kill()
    run.wait(30)
    cli.nothing_is_left()
    assert not any(is_open(port) for port in ports.values())


def test_what_is_handed_to_somebody_else_is_stopped_also_after_a_kill(cli: Cli) -> None:
    """A file stands for a container: it is nobody's child."""
    cli.write("stop.sh", "echo stopped >> stops; rm up")
    write(cli, {"a": {"required_services": ["s"], "categories": [
        category("x", "echo > began; [ -e once ] || sleep 300"),
    ]}}, services={"s": {
        "check": {"command": "test -e up"}, "start": "touch up", "stop": "sh stop.sh",
    }})  # fmt: skip
    run = subprocess.Popen([*QE, "layer", "a"], stdout=subprocess.DEVNULL)
    wait_for(lambda: cli.exists("began"), "the category")
    run.kill()
    run.wait()
    wait_for(lambda: not cli.exists("up"), "the stop")
    cli.nothing_is_left()
    # As a rule it is done by who started it, and once.
    cli.write("once")
    assert cli.run("layer", "a").returncode == 0
    assert Path("stops").read_text() == "stopped\n" * 2 and not cli.exists("up")
    cli.nothing_is_left()
