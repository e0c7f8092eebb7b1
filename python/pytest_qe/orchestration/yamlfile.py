"""YAML as plain values, with the line of every key and item.

The YAML is ruamel.yaml's, version 1.2; what it composes is made into values here, so that a
key that stands twice, a tag or an alias that never ends is told with its line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .mistakes import Mistake, short

__all__ = ["Parsed", "joined", "parse"]

_MOST_VALUES = 50_000  # with all that aliases stand for
_STD = "tag:yaml.org,2002:"
#: What YAML 1.2 does not have, but ruamel knows by sight; these are text here.
_TEXT = frozenset({_STD + kind for kind in ("str", "timestamp", "value", "merge")})
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HALF = re.compile("[\ud800-\udfff]")  # of a character, without its other half

#: What a mistake in the YAML itself is called here, by a part of what ruamel calls it, and
#: whether it is where the thing began that has it.
_SAID: tuple[tuple[str, str, bool], ...] = (
    ("'\\t'", "a tab: YAML is indented with spaces", False),
    ("expected a single document", "a second document: '---' stands once, if at all", False),
    (
        "mapping values are not allowed",
        "':' fits in no way here: the indentation is off, the line above lacks a space behind "
        "its ':', or the text needs quotes",
        False,
    ),
    ("while scanning a quoted scalar", "a quote that is not closed", True),
    ("while parsing a flow", "a [ or { that is not closed, or a comma is missing", True),
    ("while scanning a simple key", "a line without ':' where a key is to be", True),
    (
        "expected <block end>",
        "this fits to nothing above it: the indentation is off, or a text needs quotes",
        False,
    ),
)


def joined(path: str, key: str | int) -> str:
    """A path with one more key, or a place in a list.

    Example:
        >>> joined(joined("layers.unit", "categories"), 0)
        'layers.unit.categories[0]'
    """
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


@dataclass
class Parsed:
    """What a text held.

    Attributes:
        value: dicts, lists, text, numbers, truth values and None.
        lines: of every key and item, by its path, from 1.
        mistakes: those of the YAML; ``value`` is not whole where there are any.
    """

    value: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)


def parse(text: str, file: str) -> Parsed:
    """Reads YAML. Nothing is raised, whatever the text is.

    Args:
        text: of the file; at most some hundred kilobytes, as this is not fast.
        file: what mistakes name.
    """
    reader = _Reader(file)
    odd = _UNPRINTABLE.search(text)
    if odd is not None:
        code = f"U+{ord(odd[0]):04X}"
        reader.wrong(text.count("\n", 0, odd.start()) + 1, "", f"{code}: no text has that")
        return reader.parsed
    try:
        node = reader.yaml.compose(text)
        if node is not None:
            reader.parsed.value = reader.value(node, "")
    except MarkedYAMLError as error:
        reader.told(error)
    except _TooMuch as error:
        reader.parsed.mistakes = [Mistake(file, *error.args)]
    except RecursionError:
        reader.parsed.mistakes = [Mistake(file, 1, "", "lists or keys are nested too deep")]
    # What it raises beside its own errors for odd tags, directives and numbers.
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as e:
        text = " ".join(str(e).split())[:200]
        reader.wrong(1, "", f"is no YAML: {text or type(e).__name__}")
    reader.parsed.mistakes.sort(key=lambda one: one.line)
    return reader.parsed


class _TooMuch(Exception):
    """Aliases that stand for too much, with a mistake's line, path and message."""


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.parsed = Parsed()
        self.yaml = YAML(typ="safe", pure=True)
        self.yaml.composer.warn_double_anchors = False  # YAML takes them
        self._within: set[int] = set()  # the nodes that we are in
        self._count = 0

    def wrong(self, line: int, path: str, message: str, hint: str = "") -> None:
        self.parsed.mistakes.append(Mistake(self.file, line, path, message, hint))

    def told(self, error: MarkedYAMLError) -> None:
        """What ruamel has found, in our words."""
        problem = " ".join(str(error.problem or "").split())
        context = " ".join(str(error.context or "").split())
        mark = error.problem_mark or error.context_mark
        message = f"is no YAML: {problem or context}"
        if match := re.fullmatch(r"found undefined alias '(.*)'", problem):
            message = f"there is no anchor &{match[1]} above this"
        elif match := re.search(r"found character (['\"].*['\"]) that cannot start", problem):
            message = f"text that begins with {match[1]} needs quotes"
        for part, said, begin in _SAID:
            if part in problem or part in context:
                message = said
                mark = error.context_mark if begin and error.context_mark else mark
                break
        self.wrong(mark.line + 1 if mark is not None else 1, "", message)

    def value(self, node: Node, path: str) -> Any:
        line = node.start_mark.line + 1
        self._count += 1
        if self._count > _MOST_VALUES:
            message = f"more than {_MOST_VALUES} values, with what aliases stand for"
            key = re.split(r"[.\[]", path)[0]
            raise _TooMuch(self.parsed.lines.get(key, line), key, message)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path, line)
        if id(node) in self._within:
            raise _TooMuch(self.parsed.lines.get(path, line), path, "an alias of what it is in")
        self._within.add(id(node))
        try:
            if isinstance(node, MappingNode):
                self._plain(node, path, line, "map")
                return self._mapping(node, path)
            assert isinstance(node, SequenceNode)
            self._plain(node, path, line, "seq")
            return self._list(node, path)
        finally:
            self._within.discard(id(node))

    def _plain(self, node: Node, path: str, line: int, kind: str) -> None:
        if str(node.tag) != _STD + kind:
            self._tagged(node, path, line)

    def _tagged(self, node: Node, path: str, line: int) -> None:
        tag = str(node.tag).replace(_STD, "!!")
        self.wrong(line, path, f"the tag {tag[:60]}: takes plain values alone")

    def _mapping(self, node: MappingNode, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, path, line)
            if key is None:
                continue
            at = joined(path, key)
            if key in found:
                self.wrong(line, at, f"stands twice: line {self.parsed.lines[at]} has it, too")
                continue
            self.parsed.lines[at] = line
            found[key] = self.value(value_node, at)
        return found

    def _key(self, node: Node, path: str, line: int) -> str | None:
        if not isinstance(node, ScalarNode):
            self.wrong(line, path, "a list or keys stand where a key is to be")
            return None
        if str(node.tag) == _STD + "merge":
            self.wrong(
                line, path, "'<<' is no key of YAML 1.2", "an alias stands for a whole value"
            )
            return None
        key = self._scalar(node, path, line)
        if not isinstance(key, str):
            hint = f'write "{node.value}"' if node.value else ""
            self.wrong(line, path, f"takes text as keys, not {short(key)}", hint)
            return None
        return key

    def _list(self, node: SequenceNode, path: str) -> list[Any]:
        found = []
        for number, item in enumerate(node.value):
            at = joined(path, number)
            self.parsed.lines[at] = item.start_mark.line + 1
            found.append(self.value(item, at))
        return found

    def _scalar(self, node: ScalarNode, path: str, line: int) -> Any:
        tag = str(node.tag)
        if tag in _TEXT:
            text = str(node.value)
            half = _HALF.search(text)
            if half is not None:  # by an escape
                self.wrong(line, path, f"U+{ord(half[0]):04X}: no text has that")
            return text
        if tag in (_STD + "int", _STD + "float", _STD + "bool", _STD + "null"):
            try:
                return self.yaml.constructor.construct_object(node)
            except (YAMLError, ValueError, LookupError, ArithmeticError):
                kind = tag.replace(_STD, "!!")
                self.wrong(line, path, f"{short(str(node.value))} is nothing of {kind}")
                return None
        self._tagged(node, path, line)
        return None
