"""QE: a native accelerator for pytest.

Installing the distribution ``pytest-qe`` registers the plugin; without a
``--qe-`` option or ``qe_`` ini key it changes nothing. See
``docs/how-it-works.md`` for the way of one test through it.

A spawned worker imports this package before pytest's import hook is there;
PYTEST_DONT_REWRITE says that this is no mistake.
"""

from __future__ import annotations

from .errors import QeError

__all__ = ["QeError"]
