"""Workers that are started anew and collect for themselves (``--qe-start=spawn``).

The controller leaves what they need in a memfd that they inherit: options,
arguments, ids in order. A worker that collects anything else says what differs
and ends the run.
"""

from __future__ import annotations

import gc
import importlib.util
import marshal
import os
import signal
import sys
import traceback
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from . import _core, compat, heap, live, reports, uncaught
from .events import DataKind
from .leaving import Leaving

if TYPE_CHECKING:
    from .controller import Controller
    from .worker import Plans

# Ctrl-C goes to all processes: none tells where it was in its imports.
_MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "from pytest_qe.spawn import main; main()"
)
_FD_VARIABLE = "QE_SPAWN_FD"


def command(controller: Controller, items: list[pytest.Item], plans: Plans) -> list[bytes]:
    """The command line of a spawned worker; its input is in the environment."""
    config = controller.config
    options = {}
    for name, value in vars(config.option).items():
        if name == "file_or_dir":
            continue  # argparse warns of it; the arguments are passed by themselves
        try:
            marshal.dumps(value)
        except ValueError:
            continue  # an object of a plugin's own: it parses its default
        options[name] = value
    options.update({k: v for k, v in compat.SPAWNED_OPTIONS.items() if k in options})
    options["plugins"] = [*options.get("plugins", []), "no:terminal"]
    controller.live.make_inheritable()
    assert controller.lender is not None  # made before the first worker
    controller.lender.make_inheritable()
    if plans.log_file is not None:
        # While it collects it would truncate the file, and repeat what is there.
        options["log_file"] = os.devnull
    factory = getattr(config, "_tmp_path_factory", None)
    data = {
        # Plugins first: from the options they would be blocked only once loaded.
        "args": [
            *(f"-p{name}" for name in getattr(config.option, "plugins", [])),
            *(str(arg) for arg in config.args),
        ],
        "options": options,
        "dir": str(config.invocation_params.dir),
        "sys_path": list(sys.path),
        "argv": list(sys.argv),
        "main": _main_module(),
        "ids": [item.nodeid for item in items],
        "plans": tuple(plans),
        "basetemp": None if factory is None else str(factory.getbasetemp()),
        "inputs": [
            controller.delivery.node(slot).workerinput for slot in range(2 * controller.workers)
        ],
    }
    fd = os.memfd_create("qe-spawn")
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(reports.dumps(data))
    os.set_inheritable(fd, True)
    os.environ[_FD_VARIABLE] = str(fd)
    return [os.fsencode(sys.executable), b"-c", _MAIN.encode()]


def _main_module() -> tuple[str | None, str | None]:
    """Where the program comes from: its file, and its module's name if it has one."""
    main = sys.modules["__main__"]
    return getattr(main, "__file__", None), getattr(main.__spec__, "name", None)


def _be_main(file: str | None, name: str | None) -> None:
    """Tests and multiprocessing look at the program's file and module."""
    main: Any = sys.modules["__main__"]
    if file is not None:
        main.__file__ = file
    if name is not None:
        main.__spec__ = importlib.util.find_spec(name)


def release() -> None:
    """Closes what ``command`` left open for the workers."""
    fd = os.environ.pop(_FD_VARIABLE, None)
    if fd is not None:
        os.close(int(fd))


def _read_input() -> dict[str, Any]:
    fd = int(os.environ.pop(_FD_VARIABLE))
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    os.close(fd)
    value: dict[str, Any] = reports.loads(data)
    return value


