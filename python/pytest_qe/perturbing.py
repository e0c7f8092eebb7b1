"""What is changed around a pass (``qe_around.h``), in the worker that runs it.

The core does what is about the process; here is what is about the interpreter. Nothing of
this is put back: a pass has a worker of its own, and ends with it.
"""

from __future__ import annotations

import locale
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pytest

from . import reports
from .events import DataKind
from .noise import Delays, Entropy

if TYPE_CHECKING:
    from . import _core
    from .worker import Worker

_MOST_KEPT = 90


class Changes:
    """What is changed around the pass of a worker.

    Args:
        worker: which has its capture, its folders and its environment already.
    """

    def __init__(self, worker: Worker) -> None:
        self.core: _core.Worker = worker.core
        self.asked: dict[str, Any] = worker.job["around"]
        self.root = str(worker.config.rootpath)
        #: How far the clock of tests is ahead; set at each start, and before the body.
        self.ahead = 0.0
        self.entropy: Entropy | None = None
        self.delays: list[Delays] = []

    def begin(self, worker: Worker) -> None:
        """Changes all that can be changed, and tells the controller what cannot."""
        folder = worker.plans.folder
        refused = self.core.around(
            os.fsencode(folder) if folder else None,
            os.fsencode(tempfile.gettempdir()),
            os.fsencode(os.path.expanduser("~")),
            _kept(worker),
        )
        if folder and "files" in self.asked and "files" not in refused:
            _name_folders(os.path.join(folder, str(self.asked["files"])), refused)
        refused += [
            name for name, change in _CHANGES.items() if name in self.asked and not change(self)
        ]
        if refused:
            worker._send(DataKind.REFUSED, reports.dumps((worker.job["pass"], refused)))

    def start(self, seed: int) -> None:
        """An attempt has begun, which draws by this seed."""
        self.set_clock()
        if self.entropy is not None:
            self.entropy.start(seed)
        for delays in self.delays:
            delays.start(seed)

    def set_clock(self) -> None:
        """The core has set it."""
        self.ahead = self.core.ahead()

    def stop(self) -> None:
        """It is over: what follows is ours."""
        for delays in self.delays:
            delays.stop()

    def true_times(self, report: pytest.TestReport) -> None:
        """A report's times are those of the clock that tests see."""
        if self.ahead:
            for name in ("start", "stop"):
                if isinstance(seen := getattr(report, name, None), float):
                    setattr(report, name, seen - self.ahead)


def _kept(worker: Worker) -> list[bytes]:
    """Folders that stay what they are: of the project, of the interpreter, of what is
    measured; and those where programs are found."""
    config = worker.config
    factory = getattr(config, "_tmp_path_factory", None)
    basetemp = getattr(factory, "_basetemp", None)
    wanted: list[Any] = [config.rootpath, config.invocation_params.dir, basetemp]
    wanted += [basetemp.parent] if basetemp is not None else []
    wanted += [worker.plans.folder and os.path.dirname(worker.plans.folder)]
    wanted += [worker.plans.log_file and os.path.dirname(worker.plans.log_file)]
    if "coverage" in sys.modules:
        wanted.append(os.path.dirname(_data_file(sys.modules["coverage"])))
    wanted += [sys.prefix, sys.base_prefix, os.path.dirname(sys.executable), *sys.path]
    wanted += os.environ.get("PATH", "").split(os.pathsep)
    places = (os.path.realpath(tempfile.gettempdir()), os.path.realpath(os.path.expanduser("~")))
    return [os.fsencode(path) for path in _inside(wanted, places)][:_MOST_KEPT]


def _data_file(coverage: Any) -> str:
    current = coverage.Coverage.current()
    return "" if current is None else str(current.config.data_file)


def _inside(wanted: Iterable[Any], places: tuple[str, ...]) -> list[str]:
    """Those of these folders that lie in a place or are one, without repetitions."""
    found = dict.fromkeys(os.path.realpath(path) for path in wanted if path)
    return [
        path
        for path in found
        if any(path == place or path.startswith(place.rstrip("/") + "/") for place in places)
    ]


def _name_folders(folder: str, refused: list[str]) -> None:
    """Where they could not be mounted over the real ones."""
    if "tmp_by_name" in refused:
        tempfile.tempdir = os.environ["TMPDIR"] = os.path.join(folder, "tmp")
    if "home_by_name" in refused:
        os.environ["HOME"] = os.path.join(folder, "home")


def _entropy(changes: Changes) -> bool:
    changes.entropy = Entropy()
    return True


def _slow(main: bool) -> Callable[[Changes], bool]:
    def change(changes: Changes) -> bool:
        delays = Delays(changes.root, main)
        if not delays.can_begin():
            return False
        changes.delays.append(delays)
        return True

    return change


def _c_locale(changes: Changes) -> bool:
    os.environ["LC_ALL"] = "C"
    try:
        locale.setlocale(locale.LC_ALL, "C")
    except locale.Error:
        return False
    return True


def _zone(changes: Changes) -> bool:
    """Far from UTC, by quarters of an hour, with summer time; and not the one that is."""
    before = time.localtime(0).tm_gmtoff
    for name, rule in _ZONES:
        known = os.path.exists(os.path.join("/usr/share/zoneinfo", name))
        os.environ["TZ"] = name if known else rule
        time.tzset()
        if time.localtime(0).tm_gmtoff != before:
            return True
    return False


_ZONES = (
    ("Pacific/Chatham", "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45"),
    ("America/Los_Angeles", "PST8PDT,M3.2.0,M11.1.0"),
)

_CHANGES: dict[str, Callable[[Changes], bool]] = {
    "entropy": _entropy,
    "slow_threads": _slow(False),
    "slow_main": _slow(True),
    "c_locale": _c_locale,
    "zone": _zone,
}
