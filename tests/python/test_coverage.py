"""Coverage equals serial pytest's; what killed workers had measured is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import HUNG, Qe

MODULE = """
    def choose(n):
        if n % 2:
            return "odd"
        return "even"

    def died():
        return 1

    def never():
        return 2
"""
TESTS = """
    import os, subprocess, sys, time
    import pytest
    import module

    @pytest.mark.parametrize("n", range(6))
    def test_it(n):
        assert module.choose(n) == ["even", "odd"][n % 2]
"""


def suite(qe: Qe, **more: str) -> None:
    qe.files(module=MODULE, test_it=TESTS, **more)


def measured(qe: Qe, *args: str, how: str = "pytest-cov", config: str = "") -> dict[str, Any]:
    """The files of coverage's JSON report, without percentages."""
    (qe.path / ".coveragerc").write_text(f"[run]\nsource = .\n{config}")
    for path in qe.path.glob(".coverage*"):
        if path.name != ".coveragerc":
            path.unlink()
    report = qe.path / "coverage.json"
    if how == "pytest-cov":
        qe.use("pytest_cov")
        qe.run("--cov=.", "--cov-report=", *args)
    else:
        qe.use()
        subprocess.run(
            [sys.executable, "-m", "coverage", "run", "-m", "pytest", *args],
            cwd=qe.path, timeout=HUNG, stdout=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if config:
            subprocess.run([sys.executable, "-m", "coverage", "combine", "-a", "-q"],
                           cwd=qe.path, timeout=HUNG, check=False)  # fmt: skip
    left = [path.name for path in qe.path.glob(".coverage.*")]
    assert not left, "files of workers are left"
    subprocess.run(
        [sys.executable, "-m", "coverage", "json", "-q", "--show-contexts", "-o", report],
        cwd=qe.path, timeout=HUNG, check=True,
    )  # fmt: skip
    files = json.loads(report.read_text())["files"]
    for each in files.values():  # sets, in no order
        for names in each.get("contexts", {}).values():
            names.sort()
    return {name: {key: value for key, value in each.items()
                   if key in ("executed_lines", "executed_branches", "contexts")}
            for name, each in files.items()}  # fmt: skip


CONFIGS = {
    "lines": "",
    "branches": "branch = true\n",
    "multiprocessing": "concurrency = multiprocessing\nparallel = true\n",
    "python tracer": "core = pytrace\n",
    "contexts": "dynamic_context = test_function\n",
}
if sys.version_info >= (3, 12):
    CONFIGS["sysmon"] = "core = sysmon\n"
if sys.version_info >= (3, 14):
    CONFIGS["sysmon branches"] = "core = sysmon\nbranch = true\n"


@pytest.mark.parametrize("how", ["pytest-cov", "coverage run"])
@pytest.mark.parametrize("config", CONFIGS)
def test_equal_to_serial(qe: Qe, how: str, config: str) -> None:
    suite(qe)
    if how == "pytest-cov" and config == "contexts":
        config, args = "lines", ["--cov-context=test"]
    else:
        args = []
    serial = measured(qe, *args, how=how, config=CONFIGS[config])
    ours = measured(qe, "--qe-parallel=2", *args, how=how, config=CONFIGS[config])
    assert "executed_lines" in serial["module.py"]
    assert ours == serial


def test_what_tests_start_is_measured(qe: Qe) -> None:
    """A process that a test starts, as coverage's own patch makes it measured."""
    suite(qe, test_more="""
        import subprocess, sys
        def test_process():
            subprocess.run([sys.executable, "-c", "import module; module.never()"], check=True)
    """)  # fmt: skip
    config = "patch = subprocess\nparallel = true\n"
    serial = measured(qe, config=config)
    ours = measured(qe, "--qe-parallel=2", config=config)
    assert 10 in serial["module.py"]["executed_lines"]
    assert ours == serial


DEATHS = {
    "timeout": ("time.sleep(600)", ["--qe-timeout=1"]),
    "os._exit": ("os._exit(3)", []),
    "SIGKILL": ("os.kill(os.getpid(), 9)", []),
}


@pytest.mark.parametrize("how", ["pytest-cov", "coverage run"])
@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("config", ["lines", "branches", "contexts", "python tracer"])
def test_what_ran_before_the_death_is_kept(qe: Qe, how: str, death: str, config: str) -> None:
    """One worker runs all in order: without it everything of it would be lost."""
    body, args = DEATHS[death]
    if how == "pytest-cov" and config == "contexts":
        config, args = "lines", [*args, "--cov-context=test"]
    suite(qe, test_last=f"import os, time\ndef test_last():\n    {body}")
    ours = measured(qe, "--qe-parallel=1", *args, how=how, config=CONFIGS[config])
    lines = ours["module.py"]["executed_lines"]
    assert set(lines) == {1, 2, 3, 4, 6, 9}, lines
    if config == "branches":
        assert sorted(ours["module.py"]["executed_branches"]) == [[2, 3], [2, 4]]
    assert {6} <= set(ours["test_it.py"]["executed_lines"])


def test_many_deaths(qe: Qe) -> None:
    suite(qe, test_die="""
        import os, pytest
        import module
        @pytest.mark.parametrize("n", range(8))
        def test_die(n):
            module.died()
            n % 3 or os._exit(1)
    """)  # fmt: skip
    ours = measured(qe, "--qe-parallel=2")
    assert set(ours["module.py"]["executed_lines"]) == {1, 2, 3, 4, 6, 7, 9}


def test_no_descriptor_without_coverage(qe: Qe) -> None:
    qe.files(test_it="""
        import os
        def test_descriptors():
            links = []
            for n in os.listdir("/proc/self/fd"):
                try: links.append(os.readlink(f"/proc/self/fd/{n}"))
                except OSError: pass  # that of the listing itself
            assert len(links) > 3
            assert not any("qe-coverage" in link for link in links)
    """)  # fmt: skip
    qe.run("--qe-parallel=2").assert_outcomes(passed=1)


def test_it_costs_next_to_nothing() -> None:
    """A look at 1,000 files of which none has news, in well below a millisecond."""
    import time

    import coverage

    from pytest_qe.covering import Journal

    cov = coverage.Coverage(data_file=None)
    cov.start()
    try:
        collector: Any = cov._collector
        for n in range(1000):
            collector.data[f"/nowhere/{n}.py"] = set(range(100))
        fd = os.memfd_create("journal")
        journal = Journal(fd, cov)
        journal.note()
        began = time.process_time()
        for _ in range(100):
            journal.note()
        assert time.process_time() - began < 0.1
        assert Path(f"/proc/self/fd/{fd}").stat().st_size < 100_000
        os.close(fd)
        collector.data.clear()
    finally:
        cov.stop()
