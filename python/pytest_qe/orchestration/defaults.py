"""``qe layers init``: four layers, filled with the tests that a project has."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import testfiles
from .config import NAMES
from .finding import Suite, find
from .mistakes import ConfigError, Mistake

__all__ = ["LAYERS", "Category", "Layer", "Written", "text_for", "write"]


@dataclass(frozen=True)
class Category:
    """A category of the default configuration.

    Attributes:
        name: its name.
        timeout_seconds: for one attempt.
        about: what belongs there.
        example: a framework and a path, for the comment that stands where nothing is found.
        after: categories of the same layer that it depends on, as far as they are there.
        more: lines of YAML for it.
    """

    name: str
    timeout_seconds: int
    about: str
    example: tuple[str, str]
    after: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """A layer of the default configuration.

    Attributes:
        id: its id.
        name: what reports call it.
        mode: its execution_mode.
        minutes: its max_duration_minutes.
        about: what it is for.
        categories: in the order of their priority_order.
        after: the layer that it depends on, or that one's, as far as there is one.
        more: lines of YAML for it.
    """

    id: str
    name: str
    mode: str
    minutes: int
    about: str
    categories: tuple[Category, ...]
    after: str = ""
    more: tuple[str, ...] = ()


_BROWSER = ("resources: {exclusive: [browser]}  # one at a time, also among several runs",)

#: What ``qe layers init`` writes; a category stays a comment where a project has no such tests.
LAYERS = (
    Layer(
        "fast_feedback", "Fast feedback", "sequential", 2,
        "Gates every change: one category after another, until the first failure.",
        (
            Category("smoke", 30, "whether it works at all", ("pytest", "tests/smoke")),
            Category("unit", 90, "what says nothing else of itself", ("pytest", "tests/unit")),
        ),
        more=("fail_fast: true  # nothing more starts once a category has failed",),
    ),
    Layer(
        "core_integration", "Core integration", "parallel", 10,
        "Parts together: all at once, but for what depends on something else.",
        (
            Category("database", 300, "with a database", ("pytest", "tests/database")),
            Category("api", 300, "of the interface", ("pytest", "tests/api"), ("database",)),
            Category("websocket", 300, "of connections", ("pytest", "tests/websocket")),
            Category("integration", 600, "of all the rest", ("pytest", "tests/integration"),
                     ("database",)),
        ),
        "fast_feedback",
    ),
    Layer(
        "service_integration", "Service integration", "hybrid", 20,
        "What takes much of a machine: the longest way first, as far as there is room.",
        (
            Category("agent_workflows", 600, "of agents", ("pytest", "tests/agents"),
                     more=("resources: {cpu: 1}",)),
            Category("e2e_critical", 900, "of what must never break",
                     ("playwright", "e2e/critical"), more=("retries: 1", *_BROWSER)),
            Category("frontend", 600, "of what users see", ("vitest", "frontend"),
                     more=("resources: {cpu: 1}",)),
        ),
        "core_integration",
        (
            "resource_limits: {parallel_instances: 2}  # categories at once; also memory, cpu",
            "llm_requirements: {mode: mock}  # tests find it in the environment: QE_LLM_MODE",
        ),
    ),
    Layer(
        "e2e_background", "End to end, in the background", "background", 60,
        "Runs on when the command has returned: 'qe layer status' tells how it is.",
        (
            Category("full_e2e", 1800, "of everything", ("playwright", "e2e"),
                     more=("retries: 1", *_BROWSER)),
            Category("cypress", 1800, "in a browser", ("cypress", "cypress/e2e"),
                     more=("retries: 1", *_BROWSER)),
            Category("performance", 1800, "of times", ("pytest", "tests/performance")),
        ),
        "fast_feedback",
    ),
)  # fmt: skip

_HEAD = """\
# Layers of tests: what runs when, how much of it at once, and what it needs.
# 'qe layers validate' checks this file, 'qe layers graph' shows what depends on what, and
# 'qe layer {first}' runs a layer. Paths begin in this folder.

version: 1

layers:
"""

_KEYS = """\
# More keys that a category takes:
#   depends_on: [name, layer/name]  what must have passed before
#   command: [make, check]          in place of framework, paths, markers and args; no shell
#   args: [--maxfail=3]             more words for the framework's program
#   resources: {memory: 2G, cpu: 2, instances: 1, exclusive: [port-8080]}
#   environment: {NAME: "text"}
# and a layer: timeout_multiplier, required_services: [database],
#   success_criteria: {min_pass_rate: 95, max_failures: 3, required_categories: [name]}

