"""A conftest.py for suites under test: a hunt has these hash seeds, each a server.

At the end ``gone.json`` names the servers that could not serve.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_qe import hunting

HERE = Path(__file__).parent
SEEDS = (11, 12, 13, 14)


class Seeded(hunting.Hunt):
    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **{**more, "hash_seeds": SEEDS})


hunting.Hunt = Seeded  # type: ignore[misc]


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    result = yield
    controller = session.config.pluginmanager.get_plugin("qe-controller")
    if controller is not None:
        (HERE / "gone.json").write_text(json.dumps(sorted(controller.servers_gone)), "utf-8")
    return result
