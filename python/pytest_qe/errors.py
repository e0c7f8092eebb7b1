"""Exceptions for the core's error codes, in one place."""

from __future__ import annotations


class QeError(Exception):
    """An error of the core. ``code`` is the negative number of ``qe.h``."""

    code: int

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidArgument(QeError, ValueError):
    """An argument that the core does not take (QE_EINVAL, QE_ETOOBIG)."""


class MalformedData(QeError, ValueError):
    """Data from elsewhere that is not what it should be (QE_EFORMAT)."""


class HistoryError(QeError):
    """The history database cannot be used: corrupt, locked or read-only."""


class NotFound(QeError, KeyError):
    """No such entry, or it has expired (QE_ENOTFOUND)."""


class WrongState(QeError):
    """A call out of order, or in a process that has no right to it."""


class QueueError(QeError):
    """A run across machines cannot go on as it should; the message is one line."""


class QueueGone(QueueError):
    """The server does not answer, or is no more (QE_EGONE)."""


class QueueRefused(QueueError):
    """The server will not have us: a wrong password, no TLS, no memory left (QE_EUNSUPPORTED)."""


class OtherPlan(QueueError):
    """The run has another plan, or what is on the server is not what it should be
    (QE_EFORMAT)."""


class RunEnded(QueueError):
    """The run is over or was stopped, or a call came out of order (QE_ESTATE)."""


class NoSuchRun(QueueError):
    """The server knows no such run (QE_ENOTFOUND)."""


_UNSUPPORTED = -12  # only the history says so

_KINDS: dict[int, type[QeError]] = {
    -2: InvalidArgument,
    -4: MalformedData,
    -5: HistoryError,
    -6: HistoryError,
    -7: HistoryError,
    -8: NotFound,
    -9: WrongState,
    -10: InvalidArgument,
    -12: HistoryError,
}


def from_code(code: int, message: str) -> QeError:
    """The exception for a code (called by the extension)."""
    if code == _UNSUPPORTED:
        message = "it was made by a newer version of qe"
    return _KINDS.get(code, QeError)(code, message)


_QUEUE_KINDS: dict[int, type[QeError]] = {
    -2: InvalidArgument,
    -4: OtherPlan,
    -8: NoSuchRun,
    -9: RunEnded,
    -11: QueueGone,
    -12: QueueRefused,
}


def from_queue(code: int, message: bytes) -> QeError:
    """The exception for a code of a queue (called by the extension).

    Args:
        message: from a server, perhaps: any bytes.
    """
    text = message.decode("utf-8", "backslashreplace")
    return _QUEUE_KINDS.get(code, QueueError)(code, text)
