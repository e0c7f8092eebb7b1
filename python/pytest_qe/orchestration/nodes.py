"""Layers of a run that several nodes share through a queue server.

On the server there is a run for all of them, whose units are their categories, and one for each
attempt of a category, whose units are its files or tests. Of the first nothing is claimed: it says
whether the nodes have the same layers, whether somebody stopped all of it, and what came of each
category, told by the first node that knows.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from .. import _core, queues
from ..errors import NoSuchRun, OtherPlan, QeError, RunEnded
from ..frameworks import Command
from ..keys import key
from ..queuenode import FAILING, NodeRefused, NoServer
from .ending import Ending

if TYPE_CHECKING:
    from .. import _queue
    from ..agents.sharing import CommandNode, Shared
    from ..queuereport import Test, Whole

_LOOK_S = 1.0  # between two looks at whether the run was stopped
_POLL_S = 0.3  # ... and whether a category is over
_TOLD_S = 2.0  # who waits for longer says what for
_LEASE_S = 10.0
_MOST_FAILURES = 20
_MOST_TEXT = 2000
_PART = re.compile(r"[A-Za-z0-9_-]{1,40}")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Verdict:
    """What an attempt of a category came to on all nodes.

    Attributes:
        run: its name on the server.
        outcome: "" where not all of it has one, and nothing failed.
        units: of it, ``missing`` of which have no outcome.
        tests: how many by what became of them; None: not known.
        failures: ``name`` and ``message`` of what failed, the first 20.
        failed: how many did.
    """

    run: str
    outcome: str
    units: int
    missing: int
    tests: Mapping[str, int] | None
    failures: Sequence[Mapping[str, str]]
    failed: int
    stopped: bool

    def described(self, here: int) -> dict[str, Any]:
        """For the ``end`` event; ``here`` is how many of it ran on this node."""
        return {"run": self.run, "units": self.units, "here": here, "missing": self.missing}


def verdict_of(whole: Whole, *, of_tests: bool) -> Verdict:
    """What a run on the server says.

    Args:
        of_tests: its units are tests; otherwise files or commands, which count theirs.
    """
    failed = list(whole.failed())
    missing = len(whole.missing)
    outcome = "" if missing else "passed"
    if failed:
        outcome = "failed" if of_tests else _core.outcome_name(failed[0].outcome)
    elif missing and whole.status["state"] == "stopped":
        outcome = "timeout"  # some node's time for it was over
    elif whole.troubles:
        outcome = "error"
    return Verdict(
        whole.name, outcome, len(whole.tests), missing,
        _counted(whole.tests) if of_tests else _summed(whole.tests),
        [_failure(test) for test in failed[:_MOST_FAILURES]], len(failed),
        whole.status["state"] == "stopped",
    )  # fmt: skip


def _failure(test: Test) -> dict[str, str]:
    from ..queuereport import told

    text = next((one.text for one in reversed(test.attempts) if one.text), "")
    return {"name": test.name, "message": told(test, text)[:_MOST_TEXT]}


def _counted(tests: Sequence[Test]) -> dict[str, int] | None:
    found = dict.fromkeys(("passed", "failed", "skipped", "errors"), 0)
    for test in tests:
        if test.outcome == _core.ERROR and test.failed:
            found["errors"] += 1
        elif test.failed:
            found["failed"] += 1
        elif test.outcome in (_core.PASSED, _core.FLAKY):
            found["passed"] += 1
        else:
            found["skipped"] += 1
    return {"total": len(tests), **found} if tests else None


def _summed(tests: Sequence[Test]) -> dict[str, int] | None:
    known = [test.tests for test in tests if test.tests is not None]
    return {name: sum(one[name] for one in known) for name in known[0]} if known else None


def joined(own: Ending, verdict: Verdict | None, here: int, *, own_counts: bool) -> Ending:
    """What an attempt came to, by what this node saw of it and by all of it.

    What the nodes have told counts; where ``own_counts``, a node whose own part failed otherwise,
    such as in the tear-down of a session, does not pass.
    """
    if verdict is None or verdict.units == 0:
        return own
    shared = verdict.described(here)
    if verdict.outcome == "passed" and not own.passed and own_counts:
        return replace(own, shared=shared)
    if verdict.outcome == "":
        said = f"{verdict.missing} of {verdict.units} have no outcome, and no node works on them"
        outcome = "error" if own.passed else own.outcome
        return replace(own, outcome=outcome, said=said, tests=verdict.tests, shared=shared)
    found = replace(
        own, outcome=verdict.outcome, tests=verdict.tests, failures=verdict.failures, shared=shared
    )
    if found.passed or not own.passed:
        return found
    said = f"{verdict.failed} of {verdict.units} failed on other nodes"
    if verdict.outcome == "timeout":
        said = f"it was stopped on another node, whose time was over: {verdict.missing} left"
    return replace(found, shown=None, said=said)


class LayerNode:
    """A node's part in a run of layers.

    Args:
        shared: which run.

    Example::

        node = LayerNode(shared)
        node.join(["unit/fast", "unit/slow"])
        ...
        node.close()
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._target = shared.target
        self._lease = shared.lease or _LEASE_S
        self._queue: _queue.Queue | None = None
        self._reader: _queue.Reader | None = None
        self._lock = threading.Lock()  # of the reader
        self._places: dict[str, int] = {}
        self._untold: list[tuple[str, int, float, float, str | None]] = []
        self.ended: str | None = None  # before we came
        self.stopped = False
        self.refused: str | None = None  # another node has other layers, or other files
        self.trouble: str | None = None  # the server is gone for good
        self.here = 0  # units that ran on this node
        self._active: set[str] = set()  # runs of categories that this node has a part in

    def join(self, categories: Sequence[str]) -> None:
        """Comes to the run; the first node lays it.

        Args:
            categories: all that is to run, as ``layer/category``, in the configuration's order.

        Raises: ``ValueError`` for a name that cannot be, ``NodeRefused``, ``NoServer``.
        """
        count = len(categories)
        self._places = {name: place for place, name in enumerate(categories)}
        queues.run(max((self.run_of(name, 1) for name in categories), key=len, default=None), {})
        self._queue = queues.open_queue(
            self._target, [key(name) for name in categories], range(count), [0] * count,
            [0] * count, workers=1, lease=self._shared.lease,
        )  # fmt: skip
        queues.take_password()
        try:
            self._queue.join()
        except OtherPlan:
            text = self._queue.text.replace(" tests", " categories", 1)
            raise NodeRefused(f"{text}: every node runs the same layers") from None
        except RunEnded:
            self.ended = self._queue.text
            self.stopped = self._queue.end is not None and self._queue.end.stopped
        except QeError as error:
            raise NoServer(self._queue.text or str(error)) from None
        else:
            self._queue.start()

    def run_of(self, category: str, attempt: int) -> str:
        """The name of the run of an attempt (from 1) of ``layer/category``."""
        layer, _, name = category.partition("/")
        parts = [self._target.run, _plain(layer), _plain(name)]
        return ".".join(parts if attempt == 1 else [*parts, str(attempt)])

    def shared_of(self, category: str, attempt: int) -> Shared:
        """The run of an attempt of a category."""
        target = replace(self._target, run=self.run_of(category, attempt))
        return replace(self._shared, target=target)

    def as_node(self, command: Command, shared: Shared) -> Command:
        """A command of pytest that takes part in a run, with no password in its words."""
        server = shared.target.server
        user, password, url = server.user, server.password, server.url
        found = re.fullmatch(r"(\w+://)([^:@/]*)(?::(.*))?@([^@]*)", url)
        if found is not None:
            url = found[1] + found[4]
            user = user or unquote(found[2]) or None
            password = password or (unquote(found[3]) if found[3] else None)
        words = [
            f"--qe-queue={url}", f"--qe-run={shared.target.run}",
            f"--qe-queue-project={shared.target.project}", f"--qe-queue-lease={self._lease:g}",
        ]  # fmt: skip
        if server.ca_file is not None:
            words.append(f"--qe-queue-ca-file={os.path.abspath(server.ca_file)}")
        at = 1 + next(n for n, word in enumerate(command.argv) if _is_parallel(word))
        env = {
            **command.env, "QE_QUEUE_USER": user, "QE_QUEUE_PASSWORD": password,
            "QE_QUEUE_PASSWORD_FILE": None,
        }  # fmt: skip
        return replace(command, argv=(*command.argv[:at], *words, *command.argv[at:]), env=env)

    # ------------------------------------------------------------- on the server

    def _ask(self, what: Callable[[_queue.Reader], _T]) -> _T:
        """What a reader says; one connection for all of them."""
        with self._lock:
            if self._reader is None:
                self._reader = self._target.server.reader(self._target.project)
            try:
                return what(self._reader)
            except NoSuchRun:
                raise
            except QeError:
                self._reader.close()
                self._reader = None
                raise

    @contextmanager
    def part_in(self, run: str) -> Iterator[None]:
        """While this node has a part in the run of a category."""
        self._active.add(run)
        try:
            yield
        finally:
            self._active.discard(run)

    def status(self, run: str) -> _queue.Status | None:
        """A run now; None: there is none, or the server does not answer."""
        try:
            return self._ask(lambda reader: reader.status(run))
        except QeError:
            return None

    def stop(self, run: str) -> None:
        """Nothing more of a category starts, on any node: the time for it is over."""
        try:
            self._ask(lambda reader: reader.stop(run))
        except QeError:
            pass  # the others have clocks of their own

    async def watch(self, on_stop: Callable[[], None]) -> None:
        """Until it is cancelled: tells what is to be told, and hears whether the run is stopped."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await asyncio.to_thread(self._tell_all)
            status = await asyncio.to_thread(self.status, self._target.run)
            if status is not None and status["state"] == "stopped" and not self.stopped:
                self.stopped = True
                for run in list(self._active):  # or what one node leaves another begins
                    await asyncio.to_thread(self.stop, run)
                on_stop()

    async def look_on(
        self, run: str, own: Sequence[CommandNode], waits: Callable[[int, int], None]
    ) -> None:
        """Until it is cancelled, or other nodes have had all that is left of a category for a
        while: then ``waits`` is told how much that is, and of how many.

        Args:
            own: this process's node of the run, if it is known.
        """
        since: float | None = None
        while True:
            await asyncio.sleep(_POLL_S)
            status = await asyncio.to_thread(self.status, run)
            if status is None or not _with_others(status, [one.node.name for one in own]):
                since = None
                continue
            now = time.monotonic()
            since = now if since is None else since
            if now - since > _TOLD_S:
                waits(status["left"], status["units"])
                return

    async def verdict(
        self, run: str, *, of_tests: bool, leave: Callable[[], bool]
    ) -> Verdict | None:
        """What a category came to on all nodes: waits until it is over, or nobody works on it.

        Args:
            leave: whether to wait no longer.

        Returns: None where no node has begun it, or it was left.

        Raises: ``NoServer``, after two leases without an answer.
        """
        heard = time.monotonic()
        while not leave():
            try:
                status = await asyncio.to_thread(self._ask, lambda reader: reader.status(run))
                heard = time.monotonic()
                if status["state"] in ("over", "stopped") or not self._anybody(status):
                    whole = await asyncio.to_thread(self._ask, lambda reader: _whole(reader, run))
                    return verdict_of(whole, of_tests=of_tests)
            except NoSuchRun:
                return None
            except QeError as error:
                if time.monotonic() - heard > 2 * self._lease:
                    raise NoServer(str(error)) from None
            await asyncio.sleep(_POLL_S)
        return None

    def _anybody(self, status: _queue.Status) -> bool:
        if status["state"] == "laying":
            return status["idle_s"] < 2 * self._lease
        ages = [node["age_s"] for node in status["nodes"]]
        return any(age is not None and age < 2 * self._lease for age in ages)

    # ------------------------------------------------------------------ telling

    def tell(self, category: str, outcome: str, began: float, seconds: float, said: str) -> None:
        """What came of ``layer/category``; the first to say so counts."""
        number = {"interrupted": _core.NONE, "skipped": _core.SKIPPED}.get(outcome)
        if number is None:
            number = next(
                (one for one in (_core.PASSED, *FAILING) if _core.outcome_name(one) == outcome),
                _core.ERROR,
            )
        if number != _core.NONE:
            bad = number in FAILING or number == _core.SKIPPED
            self._untold.append((category, number, began, seconds, said if bad else None))

    def _tell_all(self) -> None:
        while self._untold and self._queue is not None and self.ended is None:
            category, outcome, began, seconds, said = self._untold[0]
            place = self._places[category]
            try:
                found = self._ask(partial(_unit_at, self._target.run, place))
            except QeError:
                return
            del self._untold[0]
            if found and found[0][1] != _core.NONE:
                continue  # another node was the first
            failed = outcome in FAILING
            payload = queues.pack(
                outcome=outcome, start=began, duration=seconds, worker=0, message=said,
                failures=[("run", said)] if failed and said else [],
            )  # fmt: skip
            self._queue.tell(place, 1, outcome, False, failed, payload)

    def close(self) -> None:
        """Tells the rest, and leaves the run."""
        if self._queue is not None and self.ended is None:
            self._tell_all()
            try:
                self._queue.finish()
            except QeError:
                pass  # what it could not tell the others do
        self._queue = None
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def described(self) -> dict[str, Any]:
        """For the result."""
        run = self._target.run
        if self.ended is not None and not self.here:
            lines = [f"run {run}: {self.ended}; nothing was left for this node"]
        else:
            lines = [f"run {run}: {self.here} of its files and tests ran here"]
        if self.stopped and self.ended is None:
            lines.append(f"run {run} was stopped (qe queue abort): nothing more of it starts")
        return {"run": run, "lines": lines, "stopped": self.stopped, "trouble": self.trouble}


def _whole(reader: _queue.Reader, run: str) -> Whole:
    from ..queuereport import Whole

    return Whole(reader, run)


def _with_others(status: _queue.Status, own: Sequence[str]) -> bool:
    """Whether all that is left of a run has begun, and not on the nodes of these names."""
    if status["open"] or not status["left"] or len(status["nodes"]) < 2:
        return False
    return not any(node["claimed"] for node in status["nodes"] if node["name"] in own)


def _unit_at(run: str, place: int, reader: _queue.Reader) -> list[tuple[bytes, int]]:
    return reader.units(run, place, 1)


def _plain(name: str) -> str:
    """A part of a run's name; two that look alike are told apart by what follows."""
    if _PART.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{re.sub('[^A-Za-z0-9_-]+', '-', name)[:40].strip('-')}-{digest}"


def _is_parallel(word: str) -> bool:
    return word == "--qe-parallel" or word.startswith("--qe-parallel=")


def shares_tests(command: Command) -> bool:
    """Whether its tests can be shared one by one: it is pytest, with this plugin's workers."""
    return (
        command.framework == "pytest"
        and any(map(_is_parallel, command.argv))
        and not any(word.startswith("--qe-queue") for word in command.argv)
    )


def node_of(shared: Shared | None) -> LayerNode | None:
    """Raises: ``TypeError``."""
    from ..agents.sharing import Shared

    if shared is not None and not isinstance(shared, Shared):
        raise TypeError(f"shared: takes Shared, not {shared!r}")
    return None if shared is None else LayerNode(shared)


def names_of(category: Mapping[str, Any], commands: Sequence[Command], folder: str) -> list[str]:
    """What a category's commands are called on every node: the files, or the words."""
    if "command" in category:
        given = category["command"]
        return [given if isinstance(given, str) else " ".join(given)]
    names = [os.path.relpath(os.path.join(folder, command.file), folder) for command in commands]
    more = len(category.get("paths", ())) - 1
    if len(commands) == 1 and more > 0:
        return [f"{names[0]} and {more} more"]
    return names
