"""test_layers.yaml: found, read and checked, with a line for each mistake."""

from __future__ import annotations

import doctest
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_qe import frameworks
from pytest_qe.orchestration import checking, config, mistakes, schema, yamlfile
from pytest_qe.orchestration.checking import check_merged, checked, from_core, missing
from pytest_qe.orchestration.config import Config, find, parse, read
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


# ----------------------------------------------------------------- what is right


def test_everything_that_the_format_has_is_taken() -> None:
    found = parse(WHOLE)
    unit = found.data["layers"]["unit"]
    assert unit["max_duration_minutes"] == 2.5
    assert unit["categories"][0]["framework"] == "pytest"
    assert unit["categories"][1]["command"] == ["make", "with space", "check"]
    assert found.data["layers"]["slow"]["categories"][0]["command"] == ["make", "all && it"]
    services = found.data["services"]
    assert services["database"]["stop"] == ["pg", "st op"]
    assert services["database"]["start"] == ["pg", "start"]
    assert services["other"]["check"]["command"] == ["test", "-e", "/tmp"]
    over = found.data["environment_overrides"]["own-one"]
    assert over["layers"]["unit"]["categories"][1]["framework"] == "go"
    assert over["services"]["database"]["start"] == ["other", "pg"]
    assert over["services"]["other"]["check"]["command"] == ["curl", "x"]
    assert found.environments == ["own-one", "staging"]
    assert json.loads(found.json()) == found.data


def test_every_key_and_item_has_its_line() -> None:
    lines = parse(WHOLE).lines
    text = WHOLE.split("\n")
    assert lines["version"] == 1
    assert lines["layers.unit.categories[0].paths[1]"] == lines["layers.unit.categories[0].paths"]
    assert "- name: made" in text[lines["layers.unit.categories[1]"] - 1]
    assert "depends_on: [fast]" in text[lines["layers.unit.categories[1].depends_on[0]"] - 1]
    assert "PG:" in text[lines["services.database.environment.PG"] - 1]
    over = "environment_overrides.own-one.layers.unit.categories[1].framework"
    assert "go test" in text[lines[over] - 1]


def test_the_whole_example_uses_every_key_of_the_schema() -> None:
    used: set[str] = set()

    def walk(value: Any) -> None:
        for key, item in value.items() if isinstance(value, dict) else ():
            used.add(key)
            walk(item)
        for item in value if isinstance(value, list) else ():
            walk(item)

    walk(parse(WHOLE).data)
    defined: set[str] = set()

    def keys(part: Any) -> None:
        for key, item in part.items() if isinstance(part, dict) else ():
            if key == "properties":
                defined.update(item)
            keys(item)
        for item in part if isinstance(part, list) else ():
            keys(item)

    keys(schema.schema())
    assert defined <= used


def test_the_schema_is_one_and_says_of_each_key_what_it_is_and_takes() -> None:
    jsonschema.Draft202012Validator.check_schema(schema.schema())
    defs = schema.schema()["$defs"]
    seen = 0

    def look(part: Any, path: str) -> None:
        nonlocal seen
        if isinstance(part, list):
            for item in part:
                look(item, path)
        if not isinstance(part, dict):
            return
        if part.get("type") == "object" and "properties" in part:
            assert part.get("additionalProperties") is False, path
            for key, item in part["properties"].items():
                seen += 1
                assert "description" in item, f"{path}.{key}"
                at = item
                while "title" not in at and "$ref" in at:
                    at = defs[at["$ref"].rpartition("/")[2]]
                assert "title" in at, f"{path}.{key}"
                if "default" in item:
                    validator = jsonschema.Draft202012Validator(
                        {**item, "$defs": defs, "$schema": schema.schema()["$schema"]}
                    )
                    validator.validate(item["default"])
        for key, item in part.items():
            look(item, f"{path}.{key}")

    look(schema.schema(), "")
    assert seen > 40


def test_the_schema_names_the_frameworks_that_there_are() -> None:
    category = schema.schema()["$defs"]["category"]["properties"]["framework"]
    names = [name for name in frameworks.names() if name != "command"]
    every = {alias for name in names for alias in (name, *frameworks.lookup(name).aliases)}
    assert set(category["enum"]) == every
    assert category["title"] == f"one of {', '.join(names)}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timeout_seconds", 300), ("priority_order", 0), ("retries", 0), ("args", []),
        ("paths", ["."]),
    ],
)  # fmt: skip
def test_defaults_of_a_category(key: str, value: object) -> None:
    assert schema.schema()["$defs"]["category"]["properties"][key]["default"] == value


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("layer", "execution_mode", "sequential"), ("layer", "fail_fast", False),
        ("layer", "timeout_multiplier", 1), ("service", "ready_seconds", 30),
    ],
)  # fmt: skip
def test_defaults_of_layers_and_services(kind: str, key: str, value: object) -> None:
    assert schema.schema()["$defs"][kind]["properties"][key]["default"] == value


SIZES = ["1", "512M", "2G", "2 G", "2GB", "2GiB", "10KiB", "1T", "5B", 1, 10**15]


def sized(size: object) -> str:
    categories = [{"name": "a", "command": "a"}]
    unit = {"resource_limits": {"memory": size}, "categories": categories}
    return f"layers: {json.dumps({'unit': unit})}"


