"""Runs given passes over a suite under test (see ``given_passes.py``)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import Qe

GIVEN = Path(__file__).with_name("given_passes.py")
Pass = tuple[int, list[int | str], dict[str, Any] | None]


class Seen:
    """What came of the passes that were given."""

    def __init__(self, result: pytest.RunResult, data: dict[str, Any]) -> None:
        self.result = result
        self.refused = {int(number): names for number, names in data["refused"].items()}
        #: (pass, end of the id, 1 passed, 0 failed, 2 neither)
        self.results = [(p, name.split("::")[-1], r) for p, name, r in data["results"]]


def run(qe: Qe, passes: list[Pass], *args: str) -> Seen:
    """Runs these passes, two at once unless ``args`` say otherwise."""
    shutil.copy(GIVEN, qe.path / "conftest.py")
    (qe.path / "passes.json").write_text(json.dumps(passes), "utf-8")
    result = qe.run("--qe-flaky=20", "--qe-flaky-mode=adaptive", "--qe-parallel=2", *args)
    return Seen(result, json.loads((qe.path / "seen.json").read_text("utf-8")))


def passed(seen: Seen) -> bool:
    return {r for _, _, r in seen.results} == {1}
