"""What pytest finds out anew in every phase of every test, remembered.

Only for workers, in which nothing is collected any more. Each shortcut gives
what the long way gives, or takes the long way.
"""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import Any

import pytest
from _pytest.python import PyobjMixin


def remember_hook_proxies(session: pytest.Session) -> None:
    """``item.ihook`` asks seven times a test which conftests hold at its path.

    The answer depends on the path and on the conftests that are registered.
    The proxies look at the plugins of the moment by themselves.
    """
    ask = session.gethookproxy
    conftests = session.config.pluginmanager._conftest_plugins
    known: dict[Any, Any] = {}
    count = len(conftests)

    def gethookproxy(fspath: Any) -> Any:
        nonlocal count
        if len(conftests) != count:  # one was loaded by a test
            known.clear()
            count = len(conftests)
        found = known.get(fspath)
        if found is None:
            found = known[fspath] = ask(fspath)
        return found

    session.gethookproxy = gethookproxy  # type: ignore[method-assign]


class Locations:
    """``item.location``, a tenth of the cost of a trivial test: each time the
    path of the source is made, looked for on disk and made relative again."""

    def __init__(self) -> None:
        #: The path shown for the code of a file.
        self._shown: dict[str, str] = {}
        self._plain: dict[type, bool] = {}

    def get(self, item: pytest.Item) -> tuple[str, int | None, str]:
        """The location, which the item then remembers by itself.

        Raises what the item's own ``reportinfo`` raises.
        """
        kind = type(item)
        plain = self._plain.get(kind)
        if plain is None:
            plain = self._plain[kind] = (
                getattr(kind, "reportinfo", None) is PyobjMixin.reportinfo
                and getattr(kind, "location", None) is pytest.Item.location
            )
        if not plain or "location" in item.__dict__:
            return item.location
        function = item.obj  # type: ignore[attr-defined]
        if type(function) is MethodType:
            function = function.__func__
        if type(function) is not FunctionType:
            return item.location
        # What is wrapped or says that it is elsewhere takes the long way.
        extra = function.__dict__
        if extra and extra.keys() != {"pytestmark"}:
            return item.location
        code = function.__code__
        shown = self._shown.get(code.co_filename)
        if shown is None:
            location = item.location
            if location[1] == code.co_firstlineno - 1:
                self._shown[code.co_filename] = location[0]
            return location
        name = item.getmodpath()  # type: ignore[attr-defined]
        location = item.__dict__["location"] = (shown, code.co_firstlineno - 1, name)
        return location