@pytest.mark.parametrize("size", SIZES)
def test_sizes(size: object) -> None:
    data = parse(sized(size)).data
    assert data["layers"]["unit"]["resource_limits"]["memory"] == size


def test_yaml_is_1_2() -> None:
    data = parse(
        UNIT + "        environment: {A: yes, B: 12:30, C: 2020-01-01, D: off, E: =}\n"
    ).data
    environment = data["layers"]["unit"]["categories"][0]["environment"]
    assert environment == {"A": "yes", "B": "12:30", "C": "2020-01-01", "D": "off", "E": "="}


def test_aliases_stand_for_values_and_share_nothing() -> None:
    data = parse(
        "layers:\n"
        "  a: {categories: [{name: a, command: &c [make, it], environment: &e {A: x}}]}\n"
        "  b: {categories: [{name: b, command: *c, environment: *e}]}\n"
    ).data
    one, two = (data["layers"][name]["categories"][0] for name in "ab")
    assert two["command"] == ["make", "it"]
    assert two["environment"] == {"A": "x"}
    assert one["command"] is not two["command"]


@pytest.mark.filterwarnings("error")
def test_an_anchor_may_be_given_again() -> None:
    text = "layers: {a: {categories: [{name: &x a, command: *x}, {name: &x b, command: *x}]}}"
    one, two = parse(text).data["layers"]["a"]["categories"]
    assert (one["command"], two["command"]) == (["a"], ["b"])


# ------------------------------------------------------------- mistakes in YAML

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)

