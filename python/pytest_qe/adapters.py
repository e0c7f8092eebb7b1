"""What some plugins need beyond a rule in the tables of ``compat.py``.

An adapter is registered as a plugin in every process of a run: in the
controller before the plan is made, in a worker as it begins.
"""

from __future__ import annotations

import pstats
from bisect import insort
from collections.abc import Generator
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from . import _core

if TYPE_CHECKING:
    from .options import Options
    from .planning import Wish


class Adapter:
    """What one plugin needs. Each method may be left as it is.

    Args:
        config: pytest's, of this process.
        items: what was collected.
        module: the plugin's module.
    """

    def __init__(self, config: pytest.Config, items: list[pytest.Item], module: Any) -> None:
        self.config = config
        self.items = items
        self.module = module
        self.in_worker = False

    def wanted(self) -> bool:
        """Whether this run needs it."""
        return True

    def plan(self, wishes: list[Wish], options: Options) -> None:
        """In the controller, before the plan is made."""

    def enter_worker(self, core: _core.Worker) -> None:
        """In a worker that begins."""

    def finish(self) -> list[str]:
        """In the controller, once all workers have ended: warnings to show."""
        return []


class Benchmark(Adapter):
    """pytest-benchmark: tests that measure run alone, and what they measured
    travels in their reports to the controller's table and files."""

    _KEY = "$qe_benchmarks"

    @property
    def _session(self) -> Any:
        return getattr(self.config, "_benchmarksession", None)

    def _measures(self, item: pytest.Item) -> bool:
        return "benchmark" in getattr(item, "fixturenames", ())

    def wanted(self) -> bool:
        session = self._session
        if session is None or session.disabled or session.skip:
            return False
        return any(map(self._measures, self.items))

    def plan(self, wishes: list[Wish], options: Options) -> None:
        self._order = {item.nodeid: i for i, item in enumerate(self.items)}
        if options.flaky is None:  # a hunt wants outcomes, not times
            for i, item in enumerate(self.items):
                if self._measures(item):
                    wishes[i] = wishes[i].alone()  # many share one

    def enter_worker(self, core: _core.Worker) -> None:
        session = self._session
        # The controller writes the files.
        session.save = session.autosave = session.json = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        session = self._session
        if self.in_worker and call.when == "teardown" and session.benchmarks:
            report.__dict__[self._KEY] = [self._flat(b) for b in session.benchmarks]
            session.benchmarks.clear()
        return report

    def _flat(self, measured: Any) -> dict[str, Any]:
        profile = measured.cprofile_stats
        return {
            "group": measured.group,
            "extra_info": measured.extra_info,
            "cprofile": None if profile is None else profile.stats,
            "has_error": measured.has_error,
            "options": measured.as_dict(include_data=False, stats=False)["options"],
            "iterations": measured.iterations,
            "data": measured.stats.data,
        }

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.in_worker:
            return
        for flat in report.__dict__.pop(self._KEY, ()):
            insort(
                self._session.benchmarks,
                self._rebuilt(self._order[report.nodeid], flat),
                key=lambda b: self._order[b.fullname],
            )

    def _rebuilt(self, number: int, flat: dict[str, Any]) -> Any:
        """What the controller's session would have kept of a test of its own."""
        item = self.items[number]
        profile = None
        if flat["cprofile"] is not None:
            profile = pstats.Stats()
            profile.stats = flat["cprofile"]  # type: ignore[attr-defined]
        callspec = getattr(item, "callspec", None)
        fixture = SimpleNamespace(
            name=item.name,
            fullname=item.nodeid,
            group=flat["group"],
            param=callspec and callspec.id,
            params=callspec and callspec.params,
            extra_info=flat["extra_info"],
            cprofile_stats=profile,
            has_error=flat["has_error"],
        )
        result = import_module("pytest_benchmark.stats").Metadata(
            fixture, flat["iterations"], flat["options"]
        )
        result.stats.data = flat["data"]
        return result


