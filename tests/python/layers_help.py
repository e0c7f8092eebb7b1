"""Configurations of layers that are right, and what is wrong with others."""

from __future__ import annotations

import json

import pytest

from pytest_qe.orchestration.config import parse
from pytest_qe.orchestration.mistakes import ConfigError

#: Every key of the format, each with a value that is right.
WHOLE = """\
version: 1
layers:
  unit:
    name: Unit tests
    execution_mode: parallel_limited
    max_duration_minutes: 2.5
    fail_fast: true
    timeout_multiplier: 2
    dependencies: []
    required_services: [database]
    llm_requirements: {mode: mock}
    resource_limits: {memory: 4 GiB, cpu: 1.5, parallel_instances: 2}
    success_criteria: {min_pass_rate: 99.5, max_failures: 0, required_categories: [fast]}
    categories:
      - name: fast
        framework: py.test
        paths: [tests/unit, "tests/test_*.py"]
        markers: not slow
        args: [-x, ""]
        timeout_seconds: 10
        priority_order: -1
        retries: 20
        resources: {memory: 536870912, cpu: 1, instances: 2, exclusive: [port 80]}
        environment: {NAME: "", _B1: "x = y"}
      - name: made
        command: make "with space" check
        depends_on: [fast]
  slow:
    categories: [{name: all, command: [make, "all && it"], depends_on: [unit/fast]}]
services:
  database:
    check: {tcp: "[::1]:5432"}
    start: [pg, start]
    stop: pg 'st op'
    ready_seconds: 1
    environment: {PG: "1"}
  web: {check: {http: "https://localhost:8080/ready?x=1"}}
  other: {check: {command: test -e /tmp}, start: sleep 5}
environment_overrides:
  own-one:
    layers:
      unit:
        fail_fast: false
        categories: [{name: fast, retries: 0}, {name: new, framework: "go test"}]
    services: {database: {start: other 'pg'}, other: {check: {command: curl x}}}
  staging: {}
"""

#: The start of a configuration that is right, five lines.
UNIT = """\
layers:
  unit:
    categories:
      - name: fast
        command: "true"
"""


def wrong(text: str) -> list[str]:
    """The lines of what is wrong, without the name of the file."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "t.yaml")
    lines = str(caught.value).split("\n")
    assert len(lines) == len(caught.value.mistakes)
    assert all(line.startswith("t.yaml") for line in lines)
    return [line.removeprefix("t.yaml:").strip() for line in lines]


SIZES = ["1", "512M", "2G", "2 G", "2GB", "2GiB", "10KiB", "1T", "5B", 1, 10**15]


def sized(size: object) -> str:
    categories = [{"name": "a", "command": "a"}]
    unit = {"resource_limits": {"memory": size}, "categories": categories}
    return f"layers: {json.dumps({'unit': unit})}"