# What layers require to be there, and how to start it where it is not:
# services:
#   database:
#     check: {tcp: "localhost:5432"}  # or http: URL, or command: [...]
#     start: [docker, compose, up, -d, database]
#     stop: [docker, compose, stop, database]
#     ready_seconds: 30
"""


@dataclass(frozen=True)
class Written:
    """What ``write`` has done.

    Attributes:
        path: the file.
        text: what it holds.
        categories: of each layer that was written, the names of its categories.
        missing: of each layer, the categories for which no tests were found.
    """

    path: Path
    text: str
    categories: Mapping[str, list[str]] = field(default_factory=dict)
    missing: Mapping[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{layer} ({', '.join(names)})" for layer, names in self.categories.items()]
        return f"{self.path}: {', '.join(parts)}"


def text_for(folder: str | os.PathLike[str]) -> Written:
    """The default configuration of a project; nothing is written.

    Args:
        folder: the project's. Its tests are looked for; nothing of it is executed.

    Raises:
        ConfigError: it is no folder, or no tests are found in it.
    """
    path = Path(os.path.abspath(folder))
    if not path.is_dir():
        raise _wrong(path, "there is no such folder")
    try:
        found = find(path)
    except testfiles.TooMany as error:
        raise _wrong(path, str(error)) from None
    if not found:
        raise _wrong(
            path,
            "no tests are found in it, neither of pytest nor of jest, mocha, vitest, node, "
            "playwright, cypress, go or cargo",
        )
    present = [layer for layer in LAYERS if any(one.name in found for one in layer.categories)]
    parts = [_HEAD.format(first=present[0].id)]
    parts += ["\n".join(_layer(layer, found, present)) + "\n" for layer in LAYERS]
    parts += [_KEYS, _overrides(present)]
    categories = {layer.id: _names(layer, found) for layer in present}
    missing = {
        layer.id: [one.name for one in layer.categories if one.name not in found]
        for layer in LAYERS
    }
    return Written(path / NAMES[0], "\n".join(parts), categories, missing)


def write(
    folder: str | os.PathLike[str], *, path: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Written:  # fmt: skip
    """Writes the default configuration of a project.

    Args:
        folder: the project's.
        path: the file; None: test_layers.yaml in the folder. Paths in it begin there, so it
            lies in that folder.
        force: whether one that is there is written over.

    Raises:
        ConfigError: there is one already, no tests are found, or it cannot be written. What
            was there is whole then.

    Example: ``write(".").categories``
    """
    home = os.path.abspath(folder)
    file = Path(os.path.join(home, os.fspath(path) if path is not None else NAMES[0]))
    if os.path.realpath(file.parent) != os.path.realpath(home):
        raise _wrong(file, f"paths in it begin in its folder: it is to lie in {home}")
    other = {NAMES[0]: NAMES[1], NAMES[1]: NAMES[0]}.get(file.name)
    if other is not None and os.path.lexists(file.with_name(other)):
        raise _wrong(file, f"{other} is beside it", "remove it first")
    if os.path.isdir(file):
        raise _wrong(file, "is a folder")
    if not force and os.path.lexists(file):
        raise _wrong(file, "is there already", "--force writes over it")
    written = text_for(home)
    try:
        _put(file, written.text, force)
    except FileExistsError:
        raise _wrong(file, "is there already", "--force writes over it") from None
    except OSError as error:
        raise _wrong(file, f"cannot be written: {error.strerror}") from None
    return Written(file, written.text, written.categories, written.missing)


def _put(file: Path, text: str, force: bool) -> None:
    """All of it or nothing, whatever happens in between."""
    handle, name = tempfile.mkstemp(prefix=".test_layers.", dir=file.parent)
    try:
        with open(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(out.fileno(), 0o666 & ~umask)
        if force:
            os.replace(name, file)
            return
        os.link(name, file)  # unlike a rename it never replaces anything
    except BaseException:
        os.unlink(name)
        raise
    os.unlink(name)


def _wrong(path: Path, message: str, hint: str = "") -> ConfigError:
    return ConfigError([Mistake(str(path), 0, "", message, hint)])


# ----------------------------------------------------------------------- YAML


def _names(layer: Layer, found: Mapping[str, list[Suite]]) -> list[str]:
    return [name for one in layer.categories for name, _ in _named(one.name, found)]


def _named(category: str, found: Mapping[str, list[Suite]]) -> Iterator[tuple[str, Suite]]:
    """The suites of a category with their names: the first has the category's own."""
    taken: set[str] = set()
    for suite in found.get(category, ()):
        name = wanted = f"{category}_{suite.suffix}" if taken else category
        while name in taken:
            name = f"{wanted}_{len(taken)}"
        taken.add(name)
        yield name, suite


