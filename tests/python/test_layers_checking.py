"""A configuration and the core: names, overrides, and whatever anybody writes."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layers_help import SIZES, UNIT, WHOLE, sized
from pytest_qe.orchestration import checking, config, mistakes, schema, yamlfile
from pytest_qe.orchestration.checking import check_merged, checked, from_core, missing
from pytest_qe.orchestration.config import Config, parse, read
from pytest_qe.orchestration.mistakes import ConfigError

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
