"""What the schema of ``test_layers.yaml`` says against a configuration, in plain lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from .mistakes import nearest, short
from .yamlfile import joined

__all__ = ["Found", "against", "schema"]

#: A path, what is wrong there, and a hint.
Found = tuple[str, str, str]


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of the format, draft 2020-12; not to be changed.

    Example:
        >>> schema()["$id"]
        'urn:qe:layers:1'
    """
    text = Path(__file__).with_name("layers.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def against(data: object) -> list[Found]:
    """Everything in a configuration that the schema does not take, each once."""
    found: dict[Found, None] = {}
    for error in _validator().iter_errors(data):
        for one in _SAYING.get(error.validator, _other)(error, _path(error)):
            found[one] = None
    return list(found)


def _path(error: ValidationError) -> str:
    path = ""
    for part in error.absolute_path:
        path = joined(path, part)
    return path


def _takes(error: ValidationError) -> str:
    """What belongs there: the first title that the schema has for it, which knows most."""
    if "propertyNames" in error.absolute_schema_path:
        return str(error.schema["title"])
    at = _with_referred(schema())
    for part in error.absolute_path:
        parts: list[Any] = []
        for one in at:
            if isinstance(part, int):
                parts.append(one.get("items"))
            else:
                parts.append(one.get("properties", {}).get(part, one.get("additionalProperties")))
        at = [more for one in parts if isinstance(one, dict) for more in _with_referred(one)]
    return next(str(one["title"]) for one in at if "title" in one)


def _with_referred(part: dict[str, Any]) -> list[dict[str, Any]]:
    """A part of the schema, and those that it refers to."""
    found = [part]
    while "$ref" in found[-1]:
        found.append(schema()["$defs"][found[-1]["$ref"].rpartition("/")[2]])
    return found


# ------------------------------------------------------------------- keywords


def _other(error: ValidationError, path: str) -> Iterator[Found]:
    yield path, f"takes {_takes(error)}, not {short(error.instance)}", _hint(error)


def _hint(error: ValidationError) -> str:
    """What was probably meant, where it is a value of another kind."""
    value, kinds = error.instance, error.schema.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    meant: str | None = None
    if isinstance(value, str):
        if "boolean" in kinds:
            words = {"yes": "true", "on": "true", "no": "false", "off": "false"}
            words |= {"true": "true", "false": "false"}
            meant = words.get(value.lower())
        elif "array" in kinds and "string" not in kinds and value and "\n" not in value:
            meant = f"[{value}]"
        elif "number" in kinds or ("integer" in kinds and "string" not in kinds):
            match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(?:%|s|sec|seconds|min|minutes)?\s*",
                                 value)  # fmt: skip
            meant = match[1] if match else None
        elif "integer" in kinds:  # a size
            match = re.fullmatch(r"\s*([0-9]+)\s*([kmgt])(i?)b?\s*", value, re.ASCII | re.I)
            meant = repr(f"{match[1]}{match[2].upper()}{match[3]}") if match else None
    elif list(kinds) == ["string"] and isinstance(value, int | float):
        meant = f'"{short(value)}", in quotes'
    return f"did you mean {meant}?" if meant is not None else ""


def _enum(error: ValidationError, path: str) -> Iterator[Found]:
    value = error.instance
    if "then" in error.absolute_schema_path:
        markers = path.rpartition(".")[0] + ".markers"
        yield markers, f"goes with pytest, not with {value}", "args takes its own words"
        return
    known = [one for one in error.validator_value if isinstance(one, str)]
    near = nearest(value, known) if isinstance(value, str) else None
    hint = f"did you mean {near!r}?" if near is not None else ""
    yield path, f"takes {_takes(error)}, not {short(value)}", hint


def _most(error: ValidationError, path: str) -> Iterator[Found]:
    takes = _takes(error)
    if " to " not in takes:  # it does not say how far it goes
        takes = f"at most {error.validator_value}"
    yield path, f"takes {takes}, not {short(error.instance)}", ""


def _required(error: ValidationError, path: str) -> Iterator[Found]:
    for key in error.validator_value:
        if key not in error.instance:
            yield path, f"lacks the key {key!r}", ""


def _more_keys(error: ValidationError, path: str) -> Iterator[Found]:
    known = list(error.schema.get("properties", ()))
    for key in error.instance:
        if key not in known:
            left = [name for name in known if name not in error.instance]
            near = nearest(key, left) or nearest(key, known)
            hint = f"did you mean {near!r}?" if near is not None else f"it takes {', '.join(known)}"
            yield joined(path, key), "there is no such key", hint


def _key(error: ValidationError, path: str) -> Iterator[Found]:
    """A key that is not named as such are."""
    key = str(error.instance)
    yield joined(path, key), f"a name here is of {_takes(error)}", ""


def _either(error: ValidationError, path: str) -> Iterator[Found]:
    if not isinstance(error.instance, dict):
        return  # its type says more
    if "framework" in error.instance and "command" in error.instance:
        yield joined(path, "command"), "takes either framework or command, not both", ""
    else:
        yield path, "lacks the key 'framework' or 'command'", ""


def _together(error: ValidationError, path: str) -> Iterator[Found]:
    for key, needed in error.validator_value.items():
        if "command" in error.instance and key in error.instance:  # else _either tells it
            yield joined(path, key), f"goes with {needed[0]}, not with command", ""


def _empty(error: ValidationError, path: str) -> Iterator[Found]:
    yield path, f"takes {_takes(error)}", ""


def _pattern(error: ValidationError, path: str) -> Iterator[Found]:
    if "propertyNames" in error.absolute_schema_path:
        return _key(error, path)
    return _other(error, path)


_SAYING: Mapping[Any, Callable[[ValidationError, str], Iterable[Found]]] = {
    "enum": _enum,
    "maximum": _most,
    "required": _required,
    "additionalProperties": _more_keys,
    "oneOf": _either,
    "dependentRequired": _together,
    "minProperties": _empty,
    "maxProperties": _empty,
    "minItems": _empty,
    "pattern": _pattern,
    "type": _pattern,
}
