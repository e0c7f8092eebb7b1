"""`qe` on a terminal, and how signals end it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from cli_help import QE, SH, Cli, cli, plain
from conftest import wait_for

__all__ = ["cli"]

WAITS = ': > "$0.began"; sleep 300 & wait'
STAYS = 'trap "" INT TERM; : > "$0.began"; while :; do sleep 300; done'


@pytest.fixture
def terminal(cli: Cli) -> Iterator[_Terminal]:
    made = _Terminal(cli)
    yield made
    made.close()


class _Terminal:
    """A `qe` on a terminal of its own."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        self.child: pexpect.spawn[str] | None = None

    def start(self, *args: str, **env: str) -> pexpect.spawn[str]:
        self.child = pexpect.spawn(
            QE[0], [*QE[1:], *args], cwd=str(self.cli.path), encoding="utf-8", timeout=60,
            dimensions=(24, 100), env={**os.environ, **env},
        )  # fmt: skip
        return self.child

    def close(self) -> None:
        if self.child is not None:
            self.child.close(force=True)


def ended(child: pexpect.spawn[str]) -> tuple[str, int | None]:
    """What was printed since, without escapes, and the exit status."""
    child.expect(pexpect.EOF)
    child.close()
    return plain(child.before or ""), child.exitstatus


def test_a_bar_says_what_runs_and_failures_come_above_it(terminal: _Terminal) -> None:
    terminal.cli.files(
        bad='echo "it broke"; exit 3', slow=": > slow.began; until [ -e go ]; do sleep 0.05; done"
    )
    child = terminal.start("exec", SH, "bad.sh", "slow.sh", "--attempts=1")
    child.expect(r"FAILED   bad\.sh")
    child.expect(r"slow\.sh")
    child.expect(r"1 of 2, 1 failed, [\d.]+ s")
    terminal.cli.write("go")
    text, status = ended(child)
    assert status == 1
    assert "  | it broke" in text and "2 files: 1 passed, 1 failed; " in text
    assert child.before is not None and "\x1b[?25h" in child.before, "the cursor is shown again"


def test_the_last_run_says_when_this_one_will_end(terminal: _Terminal) -> None:
    terminal.cli.files(slow="sleep 3")
    assert terminal.cli.run("exec", SH, "slow.sh").returncode == 0
    child = terminal.start("exec", SH, "slow.sh")
    child.expect(r"0 of 1, [\d.]+ s, about [123]\.\d\d s left")
    assert ended(child)[1] == 0


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"CI": "true"}])
def test_terminals_that_cannot_draw_get_plain_lines(
    terminal: _Terminal, env: dict[str, str]
) -> None:
    terminal.cli.files(good="exit 0")
    child = terminal.start("exec", SH, "good.sh", NO_COLOR="1", **env)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert child.before is not None and "\x1b" not in child.before
    assert "passed   good.sh" in child.before


def test_ctrl_c_gives_what_runs_its_grace_and_tells_what_is_known(terminal: _Terminal) -> None:
    cli = terminal.cli
    cli.files(good="exit 0", waits=WAITS, never="exit 0")
    child = terminal.start(
        "exec", SH, "good.sh", "waits.sh", "never.sh", "-n", "1", "--json=out.json",
        "--junit=out.xml",
    )  # fmt: skip
    wait_for(lambda: cli.exists("waits.sh.began"), "the second file")
    child.sendintr()
    child.expect("interrupted: what runs has 2 s to end; once more ends it now")
    text, status = ended(child)
    assert status == 130
    assert "interrupted: 1 of 3 files ran to the end" in text
    assert "3 files: 1 passed, 2 not run to the end; " in text
    result = json.loads(Path("out.json").read_text())
    outcomes = [one["outcome"] for one in result["results"]]
    assert (outcomes, result["interrupted"]) == (["passed", "interrupted", "not_run"], True)
    assert Path("out.xml").read_text().count("<skipped") == 2
    kept = json.loads(cli.run("show", "last").stdout)
    assert kept["interrupted"] is True
    cli.nothing_is_left()


