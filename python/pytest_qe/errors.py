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
