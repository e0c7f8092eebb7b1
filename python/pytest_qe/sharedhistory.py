"""A history that several machines share: a log of runs on a server, followed by a replica here.

What is asked of the history, is asked of the replica, an SQLite database as every history. It
takes in what others have appended to the log when a run or a command begins; a run is saved in it,
and then appended. What could not be appended is at the next contact. The quarantine of the project
is on the server, too, with a copy as a file beside the replica.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from . import _core, places, quarantine, queues
from .errors import InvalidArgument, NotFound, QeError, QueueError
from .quarantine import Entry, QuarantineError

if TYPE_CHECKING:
    from . import _queue

#: Seconds for an answer, and for all that is taken in at once.
ANSWER_S = 5.0
TAKE_S = 30.0
#: Entries of a log that are taken in at once: ours have 200 at most.
_MOST_ENTRIES = 1000
_TOO_BIG = -10


class SharedHistoryError(ValueError):
    """What was asked for makes no sense; the message is one line, without any password."""


def is_shared(given: str | None) -> bool:
    """Whether a history is on a server.

    Args:
        given: a path, or redis://HOST[:PORT][/DATABASE], or rediss:// for TLS.

    Raises: ``SharedHistoryError``: it is the address of something else.
    """
    scheme, found, _ = (given or "").partition("://")
    if found and scheme not in ("redis", "rediss"):
        raise SharedHistoryError(
            f"{queues.hidden(given or '')}: takes the path of a file, redis://HOST, or rediss://HOST"
        )
    return bool(found)


class SharedHistory:
    """A project's history on a server, and its replica here. Nothing is connected to yet.

    Args:
        url: of the server.
        root: the project's folder, in whose ``.qe`` the replica is.
        project: its name on the server; None: as ``queues.project`` finds it.
        password_file, ca_file: as of ``queues.server``.

    Raises: ``SharedHistoryError``.

    Example::

        shared = SharedHistory("redis://history.example.org", Path.cwd())
        shared.pull()
        history = _core.History(os.fsencode(shared.path))
    """

    def __init__(
        self,
        url: str,
        root: Path,
        *,
        project: str | None = None,
        password_file: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        try:
            self._server = queues.server(url, password_file=password_file, ca_file=ca_file)
            self._project = queues.project(project, root)
            queues.extension()
        except ValueError as error:
            text = str(error).replace("the queue's", "the history's")
            raise SharedHistoryError(text.replace("--project", "QE_QUEUE_PROJECT")) from None
        #: What went wrong since the last look, each in a line.
        self.warnings: list[str] = []
        at = f"{url.partition('://')[0]}://{url.partition('://')[2].rpartition('@')[2].rstrip('/')}"
        digest = hashlib.sha256("\0".join((at, queues.PREFIX, self._project)).encode()).hexdigest()
        self._above = root / places.FOLDER
        self.folder = self._above / f"shared-{digest[:12]}"
        #: The replica, and the copy of the quarantine.
        self.path = self.folder / places.HISTORY
        self.quarantine = self.folder / "quarantine.json"
        quarantine.ELSEWHERE[self.quarantine] = self._change
        _known[self.path] = self

    # ----------------------------------------------------------------- contact

    @contextmanager
    def _reader(self) -> Iterator[_queue.Reader]:
        try:
            reader = self._server.reader(self._project, timeout=ANSWER_S)
        except InvalidArgument as error:
            raise SharedHistoryError(str(error).replace("the queue's", "the history's")) from None
        try:
            yield reader
        finally:
            reader.close()

    def _contact(self, what: Callable[[_core.History, _queue.Reader], None], lost: str) -> None:
        """Does something with the replica and the server; trouble is a warning.

        Args:
            lost: what that is for, if the server is not there.

        Raises: ``SharedHistoryError``: the address is none.
        """
        history = None
        try:
            places.make_folder(self._above)
            self.folder.mkdir(exist_ok=True)
            history = _core.History(os.fsencode(self.path))
            history.follow()
            with self._reader() as reader:
                what(history, reader)
        except QueueError as error:
            says = str(error).replace("is no run of ours", "is no history of ours")
            self.warnings.append(f"the shared history: {says}: {lost}")
        except (QeError, OSError) as error:
            self.warnings.append(f"history {self.path} is not used: {error}")
        finally:
            if history is not None:
                history.close()

    def pull(self) -> None:
        """Takes in what is new on the server, and appends what it does not have yet.

        Raises: ``SharedHistoryError``: the address is none.
        """
        self._contact(self._pull, "what is known here is used")

    def _pull(self, history: _core.History, reader: _queue.Reader) -> None:
        until, seen, taken, odd = time.monotonic() + TAKE_S, 0, 0, 0
        while True:
            log, entries = reader.log_read(*history.followed())
            if not entries:
                break
            found = history.take(log, entries)
            seen, taken, odd = seen + len(entries), taken + found[0], odd + found[1]
            if seen >= _MOST_ENTRIES or time.monotonic() > until:
                self.warnings.append(
                    "the shared history: has more than can be taken in at once: the rest "
                    "comes with the next run"
                )
                break
        if odd:
            self.warnings.append(
                f"the shared history: {odd} of its entries are no runs: passed over"
            )
        if taken:
            history.gc(places.MOST_RUNS)
        self._push(history, reader)
        self._copy(reader)

    def push(self) -> None:
        """Appends what was saved here to the log on the server."""
        self._contact(self._push, "this run is appended at the next contact")

    def _push(self, history: _core.History, reader: _queue.Reader) -> None:
        for name, run in history.unsent():
            try:
                data, tests = history.export(run)
            except NotFound:
                pass  # it was dropped meanwhile
            except QeError as error:
                if error.code != _TOO_BIG:
                    raise
                self.warnings.append("the shared history: takes no run as large as this one")
            else:
                reader.log_append(name, data, places.runs_kept(tests))
            history.sent(name)

    # -------------------------------------------------------------- quarantine

    def _copy(self, reader: _queue.Reader) -> None:
        """Writes the server's quarantine to our copy."""
        entries, odd = [], 0
        for id_, value in reader.held():
            try:
                entry = quarantine.entry_of(value)
            except QuarantineError:
                odd += 1
            else:
                if entry.id.encode("utf-8", "replace") == id_:
                    entries.append(entry)
                else:
                    odd += 1
        if odd:
            self.warnings.append(
                f"the shared quarantine: {odd} of its entries are none: passed over"
            )
        entries.sort(key=lambda entry: entry.id)
        try:
            quarantine.write(self.quarantine, entries)
        except QuarantineError as error:
            self.warnings.append(str(error))

    def held(self) -> list[Entry]:
        """The quarantine, as it was at the last contact; trouble is a warning."""
        if not self.quarantine.exists():
            return []
        try:
            return quarantine.load(self.quarantine)
        except QuarantineError as error:
            self.warnings.append(str(error))
            return []

    def _change(self, add: list[Entry], remove: set[str]) -> None:
        """Changes the quarantine on the server, and then our copy.

        Raises: ``QuarantineError``: nothing more was changed.
        """
        try:
            with self._reader() as reader:
                for entry in add:
                    value = json.dumps(entry.fields(), ensure_ascii=False).encode()
                    reader.hold(entry.id.encode(), value)
                for id_ in sorted(remove):
                    reader.release(id_.encode())
                self._copy(reader)
        except (QeError, ValueError) as error:
            raise QuarantineError(f"the shared quarantine: {error}") from None


#: By their replicas.
_known: dict[Path, SharedHistory] = {}


def of(path: Path) -> SharedHistory | None:
    """The shared history whose replica this is, of those that were made in this process."""
    return _known.get(path)


def of_environment(folder: Path) -> SharedHistory | None:
    """The shared history that QE_HISTORY names; None where it names none.

    Args:
        folder: the project's.

    Raises: ``SharedHistoryError``.
    """
    given = os.environ.get("QE_HISTORY")
    return SharedHistory(given, folder) if given and is_shared(given) else None


def followed(given: str) -> tuple[Path, list[str]]:
    """What a command reads where its history is on a server: the replica, after a look at the
    server, and what went wrong.

    Args:
        given: the server's address.

    Raises: ``SharedHistoryError``.
    """
    root = places.history_of_project().parent.parent
    shared = SharedHistory(given, root)
    shared.pull()
    return shared.path, shared.warnings