def _match(items: list[pytest.Item], ids: list[str]) -> tuple[list[pytest.Item], list[str]]:
    """The items of these ids, in their order, and the ids that have none.

    A parameter that differs from process to process (a time, an address) is
    matched by its place among the parameters of the same test.
    """
    by_id: dict[str, list[pytest.Item]] = {}
    for item in items:
        by_id.setdefault(item.nodeid, []).append(item)
    found: list[pytest.Item | None] = []
    for nodeid in ids:
        same = by_id.get(nodeid)
        found.append(same.pop(0) if same else None)
    if None in found:
        known = set(ids)
        rest: dict[str, list[pytest.Item]] = {}
        for item in items:
            if item.nodeid not in known:
                rest.setdefault(item.nodeid.split("[", 1)[0], []).append(item)
        for i, nodeid in enumerate(ids):
            left = rest.get(nodeid.split("[", 1)[0])
            if found[i] is None and left:
                found[i] = left.pop(0)
    missing = [nodeid for nodeid, item in zip(ids, found, strict=True) if item is None]
    return [item for item in found if item is not None], missing


class _SpawnWorker:
    """The plugin of a spawned worker: after collection it works."""

    def __init__(
        self, core: _core.Worker, data: dict[str, Any], own: live.Own | None, leaving: Leaving
    ) -> None:
        self.core = core
        self.leaving = leaving
        self.own = own
        self.data = data
        self.worker: Any = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        """The controller's selection and its order, once all others have chosen:
        a second choice (pytest-split's) would be one from the first."""
        result = yield
        self._select(items)
        return result

    def _select(self, items: list[pytest.Item]) -> None:
        wanted, missing = _match(items, self.data["ids"])
        if missing:
            some = ", ".join(missing[:3])
            text = (
                "a spawned worker collected other tests than the controller "
                f"({len(missing)} missing, such as {some}); what is collected must not "
                "depend on the process"
            )
            self.core.send(DataKind.COLLECTED, reports.dumps(text))
            wanted = []
        items[:] = wanted

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        from .worker import Plans, Worker

        if session.testsfailed or len(session.items) != len(self.data["ids"]):
            text = "a spawned worker could not collect what the controller collected"
            self.core.send(DataKind.COLLECTED, reports.dumps(text))
            return True
        self.worker = Worker(session.config, session, self.core, Plans(*self.data["plans"]))
        self.worker.own = self.own
        session.config.stash[heap.KEY] = heap.Heap()
        gc.collect()  # what the collection left is told once, not by each worker
        try:
            self.worker.adopt(forked=False)
            self.leaving.begin(session.config.stash[heap.KEY])
            self.worker.run()
        except Exception:
            self.core.send(DataKind.INTERNAL, reports.dumps(traceback.format_exc()))
            self.core.stop()  # otherwise another worker would try, and another
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self) -> None:
        if self.worker is not None:
            self.core.phase(_core.SESSION)
            self.worker.send_uncaught()
            uncaught.spare_last_look(self.worker.config)


def main() -> None:
    """The life of a spawned worker, which is started with SIGINT ignored."""
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _live()
    except KeyboardInterrupt:
        os._exit(1)  # the controller's, before there was anything to tear down


def _live() -> None:
    from _pytest.config import Config

    from .worker import Plans

    core = _core.attach()
    leaving = Leaving()
    data = _read_input()
    slot = core.job()["slot"]
    plans = Plans(*data["plans"])
    own = live.Own(plans.ends, slot) if plans.ends else None
    sys.argv[:] = data["argv"]
    sys.path[:] = data["sys_path"]
    _be_main(*data["main"])
    os.chdir(data["dir"])
    options = data["options"]
    if data["basetemp"] is not None:
        options["basetemp"] = os.path.join(data["basetemp"], f"popen-gw{slot}")
    config = Config.fromdictargs(options, data["args"])
    config.workerinput = data["inputs"][slot]  # type: ignore[attr-defined]
    plugin = _SpawnWorker(core, data, own, leaving)
    config.pluginmanager.register(plugin, "qe-spawn")
    compat.add_fixtures(config.pluginmanager)
    compat.quiet_spawned(config)
    try:
        config.hook.pytest_cmdline_main(config=config)
    except KeyboardInterrupt:
        pass  # the controller's, before there was anything to tear down
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        core.phase(_core.SESSION)  # exit handlers have its limit, too
        leaving.finish()
        if plugin.worker is not None:
            plugin.worker.say_bye()
        else:
            core.bye()
        os._exit(0)
