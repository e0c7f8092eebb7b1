"""Workers that are started anew and collect for themselves (``--qe-start=spawn``), and servers.

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
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import _core, compat, heap, live, reports, serving, uncaught
from .events import DataKind
from .leaving import Leaving

if TYPE_CHECKING:
    from .controller import Controller
    from .covering import Journals
    from .debugger import Lender
    from .live import Live
    from .plans import Plans

# Ctrl-C goes to all processes: none tells where it was in its imports.
_MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "from pytest_qe.spawn import main; main()"
)
_FD_VARIABLE = "QE_SPAWN_FD"


@contextmanager
def prepared(
    controller: Controller, items: list[pytest.Item], plans: Plans, method: str
) -> Iterator[list[bytes]]:
    """The command line of a spawned worker, or a server. Within this the supervisor is
    forked, which keeps what they are to inherit: their input, whose place is in the
    environment, and what they print to."""
    lender, journals = controller.lender, controller.journals
    assert lender is not None and journals is not None  # made before the first worker
    inherited: list[Live | Lender | Journals] = [controller.live, lender]
    if method == "fork":  # for servers; spawned workers keep none
        inherited.append(journals)
    fd = os.memfd_create("qe-spawn")
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(reports.dumps(_input(controller, items, plans)))
    os.set_inheritable(fd, True)
    os.environ[_FD_VARIABLE] = str(fd)
    for each in inherited:
        each.set_inheritable(True)
    try:
        yield [os.fsencode(sys.executable), b"-c", _MAIN.encode()]
    finally:  # also in a worker that the supervisor has forked
        for each in inherited:
            each.set_inheritable(False)
        del os.environ[_FD_VARIABLE]
        os.close(fd)


def _input(controller: Controller, items: list[pytest.Item], plans: Plans) -> dict[str, Any]:
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
    if plans.log_file is not None:
        # While it collects it would truncate the file, and repeat what is there.
        options["log_file"] = os.devnull
    factory = getattr(config, "_tmp_path_factory", None)
    assert controller.journals is not None
    # The controller's end of the desk is not inherited.
    plans = plans._replace(desk=plans.desk._replace(answer=(plans.desk.answer[0], -1)))
    return {
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
            controller.delivery.node(slot).workerinput
            for slot in range(2 * controller.workers + 1 + len(controller.servers.env))
        ],
        "start": controller.options.start,
        "journals": controller.journals.files,
    }


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
        self.is_server = bool(core.job()["server"])
        self.name = "it" if self.is_server else "a spawned worker"

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """The root of temporary folders, if it is among the tests: it was empty when the
        controller collected, and now has what tests make, links to anywhere included."""
        root = self.data["basetemp"]
        if root is None or not collection_path.is_dir():
            return None
        return True if os.path.realpath(collection_path) == root else None  # by any name

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
                f"{self.name} collected other tests than the controller "
                f"({len(missing)} missing, such as {some}); what is collected must not "
                "depend on the process"
            )
            self._refuse(text)
            wanted = []
        ids = zip(wanted, self.data["ids"], strict=False)
        renamed = [number for number, (item, nodeid) in enumerate(ids) if item.nodeid != nodeid]
        if renamed:
            self.core.send(DataKind.RENAMED, reports.dumps(renamed))
        items[:] = wanted

    def _refuse(self, text: str) -> None:
        """What this process has is not what the controller has. Others can do without a
        server; spawned workers would all be the same."""
        kind = DataKind.SERVER if self.is_server else DataKind.COLLECTED
        self.core.send(kind, reports.dumps(text))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        if self.is_server:
            serving.share_root(session.config, self.data["basetemp"])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        from .plans import Plans
        from .worker import Worker

        goes_on = session.config.option.continue_on_collection_errors
        failed = session.testsfailed and not goes_on
        if failed or len(session.items) != len(self.data["ids"]):
            text = f"{self.name} could not collect what the controller collected"
            self._refuse(text)
            return True
        if self.is_server:
            try:
                serving.serve(session, self.core, self.data)
            except serving.CannotServe as error:
                self._refuse(str(error))
            except Exception:
                self._refuse(traceback.format_exc())
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

    from .plans import Plans

    core = _core.attach()
    leaving = Leaving()
    data = _read_input()
    job = core.job()
    slot = job["slot"]
    plans = Plans(*data["plans"])
    own = None
    if job["server"]:
        serving.begin(data, plans, job)
    elif plans.ends:
        own = live.Own(plans.ends, slot)
    sys.argv[:] = data["argv"]
    sys.path[:] = data["sys_path"]
    _be_main(*data["main"])
    os.chdir(data["dir"])
    options = data["options"]
    if data["basetemp"] is not None and not job["server"]:
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
