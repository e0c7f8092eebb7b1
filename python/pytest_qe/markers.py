"""Whether markers were added to a test since the collection: reports have its keywords."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def _markers(node: pytest.Item | pytest.Collector) -> dict[str, Any]:
    return getattr(node.keywords, "_markers", {})


class Markers:
    """How many markers a test and what it is in had when they were first seen in this
    worker, which is what the controller collected."""

    def __init__(self) -> None:
        #: Of what items are in: their dictionaries, and how many those held.
        self._chains: dict[int, tuple[list[dict[str, Any]], int]] = {}
        self._chain: list[dict[str, Any]] = []
        self._own: dict[str, Any] = {}
        self._before = 0

    def begin(self, item: pytest.Item) -> None:
        """This test is about to run."""
        parent = item.parent
        found = self._chains.get(id(parent))
        if found is None:
            chain = [] if parent is None else parent.listchain()
            dicts = [_markers(node) for node in chain]  # type: ignore[arg-type]
            found = self._chains[id(parent)] = (dicts, sum(map(len, dicts)))
        self._chain, count = found
        self._own = _markers(item)
        self._before = count + len(self._own)

    @property
    def changed(self) -> bool:
        """Whether keywords differ from what the controller collected."""
        return sum(map(len, self._chain), len(self._own)) != self._before