def _layer(layer: Layer, found: Mapping[str, list[Suite]], present: list[Layer]) -> Iterator[str]:
    lines = [f"{layer.id}:", f"  name: {_text(layer.name)}", f"  execution_mode: {layer.mode}"]
    lines.append(f"  max_duration_minutes: {layer.minutes}  # for all of its categories together")
    after = _after(layer, present)
    if after:
        lines.append(f"  dependencies: [{after}]  # layers that must have succeeded before")
    lines += [f"  {line}" for line in layer.more]
    lines.append("  categories:")
    yield f"  # {layer.about}"
    if layer not in present:
        yield "  # No tests were found for it."
        for line in [*lines, *(f"    {_missing(one)}" for one in layer.categories)]:
            yield f"  # {line}"
        return
    yield from (f"  {line}" for line in lines)
    there = _names(layer, found)
    order = 1
    for one in layer.categories:
        if one.name not in found:
            yield "      # No tests were found for this one:"
            yield f"      # {_missing(one)}"
        for name, suite in _named(one.name, found):
            yield from (f"      {line}" for line in _category(one, name, suite, order, there))
            order += 1


def _missing(one: Category) -> str:
    framework, path = one.example
    return f"- {{name: {one.name}, framework: {framework}, paths: [{path}]}}  # {one.about}"


def _after(layer: Layer, present: list[Layer]) -> str:
    by = {one.id: one for one in LAYERS}
    after = layer.after
    while after and by[after] not in present:
        after = by[after].after
    return after


def _category(
    one: Category, name: str, suite: Suite, order: int, there: list[str]
) -> Iterator[str]:
    yield f"- name: {_text(name)}  # {one.about}"
    if suite.framework:
        yield f"  framework: {_text(suite.framework)}"
        yield from _list("  paths", suite.paths)
        if suite.markers:
            yield f"  markers: {_text(suite.markers)}"
        if suite.args:
            yield from _list("  args", suite.args)
    else:
        yield from _list("  command", suite.command)
        yield '  environment: {CI: "true"}  # so that nothing watches files'
    yield f"  timeout_seconds: {one.timeout_seconds}"
    yield f"  priority_order: {order}  # lower ones start first"
    needs = [need for need in one.after if need in there]
    if needs:
        yield from _list("  depends_on", needs)
    yield from (f"  {line}" for line in one.more)


def _overrides(present: list[Layer]) -> str:
    """What is other where: of layers that there are."""
    first = present[0].id
    lines = ["# What is other in an environment, laid over the above key by key (--env staging).",
             "environment_overrides:", "  development:", "    layers:",
             f"      {first}: {{fail_fast: false}}  # see all that fails", "  staging:",
             "    layers:"]  # fmt: skip
    for layer in present:
        real = any("llm_requirements" in line for line in layer.more)
        keys = "timeout_multiplier: 2" + (", llm_requirements: {mode: real}" if real else "")
        lines.append(f"      {layer.id}: {{{keys}}}")
    return "\n".join(lines) + "\n"


_PLAIN = re.compile(r"\.|(?:\./)?[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z_][A-Za-z0-9_-]*)*")
_NOT_TEXT = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def _text(value: str) -> str:
    """Text as YAML has it, in quotes where it needs any."""
    if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _list(key: str, values: Sequence[str]) -> Iterator[str]:
    """A list, on one line where that is a short one."""
    items = [_text(value) for value in values]
    line = f"{key}: [{', '.join(items)}]"
    if len(line) <= 90:
        yield line
    else:
        yield f"{key}:"
        indent = " " * (len(key) - len(key.lstrip()) + 2)
        yield from (f"{indent}- {item}" for item in items)
