"""test_layers.yaml: found, and read, with a line for each mistake in its YAML."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from layers_help import SIZES, UNIT, WHOLE, sized, wrong
from pytest_qe import frameworks
from pytest_qe.orchestration import config, schema
from pytest_qe.orchestration.config import find, parse, read
from pytest_qe.orchestration.mistakes import ConfigError

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
        "P/a: there is no test_layers.yaml in it; P/test_layers.yaml counts if it is named, or "
        "both are in one repository"
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