BAD_YAML = {
    "tab": ("layers:\n\tunit: 1\n", "2: a tab: YAML is indented with spaces"),
    "indentation": (
        "layers:\n    unit:\n      x: 1\n   slow: 1\n",
        "4: this fits to nothing above it: the indentation is off, or a text needs quotes",
    ),
    "deeper": (
        "a: 1\n  b: 2\n",
        "2: ':' fits in no way here: the indentation is off, the line above lacks a space behind "
        "its ':', or the text needs quotes",
    ),
    "quote": ('a: 1\nb: "x\nc: 2\n', "2: a quote that is not closed"),
    "bracket": ("a: 1\nb: [x,\nc: 2\n", "2: a [ or { that is not closed, or a comma is missing"),
    "colon": ("a: 1\nb\nc: 2\n", "2: a line without ':' where a key is to be"),
    "documents": ("a: 1\n---\nb: 2\n", "2: a second document: '---' stands once, if at all"),
    "anchor": ("a: *b\n", "1: there is no anchor &b above this"),
    "at": ("a: 1\nb: @x\n", "2: text that begins with '@' needs quotes"),
    "escape": ('a: "\\q"\n', "1: is no YAML: found unknown escape character 'q'"),
    "nul": ("a: 1\nb: \0\n", "2: U+0000: no text has that"),
    "escape sequence": ("a: \x1b[2J\n", "1: U+001B: no text has that"),
    "twice": (
        "layers:\n  a: 1\n  b: 2\n  a: 3\n",
        "4: layers.a: stands twice: line 2 has it, too",
    ),
    "tag": ("a: 1\nb: !!python/object:os.system x\n",
            "2: b: the tag !!python/object:os.system: takes plain values alone"),
    "own tag": ("a: !env HOME\n", "1: a: the tag !env: takes plain values alone"),
    "tagged list": ("a: !x [1]\n", "1: a: the tag !x: takes plain values alone"),
    "odd number": ("a: !!int x\n", "1: a: 'x' is nothing of !!int"),
    "key that is a number": ("a: {1: x}\n", '1: a: takes text as keys, not 1; write "1"'),
    "key that is a list": ("? [a]\n: b\n", "1: a list or keys stand where a key is to be"),
    "merge": (
        "a: &x {b: 1}\nc:\n  <<: *x\n",
        "3: c: '<<' is no key of YAML 1.2; an alias stands for a whole value",
    ),
    "recursion": ("a: &x\n  b: *x\n", "2: a.b: an alias of what it is in"),
    "bomb": (BOMB, "5: a4: more than 50000 values, with what aliases stand for"),
    "deep": ("[" * 5000, "1: lists or keys are nested too deep"),
    "deep keys": ("a: " + "{a: " * 5000, "1: lists or keys are nested too deep"),
    "list": ("- a\n", "1: takes keys, such as 'layers:', not a list"),
    "text": ("layers\n", "1: takes keys, such as 'layers:', not 'layers'"),
    "empty": ("", "is empty; 'qe layers init' writes one that is not"),
    "comments": ("# layers:\n\n", "is empty; 'qe layers init' writes one that is not"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_YAML)
def test_what_is_wrong_with_the_yaml_is_one_clear_line(kind: str) -> None:
    text, line = BAD_YAML[kind]
    assert wrong(text) == [line]


def test_all_keys_that_stand_twice_are_told() -> None:
    assert wrong("a: 1\na: 2\nb: {c: 1, c: 2}\n") == [
        "2: a: stands twice: line 1 has it, too",
        "3: b.c: stands twice: line 3 has it, too",
    ]


# --------------------------------------------------------- mistakes in the format


def under(key: str, value: str) -> str:
    """A layer with one more key, in line 6; a category's if the key is indented."""
    return f"{UNIT}    {key}: {value}\n"


MODES = "one of sequential, parallel, parallel_limited, hybrid, background"
NAMES = ", ".join(name for name in frameworks.names() if name != "command")
SIZE = "a whole number of bytes, or text such as 512M or 2G"

#: A key of the layer unit or (with ``c.``) of its category, its value, and what is wrong.
BAD_VALUES = [
    ("name", "[a]", "takes text of one line, not a list"),
    ("name", "''", "takes text of one line, not ''"),
    ("name", '"a\\nb"', "takes text of one line, not 'a\\nb'"),
    ("name", "", "takes text of one line, not nothing"),
    ("execution_mode", "paralel", f"takes {MODES}, not 'paralel'; did you mean 'parallel'?"),
    ("execution_mode", "3", f"takes {MODES}, not 3"),
    ("max_duration_minutes", "0", "takes a number of minutes greater than 0, not 0"),
    ("max_duration_minutes", ".inf", "takes a number that is finite, not inf"),
    ("max_duration_minutes", ".nan", "takes a number that is finite, not nan"),
    ("max_duration_minutes", "1e8", "takes at most 10000000, not 100000000.0"),
    ("max_duration_minutes", "9" * 80, "takes at most 10000000, not so large a number"),
    ("max_duration_minutes", "'2 min'", "takes a number of minutes greater than 0, not '2 min'; "
     "did you mean 2?"),
    ("fail_fast", "yes", "takes true or false, not 'yes'; did you mean true?"),
    ("fail_fast", "off", "takes true or false, not 'off'; did you mean false?"),
    ("fail_fast", "1", "takes true or false, not 1"),
    ("timeout_multiplier", "-1", "takes a number greater than 0, not -1"),
    ("timeout_multiplier", "true", "takes a number greater than 0, not true"),
    ("dependencies", "smoke", "takes a list of ids of layers, not 'smoke'; did you mean [smoke]?"),
    ("required_services", "{a: b}", "takes a list of ids of services, not keys with values"),
    ("llm_requirements", "mock", "takes the key mode, not 'mock'"),
    ("resource_limits", "[]",
     "takes the keys memory, cpu and parallel_instances, not an empty list"),
    ("success_criteria", "100",
     "takes the keys min_pass_rate, max_failures and required_categories, not 100"),
    ("c.name", "", "stands twice: line 4 has it, too"),
    ("c.timeout_seconds", "ten", "takes a number greater than 0, not 'ten'"),
    ("c.timeout_seconds", "30s", "takes a number greater than 0, not '30s'; did you mean 30?"),
    ("c.timeout_seconds", "1e10", "takes at most 1000000000, not 10000000000.0"),
    ("c.priority_order", "1.5", "takes a whole number, not 1.5"),
    ("c.priority_order", "first", "takes a whole number, not 'first'"),
    ("c.retries", "21", "takes a whole number from 0 to 20, not 21"),
    ("c.retries", "-1", "takes a whole number from 0 to 20, not -1"),
    ("c.depends_on", "unit",
     "takes a list of names of categories, or layer/category, not 'unit'; did you mean [unit]?"),
    ("c.environment", "[A=b]", "takes names of variables with their values, not a list"),
    ("c.resources", "1G", "takes the keys memory, cpu, instances and exclusive, not '1G'"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "line"), BAD_VALUES)
def test_values_of_another_kind(key: str, value: str, line: str) -> None:
    if key.startswith("c."):
        name = key.removeprefix("c.")
        text, path = under(f"    {name}", value), f"layers.unit.categories[0].{name}"
    else:
        text, path = under(key, value), f"layers.unit.{key}"
    assert wrong(text) == [f"6: {path}: {line}"]


#: A line for the layer unit, the path in it, and what is wrong.
BAD_PARTS = [
    ("resource_limits: {memory: 512m}", "resource_limits.memory",
     f"takes {SIZE}, not '512m'; did you mean '512M'?"),
    ("resource_limits: {memory: 1.5}", "resource_limits.memory", f"takes {SIZE}, not 1.5"),
    ("resource_limits: {memory: 0}", "resource_limits.memory", f"takes {SIZE}, not 0"),
    ("resource_limits: {memory: 5P}", "resource_limits.memory", f"takes {SIZE}, not '5P'"),
    ("resource_limits: {cpu: 0}", "resource_limits.cpu",
     "takes a number of processors greater than 0, not 0"),
    ("resource_limits: {cpu: '2'}", "resource_limits.cpu",
     "takes a number of processors greater than 0, not '2'; did you mean 2?"),
    ("resource_limits: {parallel_instances: 0}", "resource_limits.parallel_instances",
     "takes a whole number, 1 or more, not 0"),
    ("resource_limits: {instances: 1}", "resource_limits.instances",
     "there is no such key; did you mean 'parallel_instances'?"),
    ("llm_requirements: {mode: mocked}", "llm_requirements.mode",
     "takes one of mock, real, not 'mocked'; did you mean 'mock'?"),
    ("llm_requirements: {model: x}", "llm_requirements.model",
     "there is no such key; did you mean 'mode'?"),
    ("success_criteria: {min_pass_rate: 101}", "success_criteria.min_pass_rate",
     "takes a number from 0 to 100, not 101"),
    ("success_criteria: {min_pass_rate: 95%}", "success_criteria.min_pass_rate",
     "takes a number from 0 to 100, not '95%'; did you mean 95?"),
    ("success_criteria: {max_failures: 0.5}", "success_criteria.max_failures",
     "takes a whole number, 0 or more, not 0.5"),
    ("success_criteria: {required_categories: fast}", "success_criteria.required_categories",
     "takes a list of names of categories of this layer, not 'fast'; did you mean [fast]?"),
    ("required_services: [1]", "required_services[0]",
     'takes text of one line, not 1; did you mean "1", in quotes?'),
    ("fail-fast: true", "fail-fast", "there is no such key; did you mean 'fail_fast'?"),
    ("timeout: 5", "timeout", "there is no such key; did you mean 'timeout_multiplier'?"),
    ("categorys: []", "categorys", "there is no such key; did you mean 'categories'?"),
    ("    timeout: 5", "categories[0].timeout",
     "there is no such key; did you mean 'timeout_seconds'?"),
    ("    environment: {PORT: 80}", "categories[0].environment.PORT",
     'takes text, not 80; did you mean "80", in quotes?'),
    ("    environment: {B-C: x}", "categories[0].environment.B-C",
     "a name here is of letters, digits and _, and begins with no digit"),
    ("    resources: {exclusive: port}", "categories[0].resources.exclusive",
     "takes a list of names, not 'port'; did you mean [port]?"),
    ("    resources: {instances: 1.5}", "categories[0].resources.instances",
     "takes a whole number, 1 or more, not 1.5"),
    ("    framework: pytest", "categories[0].command",
     "takes either framework or command, not both"),
    ("    paths: [a]", "categories[0].paths", "goes with framework, not with command"),
    ("    args: [a]", "categories[0].args", "goes with framework, not with command"),
    ("    markers: a", "categories[0].markers", "goes with framework, not with command"),
    ("  - {name: b}", "categories[1]", "lacks the key 'framework' or 'command'"),
    ("  - {name: b, markers: a}", "categories[1]", "lacks the key 'framework' or 'command'"),
    ("  - {command: a}", "categories[1]", "lacks the key 'name'"),
    ("  - {name: a/b, command: a}", "categories[1].name", "takes text without a slash, not 'a/b'"),
    ("  - {name: b, framework: pytst}", "categories[1].framework",
     f"takes one of {NAMES}, not 'pytst'; did you mean 'pytest'?"),
    ("  - {name: b, framework: command}", "categories[1].framework",
     f"takes one of {NAMES}, not 'command'"),
    ("  - {name: b, framework: jest, markers: a}", "categories[1].markers",
     "goes with pytest, not with jest; args takes its own words"),
    ("  - {name: b, framework: jest, paths: []}", "categories[1].paths",
     "takes a list of at least one file, folder or pattern"),
    ("  - {name: b, framework: jest, args: [1]}", "categories[1].args[0]",
     'takes text, not 1; did you mean "1", in quotes?'),
    ("  - just", "categories[1]",
     "takes the keys of a category, such as name and framework, not 'just'"),
    ("  -", "categories[1]",
     "takes the keys of a category, such as name and framework, not nothing"),
    ("  - {name: b, command: ''}", "categories[1].command",
     "takes a list of words, or text that is split into words, not ''"),
    ("  - {name: b, command: ' '}", "categories[1].command", "has no program"),
    ("  - {name: b, command: ['', a]}", "categories[1].command", "has no program"),
    ("  - {name: b, command: []}", "categories[1].command",
     "takes a list of words, or text that is split into words"),
    ("  - {name: b, command: [a, 1]}", "categories[1].command[1]",
     'takes text, not 1; did you mean "1", in quotes?'),
    ('  - {name: b, command: [a, "\\0"]}', "categories[1].command[1]", "takes text, not '\\x00'"),
    ("  - {name: b, command: it's}", "categories[1].command",
     "cannot be split into words: no closing quotation"),
    ("  - {name: b, command: a && b}", "categories[1].command",
     "no shell runs it: '&&' would be a word of the command; a list such as "
     "[sh, -c, 'one && two'] names a shell"),
    ("  - {name: b, command: A=1 b}", "categories[1].command",
     "no shell runs it: A is set under environment"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path", "line"), BAD_PARTS)
def test_what_is_wrong_within_a_layer(text: str, path: str, line: str) -> None:
    found = wrong(f"{UNIT}    {text}\n")
    number = 5 if path == "categories[0].command" else 6
    assert found == [f"{number}: layers.unit.{path}: {line}"]


BAD_WHOLES = [
    ("version: 1\n", ["1: lacks the key 'layers'"]),
    ("layers: {}\n", ["1: layers: takes layers by their ids, at least one"]),
    ("layers:\n", ["1: layers: takes layers by their ids, at least one, not nothing"]),
    ("layers: [unit]\n", ["1: layers: takes layers by their ids, at least one, not a list"]),
    ("layers:\n  unit:\n",
     ["2: layers.unit: takes the keys of a layer, such as categories, not nothing"]),
    ("layers:\n  unit: {name: a}\n", ["2: layers.unit: lacks the key 'categories'"]),
    ("layers:\n  unit: {categories: []}\n",
     ["2: layers.unit.categories: takes a list of at least one category"]),
    (UNIT.replace("unit", "2nd"),
     ["2: layers.2nd: a name here is of letters, digits, - and _, and begins with a letter or _"]),
    (UNIT + "version: 2\n", ["6: version: takes 1, the version of this format, not 2"]),
    (UNIT + "layer: {}\n", ["6: layer: there is no such key; did you mean 'layers'?"]),
    (UNIT + "zzz: {}\n",
     ["6: zzz: there is no such key; it takes version, layers, services, environment_overrides"]),
    (UNIT + "services:\n  a: {}\n", ["7: services.a: lacks the key 'check'"]),
    (UNIT + "services:\n  a: {check: {}}\n",
     ["7: services.a.check: takes exactly one of tcp, http and command"]),
    (UNIT + "services:\n  a:\n    check: {tcp: 'a:1', http: 'http://a'}\n",
     ["8: services.a.check: takes exactly one of tcp, http and command"]),
    (UNIT + "services:\n  a: {check: {tcp: localhost}}\n",
     ["7: services.a.check.tcp: takes \"host:port\", such as localhost:5432, not 'localhost'"]),
    (UNIT + "services:\n  a: {check: {tcp: 'localhost:65536'}}\n",
     ["7: services.a.check.tcp: takes \"host:port\", such as localhost:5432, not "
      "'localhost:65536'"]),
    (UNIT + "services:\n  a: {check: {http: localhost}}\n",
     ["7: services.a.check.http: takes a URL that begins with http:// or https://, not "
      "'localhost'"]),
    (UNIT + "services:\n  a: {check: {command: 'a | b'}, start: a > b, stop: ' '}\n",
     ["7: services.a.check.command: no shell runs it: '|' would be a word of the command; "
      "a list such as [sh, -c, 'one && two'] names a shell",
      "7: services.a.start: no shell runs it: '>' would be a word of the command; "
      "a list such as [sh, -c, 'one && two'] names a shell",
      "7: services.a.stop: has no program"]),
    (UNIT + "environment_overrides: [staging]\n",
     ["6: environment_overrides: takes environments by their names, such as test, development, "
      "staging or production, not a list"]),
    (UNIT + "environment_overrides:\n  staging: {unit: {}}\n",
     ["7: environment_overrides.staging.unit: there is no such key; it takes layers, services"]),
    (UNIT + "environment_overrides:\n  staging:\n    layers: {unit: {categories: [{args: []}]}}\n",
     ["8: environment_overrides.staging.layers.unit.categories[0]: lacks the key 'name'"]),
    (UNIT + "environment_overrides:\n  staging:\n    layers: {unit: {fail_fast: no}}\n",
     ["8: environment_overrides.staging.layers.unit.fail_fast: takes true or false, not 'no'; "
      "did you mean false?"]),
    (UNIT + "environment_overrides:\n  staging: {services: {a: {start: it's}}}\n",
     ["7: environment_overrides.staging.services.a.start: cannot be split into words: "
      "no closing quotation"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "lines"), BAD_WHOLES)
def test_what_is_wrong_with_the_whole(text: str, lines: list[str]) -> None:
    assert wrong(text) == lines


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        "version: 3\nlayers:\n  unit:\n    fail_fast: maybe\n    categories:\n"
        "      - {nam: a, retries: x}\n  e2e: []\nservice: {}\n"
    )
    assert wrong(text) == [
        "1: version: takes 1, the version of this format, not 3",
        "4: layers.unit.fail_fast: takes true or false, not 'maybe'",
        "6: layers.unit.categories[0]: lacks the key 'framework' or 'command'",
        "6: layers.unit.categories[0]: lacks the key 'name'",
        "6: layers.unit.categories[0].nam: there is no such key; did you mean 'name'?",
        "6: layers.unit.categories[0].retries: takes a whole number from 0 to 20, not 'x'",
        "7: layers.e2e: takes the keys of a layer, such as categories, not an empty list",
        "8: service: there is no such key; did you mean 'services'?",
    ]


def test_a_mistake_is_one_line_of_bounded_length_whatever_it_names() -> None:
    text = f'{UNIT}    "a\\nb\\e[2J{"x" * 900}": {{}}\n'
    (line,) = wrong(text)
    assert line.startswith("6: layers.unit.a\\nb\\x1b[2Jxxx")
    assert len(line) < 1000
    (line,) = wrong(UNIT + f"    fail_fast: {'y' * 100_000}\n")
    assert len(line) < 200


# -------------------------------------------------------------------- the file


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a folder in it."""
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    (tmp_path / "repo" / "a" / "b").mkdir(parents=True)
    return tmp_path / "repo"


def lines_of(caught: pytest.ExceptionInfo[ConfigError], folder: Path) -> list[str]:
    return [str(one).replace(str(folder), "P") for one in caught.value.mistakes]


@pytest.mark.parametrize("name", ["test_layers.yaml", "test_layers.yml"])
def test_the_file_is_found_up_to_the_root_of_the_repository(project: Path, name: str) -> None:
    (project / name).write_text(UNIT)
    assert find(project / "a" / "b") == project / name
    found = read(folder=project / "a" / "b")
    assert found.file == str(project / name)
    assert found.folder == str(project)


def test_the_nearest_file_counts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "test_layers.yaml").write_text("")
    (project / "a" / "test_layers.yml").write_text(UNIT)
    monkeypatch.chdir(project / "a" / "b")
    assert find() == project / "a" / "test_layers.yml"
    assert list(read().data["layers"]) == ["unit"]


def test_nothing_above_the_repository_is_taken(project: Path) -> None:
    (project.parent / "test_layers.yaml").write_text(UNIT)
    with pytest.raises(ConfigError) as caught:
        find(project / "a")
    assert lines_of(caught, project) == [
        "P/a: there is no test_layers.yaml in it or above it, up to P; 'qe layers init' writes one"
    ]


def test_without_a_repository_only_the_folder_itself_counts(tmp_path: Path) -> None:
    (tmp_path / "test_layers.yaml").write_text(UNIT)
    (tmp_path / "a").mkdir()
    assert find(tmp_path) == tmp_path / "test_layers.yaml"
    with pytest.raises(ConfigError) as caught:
        find(tmp_path / "a")
    assert lines_of(caught, tmp_path) == [
        "P/a: there is no test_layers.yaml in it; 'qe layers init' writes one"
    ]


def test_two_files_side_by_side_are_a_mistake(project: Path) -> None:
    for name in config.NAMES:
        (project / name).write_text(UNIT)
    with pytest.raises(ConfigError) as caught:
        read(folder=project)
    assert lines_of(caught, project) == [
        "P/test_layers.yaml: test_layers.yml is beside it; remove one of them"
    ]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(folder=tmp_path / "x")
    assert lines_of(caught, tmp_path) == ["P/x: there is no such folder"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"#" * 300_000)
    (tmp_path / "latin").write_bytes(b"a: 1\nb: \xe9\n")
    (tmp_path / "wide").write_bytes("layers:\n".encode("utf-16"))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    expected = {
        "fifo": "P/fifo: is no regular file",
        "folder": "P/folder: is a folder: name the file, such as test_layers.yaml",
        "large": "P/large: is larger than 256 KiB",
        "latin": "P/latin:2: is no UTF-8: the byte 0xe9; save it as UTF-8",
        "wide": "P/wide:1: is no UTF-8: the byte 0xff; save it as UTF-8",
        "loop": "P/loop: cannot be read: Too many levels of symbolic links",
        "gone": "P/gone: there is no such file; 'qe layers init' writes one",
        "none": "P/none: there is no such file; 'qe layers init' writes one",
        "none/none": "P/none/none: there is no such file; 'qe layers init' writes one",
        "latin/none": "P/latin/none: cannot be read: Not a directory",
    }
    for name, line in expected.items():
        with pytest.raises(ConfigError) as caught:
            read(tmp_path / name)
        assert lines_of(caught, tmp_path) == [line]
    for name in ("", "a\0b"):
        with pytest.raises(ConfigError, match="takes the path of a file"):
            read(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads what has no permission")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(UNIT)
    path.chmod(0)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        read(path)


def test_a_byte_order_mark_and_other_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + UNIT.replace("\n", "\r\n").encode())
    assert read(path).lines["layers.unit.categories[0].command"] == 5


# -------------------------------------------------------------------- the core


def told(found: Config, *errors: dict[str, Any], environment: str | None = None) -> list[str]:
    return [str(one) for one in from_core(found, errors, environment)]


def test_what_the_core_finds_is_told_with_lines_and_suggestions() -> None:
    found = parse(WHOLE, "t.yaml")
    line = found.lines["layers.unit.categories[1].depends_on[0]"]
    assert told(
        found,
        {"path": "layers.unit.categories[1].depends_on[0]", "message": "there is no category",
         "unknown": "fats", "known": ["fast", "made"]},
        {"path": "layers.unit.required_services[0]", "message": "there is no service",
         "unknown": "zzz", "known": ["web", "web", "other"]},
        {"path": "layers.unit.dependencies", "message": "depends on itself: unit -> slow -> unit"},
    ) == [
        "t.yaml:9: layers.unit.dependencies: depends on itself: unit -> slow -> unit",
        "t.yaml:10: layers.unit.required_services[0]: there is no service: 'zzz'; "
        "there are web, other",
        f"t.yaml:{line}: layers.unit.categories[1].depends_on[0]: there is no category: 'fats'; "
        "did you mean 'fast'?",
    ]  # fmt: skip


def test_what_the_file_does_not_have_is_told_at_what_is_around_it() -> None:
    found = parse(UNIT, "t.yaml")
    assert told(found, {"path": "layers.unit.categories[0].resources.cpu", "message": "no"}) == [
        "t.yaml:4: layers.unit.categories[0].resources.cpu: no"
    ]
    assert told(found, {"path": "other", "message": "no", "unknown": "x", "known": []}) == [
        "t.yaml:1: other: no: 'x'; there is none"
    ]
    assert told(found, {"path": "", "message": "no"}) == ["t.yaml:1: no"]


def test_what_is_wrong_in_an_override_is_told_there() -> None:
    found = parse(
        UNIT + "      - {name: other, command: a, depends_on: [fast]}\n"
        "environment_overrides:\n"
        "  staging:\n"
        "    layers:\n"
        "      unit:\n"
        "        categories:\n"
        "          - name: new\n"
        "            command: a\n"
        "            depends_on: [nothing]\n"
        "          - {name: other, retries: 3}\n",
        "t.yaml",
    )
    begin = "environment_overrides.staging.layers.unit"

    def at(path: str) -> tuple[str, int]:
        return found.where(path, "staging")

    # The override's second category is the second of all, and its first one the third.
    assert at("layers.unit.categories[2].depends_on[0]") == (
        f"{begin}.categories[0].depends_on[0]", 14)  # fmt: skip
    assert at("layers.unit.categories[1].retries") == (f"{begin}.categories[1].retries", 15)
    assert at("layers.unit.categories[1].depends_on[0]") == (
        "layers.unit.categories[1].depends_on[0]", 6)  # fmt: skip
    assert at("layers.unit.categories[0].name") == ("layers.unit.categories[0].name", 4)
    assert at("layers.unit.categories[2].resources") == (f"{begin}.categories[0].resources", 12)
    assert found.where("layers.unit.categories[1].retries") == (
        "layers.unit.categories[1].retries", 6)  # fmt: skip
    assert found.where("layers.unit.categories[9]", "production") == (
        "layers.unit.categories[9]", 3)  # fmt: skip


def test_what_comes_of_an_override_is_checked() -> None:
    found = parse(
        UNIT + "environment_overrides:\n"
        "  staging:\n"
        "    layers:\n"
        "      unit:\n"
        "        categories:\n"
        "          - {name: fast, framework: jest}\n"
        "          - {name: new, retries: 1}\n"
        "      e2e: {fail_fast: true}\n",
        "t.yaml",
    )
    merged = {
        "layers": {
            "unit": {"categories": [
                {"name": "fast", "command": ["true"], "framework": "jest"},
                {"name": "new", "retries": 1},
            ]},
            "e2e": {"fail_fast": True},
        }
    }  # fmt: skip
    check_merged(found, {"layers": found.data["layers"]})
    with pytest.raises(ConfigError) as caught:
        check_merged(found, merged, "staging")
    begin = "environment_overrides.staging.layers"
    assert [str(one) for one in caught.value.mistakes] == [
        "t.yaml:5: layers.unit.categories[0].command: takes either framework or command, not both",
        f"t.yaml:12: {begin}.unit.categories[1]: lacks the key 'framework' or 'command'",
        f"t.yaml:13: {begin}.e2e: lacks the key 'categories'",
    ]


def test_places_in_overrides_that_there_are_not() -> None:
    found = parse(UNIT, "t.yaml")
    assert found.where("layers.unit.categories[0].name", "staging") == (
        "layers.unit.categories[0].name", 4)  # fmt: skip
    assert told(
        found,
        {"path": "environment_overrides", "message": "there is no such environment",
         "unknown": "stagin", "known": ["test", "staging"]},
        environment="stagin",
    ) == ["t.yaml:1: environment_overrides: there is no such environment: 'stagin'; "
          "did you mean 'staging'?"]  # fmt: skip


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    (tmp_path / "tests" / "unit" / "test_a.py").write_text("")
    (tmp_path / "test_layers.yaml").write_text(
        "layers:\n"
        "  unit:\n"
        "    categories:\n"
        "      - name: all\n"
        "        framework: pytest\n"
        "        paths:\n"
        "          - tests/unit\n"
        "          - ./tests/**/test_*.py\n"
        "          - .\n"
        "          - tests/unti/test_a.py\n"
        "          - tests/unit/test_*.js\n"
        "          - nowhere\n"
        "      - {name: made, command: make}\n"
        "environment_overrides:\n"
        "  staging: {layers: {unit: {categories: [{name: all, paths: [test]}]}}}\n"
    )
    found = read(folder=tmp_path)
    at = "layers.unit.categories[0].paths"
    assert [str(one).removeprefix(f"{found.file}:") for one in missing(found)] == [
        f"10: {at}[3]: there is no 'tests/unti/test_a.py'; did you mean 'tests/unit/test_a.py'?",
        f"11: {at}[4]: nothing matches 'tests/unit/test_*.js'",
        f"12: {at}[5]: there is no 'nowhere'",
    ]
    merged = json.loads(found.json())
    merged["layers"]["unit"]["categories"][0]["paths"] = ["test"]
    (line,) = missing(found, merged, "staging")
    assert str(line).removeprefix(f"{found.file}:") == (
        "15: environment_overrides.staging.layers.unit.categories[0].paths[0]: "
        "there is no 'test'; did you mean 'tests'?"
    )


def refused(text: str, environment: str | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        checked(parse(text, "t.yaml"), environment)
    return [str(one).removeprefix("t.yaml:") for one in caught.value.mistakes]


@pytest.mark.parametrize("environment", [None, "own-one", "staging", "production"])
def test_the_core_takes_what_the_schema_takes(environment: str | None) -> None:
    merged = json.loads(checked(parse(WHOLE), environment).merged())
    unit = merged["layers"]["unit"]
    assert unit["fail_fast"] is (environment != "own-one")
    names = [one["name"] for one in unit["categories"]]
    assert names == ["fast", "made", "new"][: 3 if environment == "own-one" else 2]


@pytest.mark.parametrize("size", SIZES)
def test_the_core_takes_the_sizes_that_the_schema_takes(size: object) -> None:
    checked(parse(sized(size)))


def test_names_that_there_are_not() -> None:
    assert refused(
        UNIT + "        depends_on: [fats, unit/fast, e2e/all, e3e/all]\n"
        "    dependencies: [e2ee]\n"
        "    required_services: [databse]\n"
        "    success_criteria: {required_categories: [fastt]}\n"
        "  e2e: {categories: [{name: all, command: x}]}\n"
        "services: {database: {check: {command: x}}}\n"
    ) == [
        "6: layers.unit.categories[0].depends_on[0]: there is no category of that name: 'fats'; "
        "did you mean 'fast'?",
        "6: layers.unit.categories[0].depends_on[1]: a category cannot depend on itself",
        "6: layers.unit.categories[0].depends_on[3]: there is no layer of that name: 'e3e'; "
        "did you mean 'e2e'?",
        "7: layers.unit.dependencies[0]: there is no layer of that name: 'e2ee'; "
        "did you mean 'e2e'?",
        "8: layers.unit.required_services[0]: there is no service of that name: 'databse'; "
        "did you mean 'database'?",
        "9: layers.unit.success_criteria.required_categories[0]: there is no category of that "
        "name: 'fastt'; did you mean 'fast'?",
    ]


def test_what_depends_on_itself_in_an_override_alone() -> None:
    text = (
        UNIT + "      - {name: slow, command: x, depends_on: [fast]}\n"
        "environment_overrides:\n"
        "  staging:\n"
        "    layers:\n"
        "      unit:\n"
        "        categories: [{name: fast, depends_on: [slow]}]\n"
    )
    checked(parse(text))
    (line,) = refused(text, "staging")
    assert "depends on itself: " in line


def test_an_environment_that_there_is_not() -> None:
    text = UNIT + "environment_overrides:\n  mine: {}\n"
    checked(parse(text), "mine")
    checked(parse(text), "production")
    assert refused(text, "stagin") == [
        "6: environment_overrides: there is no such environment: 'stagin'; did you mean 'staging'?"
    ]


def test_two_categories_of_one_name() -> None:
    assert refused(UNIT + "      - {name: fast, command: x}\n") == [
        "6: layers.unit.categories[1].name: another category of the layer has that name"
    ]


@pytest.mark.parametrize(
    ("name", "known", "line"),
    [
        ("untit", ["unit", "e2e"], "there is no layer 'untit'; did you mean 'unit'?"),
        ("e2e", ["full_e2e", "unit"], "there is no layer 'e2e'; did you mean 'full_e2e'?"),
        ("FAST-feedback", ["fast_feedback"],
         "there is no layer 'FAST-feedback'; did you mean 'fast_feedback'?"),
        ("x", ["unit", "e2e"], "there is no layer 'x'; there are unit, e2e"),
        ("x", [], "there is no layer 'x'; there is none"),
        ("x" * 1000, ["unit"], f"there is no layer '{'x' * 57}...'; there are unit"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_there(name: str, known: list[str], line: str) -> None:
    assert mistakes.unknown_name("layer", name, known) == line


@pytest.mark.parametrize("module", [checking, config, mistakes, schema, yamlfile])
def test_examples(module: Any) -> None:
    failed, count = doctest.testmod(module)
    assert count > 0
    assert failed == 0


# ------------------------------------------------------------------ any input

BOUNDED = settings(max_examples=150, deadline=None, derandomize=True, database=None)
WORDS = [
    "layers", "unit", "categories", "name", "command", "framework", "pytest", "true", "services",
    "check", "tcp", "environment_overrides", "staging", "retries", "resources", "memory", "paths",
    ":", ": ", "- ", "\n", "\n  ", "\n    ", "[", "]", "{", "}", ",", "&a ", "*a", "!x ", "!!int ",
    "'", '"', "|", ">", "#", "?", "%", "@", "\t", "\\", "---", "...", "<<", "~", ".inf", "1e9",
    "%YAML 1.1", "\0", "\ufeff", "\u2028", "\ud800", "\U0001f600", "9" * 5000,
]  # fmt: skip


def taken_or_told(text: str) -> None:
    """Whatever it is: a configuration that can be handed on, or lines."""
    try:
        found = parse(text, "t.yaml")
    except ConfigError as error:
        assert error.mistakes
        for one in error.mistakes:
            assert str(one).startswith("t.yaml")
            assert str(one).isprintable()
            assert 0 <= one.line <= text.count("\n") + text.count("\r") + 3
    else:
        assert json.loads(found.json()) == found.data
        check_merged(found, {k: v for k, v in found.data.items() if k != "environment_overrides"})
        assert all(isinstance(line, int) and line > 0 for line in found.lines.values())


@BOUNDED
@given(st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
def test_any_words_are_taken_or_told(text: str) -> None:
    taken_or_told(text)


@BOUNDED
@given(st.text(max_size=60))
def test_any_text_is_taken_or_told(text: str) -> None:
    taken_or_told(text)


@BOUNDED
@given(st.integers(0, len(WHOLE)), st.integers(0, 8), st.sampled_from(["", *WORDS]))
def test_a_configuration_with_something_else_in_it(at: int, gone: int, word: str) -> None:
    taken_or_told(WHOLE[:at] + word + WHOLE[at + gone :])


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(WORDS[:17])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS[:17]), inner, max_size=3)
    ),
    max_leaves=12,
)


@BOUNDED
@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), VALUES)
def test_a_configuration_with_another_value_anywhere(way: list[int], value: Any) -> None:
    data = parse(WHOLE).data
    at: Any = data
    for step in way:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = keys[step % len(keys)]
        if step == way[-1] or not isinstance(at[key], dict | list) or not at[key]:
            at[key] = value
            break
        at = at[key]
    taken_or_told(json.dumps(data).replace("NaN", ".nan").replace("Infinity", ".inf"))