class Rerunfailures(Adapter):
    """pytest-rerunfailures: workers count reruns as one, and the controller
    learns of them."""

    def plan(self, wishes: list[Wish], options: Options) -> None:
        option = self.config.option
        database: Any = getattr(self.config, "failures_db", None)
        if getattr(option, "max_suite_reruns", None) is not None and not hasattr(
            database, "sock_port"
        ):
            # Without xdist there is none that workers could reach.
            self.config.failures_db = self.module.ServerStatusDB()  # type: ignore[attr-defined]
        if getattr(option, "fail_on_flaky", False):
            self.config.pluginmanager.register(_CountsReruns(self.items), "qe-counts-reruns")

    def pytest_configure_node(self, node: Any) -> None:
        database: Any = getattr(self.config, "failures_db", None)
        if hasattr(database, "sock_port"):
            node.workerinput["sock_port"] = database.sock_port
            node.workerinput["statusdb_token"] = database.token

    def enter_worker(self, core: _core.Worker) -> None:
        if self.module.works_with_current_xdist() is None:
            # Where xdist is not installed it takes a worker for one of a very
            # old xdist, and keeps its reruns to itself.
            self.module.works_with_current_xdist = lambda: True
        given = self.config.workerinput  # type: ignore[attr-defined]
        if getattr(self.config.option, "max_suite_reruns", None) is not None:
            self.config.failures_db = self.module.ClientStatusDB(  # type: ignore[attr-defined]
                given["sock_port"], given["statusdb_token"]
            )
        self._core = core

    # It keeps reports back until an attempt has ended: they do not say the phase.

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        if self.in_worker:
            self._core.phase(_core.SETUP)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        if self.in_worker:
            self._core.phase(_core.CALL)


class _CountsReruns:
    """Tells the controller's tests how often they ran, for --fail-on-flaky."""

    def __init__(self, items: list[pytest.Item]) -> None:
        self._items = {item.nodeid: item for item in items}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        reruns = getattr(report, "rerun", None)
        item: Any = self._items.get(report.nodeid)
        if isinstance(reruns, int) and item is not None:
            item.execution_count = reruns + 1


class Syrupy(Adapter):
    """syrupy: workers' reports of snapshots are merged, if all are there."""

    def __init__(self, config: pytest.Config, items: list[pytest.Item], module: Any) -> None:
        super().__init__(config, items, module)
        self._lost = 0

    @property
    def _session(self) -> Any:
        return self.config._syrupy  # type: ignore[attr-defined]

    @property
    def _merges(self) -> bool:
        """syrupy before 6 does not."""
        return hasattr(self._session, "_publish_worker_report")

    def plan(self, wishes: list[Wish], options: Options) -> None:
        option = self.config.option
        if not self._merges and option.update_snapshots:
            raise pytest.UsageError(
                "--snapshot-update and --qe-parallel: syrupy before 6 cannot write one file "
                "from several processes; use --qe-parallel=no"
            )
        if hasattr(option, "snapshot_file_lock"):  # 6 locks files only if asked
            option.snapshot_file_lock = True

    def enter_worker(self, core: _core.Worker) -> None:
        if self._merges:
            # Files are locked only in processes that it takes for workers.
            session = self._session
            import_module("syrupy.utils").set_snapshot_file_lock(
                session.snapshot_file_lock, timeout=session.snapshot_file_lock_timeout
            )

    def pytest_testnodedown(self, node: Any) -> None:
        if "syrupy_report" not in getattr(node, "workeroutput", {}):
            self._lost += 1

    def finish(self) -> list[str]:
        if not self._merges:
            return ["syrupy before 6: unused snapshots are not looked for"]
        if not self._lost or self._session.disable_unused_snapshots:
            return []
        # What a killed worker had used would be taken for unused, and deleted.
        self.config.option.disable_unused_snapshots = True
        return [f"{self._lost} worker(s) died: syrupy does not look for unused snapshots"]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        result = yield
        if self._merges and not self.in_worker:
            self._session._cleanup_write_sidecars()
        return result


class Metadata(Adapter):
    """pytest-metadata: what tests add reaches the controller, which insists on it."""

    def enter_worker(self, core: _core.Worker) -> None:
        output: dict[str, Any] = self.config.workeroutput  # type: ignore[attr-defined]
        output["metadata"] = self.config.stash[self.module.metadata_key]


class Allure(Adapter):
    """allure-pytest: its timeline has a row for each process."""

    def enter_worker(self, core: _core.Worker) -> None:
        listener = self.config.pluginmanager.get_plugin("allure_listener")
        if listener is not None:
            listener._thread = import_module("allure_commons.utils").thread_tag()
