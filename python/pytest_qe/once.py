"""Session fixtures that are set up once for all workers (``--qe-once``).

The keeper, a process between supervisor and workers, sets them up, forks the
workers, and tears them down when all workers have left. What pytest caches of a
fixture is forked with everything else; see docs/how-it-works.md.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest

from . import (
    _core,
    belongings,
    compat,
    covering,
    heap,
    junit,
    logs,
    reports,
    startmethod,
    uncaught,
    workerplugins,
)
from .events import DataKind
from .leaving import Leaving
from .plans import Plans
from .worker import Worker

_PATIENCE = 1.0  # seconds


@dataclass
class Shared:
    """One definition of a named fixture, and what its set-up left for others."""

    name: str
    definition: Any  # pytest's FixtureDef
    item: int  # the first test that asks for it
    sections: list[tuple[str, str, str]] = field(default_factory=list)
    token: int = -1  # a pipe with one byte: who reads it shows the sections


def _all_definitions(session: pytest.Session) -> Iterator[Any]:
    for definitions in compat.fixture_definitions(session).values():
        yield from definitions


def _refusal(item: pytest.Item, name: str, definition: Any) -> str | None:
    """Why this fixture cannot be shared, as far as its definition tells."""
    if definition.scope != "session":
        return f"its scope is {definition.scope}"
    known: dict[str, Any] = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
    params = getattr(getattr(item, "callspec", None), "params", {})
    seen: set[str] = set()
    todo = [name]
    while todo:
        needed = todo.pop()
        if needed in seen:
            continue
        seen.add(needed)
        definitions = known.get(needed, ())
        if needed in params or any(d.params is not None for d in definitions):
            return "it is parametrised" if needed == name else f"{needed!r} is parametrised"
        for each in definitions:
            todo.extend(each.argnames)
    return None


def choose(session: pytest.Session, names: list[str]) -> tuple[list[Shared], list[str]]:
    """What the keeper is to set up, and what is refused, in words.

    Raises ``pytest.UsageError`` for a name that no fixture has.
    """
    known = compat.fixture_definitions(session)
    wanted: list[Shared] = []
    refused: list[str] = []
    for name in names:
        if name not in known:
            raise pytest.UsageError(f"--qe-once={name}: no fixture has this name")
        found: dict[int, tuple[Shared, str | None]] = {}
        for number, item in enumerate(session.items):
            info = getattr(item, "_fixtureinfo", None)
            definitions = () if info is None else info.name2fixturedefs.get(name, ())
            if definitions and id(definitions[-1]) not in found:
                shared = Shared(name, definitions[-1], number)
                found[id(definitions[-1])] = shared, _refusal(item, name, definitions[-1])
        if not found:
            refused.append(f"{name}: no test asks for it by its name")
        for shared, why in found.values():
            if why is None:
                wanted.append(shared)
            else:
                refused.append(f"{name}: {why}")
    return wanted, refused


class _Unclean(Exception):
    """What a refused fixture left could not be torn down."""


class Keeper(Worker):
    """The keeper's plugin and its life."""

    def __init__(
        self,
        config: pytest.Config,
        session: pytest.Session,
        core: _core.Worker,
        plans: Plans,
        wanted: list[Shared],
    ) -> None:
        super().__init__(config, session, core, plans)
        self.wanted = wanted
        self.shared: list[Shared] = []
        self.leaving: Leaving | None = None

    def become(self) -> None:
        """Makes a keeper of this process."""
        self.forked = True
        self.config.stash[heap.KEY].freeze_worker()
        uncaught.forget(self.config)
        workerplugins.quiet(self.config)
        covering.begin(self._send)
        # Where nothing is captured it prints to the controller's own: the workers
        # that it forks still need all pipes.
        belongings.own_capture(self.config, self.job, [])
        workerplugins.add_terminal(self.config, None)
        logs.own_log_file(self.config, self.plans.log_file)
        self.config.pluginmanager.register(self, "qe-keeper")
        self.adopted = True
        belongings.own_faulthandler(self.core, self.job)
        junit.forward(self)

    def _tell(self, word: str, *more: str) -> None:
        self._send(DataKind.KEEPER, reports.dumps((word, *more)))

    # -------------------------------------------------------------- set-up

    @contextmanager
    def _recorded(self, item: pytest.Item) -> Iterator[None]:
        """As in a test's set-up: output, log and warnings are its own."""
        from _pytest.logging import catching_logs

        manager = self.config.pluginmanager
        capture = manager.getplugin("capturemanager")
        logging = manager.getplugin("logging-plugin")
        with ExitStack() as outer:
            outer.enter_context(compat.item_warnings(item))
            if logging is not None:
                handler = logging.report_handler
                handler.reset()
                outer.enter_context(catching_logs(handler, level=logging.log_level))
                outer.callback(
                    lambda: item.add_report_section(
                        "setup", "log", handler.stream.getvalue().strip()
                    )
                )
            if capture is not None:
                outer.enter_context(capture.item_capture("setup", item))
            yield

    def _set_up(self, shared: Shared) -> str | None:
        """Sets one fixture up; says why it cannot be shared. An exception stays
        where pytest keeps it, for each test that asks."""
        item: Any = self.items[shared.item]
        before = {id(d) for d in _all_definitions(self.session) if d.cached_result is not None}
        files, threads = startmethod.open_descriptors(), startmethod.live_threads()
        self._tell("set-up", shared.name)
        self.core.phase(_core.SESSION)
        sections = len(item._report_sections)
        stack: Any = self.session._setupstate.stack
        try:
            stack[item] = ([], None)  # a request asks whether it is being set up
            with self._recorded(item):
                item._request.getfixturevalue(shared.name)
        except (pytest.exit.Exception, KeyboardInterrupt):
            raise
        except BaseException:
            pass  # a skip is none of Exception
        finally:
            del stack[item]
        shared.sections = item._report_sections[sections:]
        del item._report_sections[sections:]
        why = self._left(files, threads)
        if why is not None:
            for definition in reversed(list(_all_definitions(self.session))):
                if definition.cached_result is not None and id(definition) not in before:
                    try:
                        definition.finish(item._request)
                    except (Exception, pytest.fail.Exception):
                        pass  # each worker will see and report the same
            # A thread that was told to end may need a moment.
            until = time.monotonic() + _PATIENCE
            while self._left(files, threads) is not None:
                if time.monotonic() > until:
                    raise _Unclean(why)
                time.sleep(0.01)
        item._initrequest()
        return why

    def _left(self, files: dict[int, str], threads: str | None) -> str | None:
        """What a fork would break, and was not there before."""
        now = startmethod.live_threads()
        return (now if now != threads else None) or startmethod.new_descriptor(
            files, "in its set-up"
        )

    def prepare(self) -> bool:
        """Sets everything up; whether there is anything to share."""
        self.session._setupstate.setup(self.session)  # type: ignore[arg-type]
        self.last_item = self.items[self.wanted[0].item]
        for shared in self.wanted:
            try:
                why = self._set_up(shared)
            except _Unclean as error:
                self._tell("refused", shared.name, f"{error}, and still is after its teardown")
                return False
            if why is None:
                self.shared.append(shared)
            else:
                self._tell("refused", shared.name, why)
        return bool(self.shared)

    # ------------------------------------------------------------- workers

    def serve(self) -> _core.Worker | None:
        """Forks workers; returns in each, with its handle, and in the keeper
        with None once all have left."""
        for shared in self.shared:
            if shared.sections:
                shared.token, end = os.pipe()
                os.write(end, b"1")
                os.close(end)
        # Flushed, and noted as what workers inherit.
        self.leaving = Leaving(self.leaving)
        self._tell("ready", *(shared.name for shared in self.shared))
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        while (slot := self.core.wait_keeper()) is not None:
            worker = self.core.fork(slot)
            if worker is not None:
                signal.signal(signal.SIGINT, before)
                self._hand_over()
                return worker
        return None

    def _hand_over(self) -> None:
        """In a new worker: what is shared is there, and stays the keeper's."""
        kept: list[Any] = []
        for definition in _all_definitions(self.session):
            if definition.cached_result is not None:
                # Cleared, but not freed: a generator that is freed would go on.
                kept.append(list(definition._finalizers))
                definition._finalizers.clear()
                if definition.argname in compat.PER_WORKER:
                    definition.cached_result = None
        stack = self.session._setupstate.stack
        kept.append(dict(stack))
        stack.clear()
        manager = self.config.pluginmanager
        manager.unregister(self)
        manager.register(_Inherited(manager, self.shared, kept), "qe-once")

    def _session_report(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        # Plugins' hooks would look for what a test's run has left on its item.
        return pytest.TestReport.from_item_and_call(item, call)

    def tear_down(self) -> None:
        """When all workers have left."""
        self._tell("teardown")
        self._end_session()


class _Inherited:
    """In a worker: shows what a set-up printed under the first test that asks,
    and keeps alive what must not be finished here."""

    def __init__(
        self, manager: pytest.PytestPluginManager, shared: list[Shared], kept: list[Any]
    ) -> None:
        self.manager = manager
        self.pending = [each for each in shared if each.token >= 0]
        self.kept = kept
        _KEPT.append(self)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True
        for shared in list(self.pending):
            info = getattr(item, "_fixtureinfo", None)
            known = () if info is None else info.name2fixturedefs.get(shared.name, ())
            if known and known[-1] is shared.definition:
                self.pending.remove(shared)
                os.set_blocking(shared.token, False)
                try:
                    first = os.read(shared.token, 1)
                except OSError:
                    first = b""
                os.close(shared.token)
                if first:
                    item._report_sections.extend(shared.sections)
        if not self.pending:
            self.manager.unregister(self)
        return (yield)


#: For the whole life of a worker.
_KEPT: list[object] = []


def _leave(keeper: Keeper, leaving: Leaving) -> NoReturn:
    """The keeper's end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if keeper.session._setupstate.stack:
        keeper.tear_down()
    keeper.core.phase(_core.SESSION)  # exit handlers have its limit, too
    keeper.send_uncaught()
    uncaught.let_go()
    leaving.finish()
    keeper.say_bye()
    os._exit(0)


def run_keeper(
    config: pytest.Config,
    session: pytest.Session,
    core: _core.Worker,
    plans: Plans,
    leaving: Leaving,
    wanted: list[Shared],
) -> tuple[_core.Worker, Leaving]:
    """The keeper's life. Returns in the workers that it forks."""
    pid = os.getpid()
    try:
        leaving.forget_before_fork()
        keeper = Keeper(config, session, core, plans, wanted)
        keeper.leaving = leaving
        keeper.become()
        worker = None
        try:
            if keeper.prepare():
                worker = keeper.serve()
        except (pytest.exit.Exception, KeyboardInterrupt):
            pass  # workers meet the first by themselves; the second ends the run
        if worker is None:
            _leave(keeper, leaving)
        assert keeper.leaving is not None
        return worker, keeper.leaving
    except BaseException:
        try:
            os.write(2, traceback.format_exc().encode("utf-8", "replace"))
        finally:
            os._exit(1 if os.getpid() == pid else 127)