def test_a_second_ctrl_c_ends_it_at_once(terminal: _Terminal) -> None:
    cli = terminal.cli
    cli.files(stays=STAYS)
    child = terminal.start("exec", SH, "stays.sh", "--grace=500", "--json=out.json")
    wait_for(lambda: cli.exists("stays.sh.began"), "the file")
    child.sendintr()
    child.expect("interrupted: what runs has 500 s to end")
    child.sendintr()
    assert ended(child)[1] == 130
    assert json.loads(Path("out.json").read_text())["interrupted"] is True
    cli.nothing_is_left()


def test_ctrl_c_in_a_hunt_judges_what_ran(terminal: _Terminal) -> None:
    cli = terminal.cli
    cli.files(waits=f"mkdir one 2>/dev/null && exit 0; {WAITS}")
    child = terminal.start("hunt", SH, "waits.sh", "--json=out.json")
    wait_for(lambda: cli.exists("waits.sh.began"), "the second run")
    child.sendintr()
    text, status = ended(child)
    assert status == 130
    assert "interrupted: 1 of 10 runs" in text
    result = json.loads(Path("out.json").read_text())
    (file,) = result["files"]
    assert (file["iterations"], file["failed"], file["is_flaky"]) == (1, 0, False)
    cli.nothing_is_left()


def test_ctrl_c_ends_experiments_too(terminal: _Terminal) -> None:
    cli = terminal.cli
    cli.write("test_a.py", "import os\ndef test_2(): os.mkdir('one')\n")
    child = terminal.start(
        "hunt", "test_a.py", "-i", "2", "--throttle=0", "--", "-p", "pytest_qe.plugin"
    )
    wait_for(
        lambda: any("--qe-flaky-budget" in command for command in cli.alive().values()),
        "an experiment", 60,
    )  # fmt: skip
    child.sendintr()
    child.expect("interrupted: what runs has 2 s to end")
    child.timeout = 12  # they would take 15 s at least
    text, status = ended(child)
    assert status == 130
    assert "FLAKY test_a.py" in text and "failed 1 of 2 runs" in text
    cli.nothing_is_left()


def test_sigterm_is_143(cli: Cli) -> None:
    cli.files(waits=WAITS)
    process = subprocess.Popen(
        [*QE, "exec", SH, "waits.sh", "--json=out.json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: cli.exists("waits.sh.began"), "the file")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "")
    assert "1 file: 0 passed, 1 not run to the end" in out
    assert json.loads(Path("out.json").read_text())["interrupted"] is True


def test_killed_it_leaves_nothing(cli: Cli) -> None:
    cli.files(stays=STAYS)
    process = subprocess.Popen([*QE, "exec", SH, "stays.sh"], stdout=subprocess.DEVNULL)
    wait_for(lambda: cli.exists("stays.sh.began"), "the file")
    process.kill()
    process.wait()
    cli.nothing_is_left()


def test_a_stored_value_is_pretty_on_a_terminal(terminal: _Terminal) -> None:
    cli = terminal.cli
    cli.files(good="exit 0")
    assert cli.run("exec", SH, "good.sh").returncode == 0
    text, status = ended(terminal.start("show", "last"))
    assert status == 0
    assert text.startswith("aqe/test-executor/last_parallel_execution, of 20")
    assert '"pass_rate": 100.0' in text


def test_ctrl_z_holds_what_runs_and_its_time(cli: Cli) -> None:
    """Held for longer than its limit it passes; and once more, as fg is not its end."""
    ticks = cli.path / "ticks"
    tick = "echo x >>ticks; sleep 0.05"
    cli.files(slow=f"i=0; while [ $i -lt 20 ]; do {tick}; i=$((i + 1)); done")

    def count() -> int:
        return ticks.read_text().count("x") if ticks.exists() else 0

    shell = pexpect.spawn(
        "bash", ["--norc", "-i"], cwd=str(cli.path), encoding="utf-8", timeout=60,
        env={**os.environ, "PS1": "$ "},
    )  # fmt: skip
    try:
        words = " ".join(shlex.quote(word) for word in [*QE, "exec", "slow.sh", SH, "--timeout=3"])
        shell.sendline(words)
        for least in (3, 8):
            wait_for(lambda least=least: count() >= least, "the command")
            shell.sendcontrol("z")
            shell.expect("Stopped")
            seen = count()
            assert seen < 20
            time.sleep(3.2)
            assert count() == seen, "what runs is stopped, too"
            shell.sendline("fg")
        shell.expect("1 passed")
        assert count() == 20
    finally:
        shell.close(force=True)
