"""The ``qe`` command. Nothing here is imported by the pytest plugin."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status.

    Args:
        argv: its words, without the program's name; default: those of this process.

    Example: ``status = main(["exec", "tests/test_it.py"])``
    """
    try:
        from .app import run
    except KeyboardInterrupt:
        return 130  # as any other, though nothing could have been told yet

    return run(argv)
