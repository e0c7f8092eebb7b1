"""What the schema does not take of test_layers.yaml: a line for each kind of mistake."""

from __future__ import annotations

import pytest

from layers_help import UNIT, wrong
from pytest_qe import frameworks

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
    *((UNIT + f"services:\n  a: {{check: {{http: '{url}'}}}}\n",
       ["7: services.a.check.http: takes a URL such as http://localhost:8080/ready, not "
        f"'{url}'"]) for url in ("http://a:65536", "http://a:b", "http://[::1", "http://:80")),
    (UNIT + 'services:\n  a: {check: {command: "a\\ud800"}}\n',
     ["7: services.a.check.command: U+D800: no text has that"]),
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
