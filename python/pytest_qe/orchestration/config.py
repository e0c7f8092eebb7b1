"""``test_layers.yaml``: found, read, and checked against its schema.

Every mistake is told at once, as a line that names the file, the line and the key, and what
would be right. Names, cycles and what can never fit the core finds: see ``checking``.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import stat
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import schema, yamlfile
from .mistakes import ConfigError, Mistake, short
from .yamlfile import joined

__all__ = ["NAMES", "Config", "find", "parse", "read"]

#: What the file is called.
NAMES = ("test_layers.yaml", "test_layers.yml")
_MOST_BYTES = 256 * 1024  # of a file; the YAML of more takes seconds
_REPOSITORY = (".git", ".hg", ".jj")
_INDEXED = re.compile(r"layers\.([A-Za-z0-9_-]+)\.categories\[(\d+)\](.*)", re.DOTALL)
_SHELL = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<", "2>", "2>&1", "|&"})


@dataclass(frozen=True)
class Config:
    """A configuration that the schema takes.

    Attributes:
        file: its file, as it was named.
        data: what it says, as plain values; commands are lists of words, frameworks have
            their names of ``frameworks.json``. Nothing is filled in for keys that it lacks.
        lines: the line of every key and item, by paths such as ``layers.unit.categories[0]``.
    """

    file: str
    data: dict[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> str:
        """The absolute path of the folder that paths in it begin in."""
        return os.path.dirname(os.path.abspath(self.file))

    @property
    def environments(self) -> list[str]:
        """The environments that it has something for."""
        return list(self.data.get("environment_overrides", ()))

    def json(self) -> str:
        """What the core reads."""
        return json.dumps(self.data, allow_nan=False)

    def where(self, path: str, environment: str | None = None) -> tuple[str, int]:
        """Where the file has what the merged configuration has at a path.

        Args:
            path: such as ``layers.unit.categories[1].depends_on[0]``.
            environment: the one that is laid over the rest.

        Returns: the path in the file, which may be that of an override, and the line. Where
            the file does not have it, those of the nearest thing around it.
        """
        over = self._over(path, environment) if environment is not None else None
        if over is not None and over in self.lines:
            return over, self.lines[over]
        above, over_above = path, over or ""
        while True:
            if above in self.lines:
                return path, self.lines[above]
            if over is not None and over_above in self.lines:
                return over, self.lines[over_above]
            if not above:
                return path, 1
            above = _parent(above)
            over_above = _parent(over_above)

    def mistakes(
        self, found: Iterable[schema.Found], environment: str | None = None
    ) -> list[Mistake]:
        """What is wrong, with places in the file and in its order.

        Args:
            found: path, message and hint of each; paths as ``where`` takes them.
            environment: the one that is laid over the rest.
        """
        told = set()
        for path, message, hint in found:
            shown, line = self.where(path, environment)
            told.add(Mistake(self.file, line, shown, message, hint))
        return sorted(told)

    def _over(self, path: str, environment: str) -> str:
        """The path in the overrides: categories are found there by their names."""
        begin = f"environment_overrides.{environment}"
        match = _INDEXED.fullmatch(path)
        if match is not None:
            layer, number, rest = match[1], int(match[2]), match[3]
            base = _names(self.data, layer)
            mine = _names(self.data.get("environment_overrides", {}).get(environment, {}), layer)
            merged = base + [name for name in mine if name not in base]
            if number < len(merged) and merged[number] in mine:
                place = mine.index(merged[number])
                return f"{begin}.layers.{layer}.categories[{place}]{rest}"
            return f"{begin}.layers.{layer}.categories[-]{rest}"  # which is nowhere
        return f"{begin}.{path}"


def _names(data: Mapping[str, Any], layer: str) -> list[str]:
    found = data.get("layers", {}).get(layer, {}).get("categories", [])
    return [one["name"] for one in found]


def _parent(path: str) -> str:
    match = re.fullmatch(r"(.*)(?:\.[^.\[\]]*|\[[^\[\]]*\])", path, re.DOTALL)
    return match[1] if match else ""


# -------------------------------------------------------------------- finding


def find(folder: str | os.PathLike[str] | None = None) -> Path:
    """The configuration of a project: in a folder or above it, up to its repository's root.

    Where there is no repository the folder alone counts: what lies above may be anybody's.

    Args:
        folder: where to begin; None: the current one.

    Raises:
        ConfigError: there is none, or there are two side by side.
    """
    start = Path(os.path.abspath(os.curdir if folder is None else folder))
    if not start.is_dir():
        raise _wrong(str(start), "there is no such folder")
    above = [start, *start.parents]
    root = next((f for f in above if any((f / name).exists() for name in _REPOSITORY)), start)
    for here in above[: above.index(root) + 1]:
        there = [here / name for name in NAMES if os.path.lexists(here / name)]
        if len(there) > 1:
            raise _wrong(str(there[0]), f"{NAMES[1]} is beside it", "remove one of them")
        if there:
            return there[0]
    upwards = f" or above it, up to {root}" if root != start else ""
    outside = [f / name for f in above[1:] for name in NAMES if (f / name).is_file()]
    if root == start and outside and not any((start / name).exists() for name in _REPOSITORY):
        hint = f"{outside[0]} counts if it is named, or both are in one repository"
        raise _wrong(str(start), f"there is no {NAMES[0]} in it", hint)
    raise _wrong(str(start), f"there is no {NAMES[0]} in it{upwards}",
                 "'qe layers init' writes one")  # fmt: skip


def read(
    path: str | os.PathLike[str] | None = None, *, folder: str | os.PathLike[str] | None = None
) -> Config:
    """Reads a configuration and checks it against the schema.

    Args:
        path: the file; None: the one that ``find`` finds.
        folder: where to look for it; None: the current one.

    Raises:
        ConfigError: everything that is wrong with it.

    Example: ``read("test_layers.yaml").data["layers"]["unit"]``
    """
    file = os.fspath(find(folder) if path is None else path)
    return parse(_text(file), file)


def _wrong(file: str, message: str, hint: str = "", line: int = 0) -> ConfigError:
    return ConfigError([Mistake(file, line, "", message, hint)])


def _text(file: str) -> str:
    if not file or "\0" in file:
        raise _wrong(file, f"takes the path of a file, not {short(file)}")
    try:
        # Opening a FIFO would wait for somebody who writes.
        with open(os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as opened:
            kind = os.fstat(opened.fileno()).st_mode
            if stat.S_ISDIR(kind):
                raise _wrong(file, f"is a folder: name the file, such as {NAMES[0]}")
            if not stat.S_ISREG(kind):
                raise _wrong(file, "is no regular file")
            data = opened.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise _wrong(file, "there is no such file", "'qe layers init' writes one") from None
    except IsADirectoryError:
        raise _wrong(file, f"is a folder: name the file, such as {NAMES[0]}") from None
    except OSError as error:
        raise _wrong(file, f"cannot be read: {error.strerror}") from None
    if len(data) > _MOST_BYTES:
        raise _wrong(file, f"is larger than {_MOST_BYTES // 1024} KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"is no UTF-8: the byte 0x{data[error.start]:02x}"
        raise _wrong(file, message, "save it as UTF-8", line) from None


# -------------------------------------------------------------------- reading


def parse(text: str, file: str = NAMES[0]) -> Config:
    """As ``read``, of a text.

    Args:
        text: YAML.
        file: what mistakes name, and whose folder paths begin in.

    Raises:
        ConfigError: everything that is wrong with it.

    Example:
        >>> text = "layers: {unit: {categories: [{name: all, command: make test}]}}"
        >>> parse(text).data["layers"]["unit"]["categories"][0]["command"]
        ['make', 'test']
    """
    parsed = yamlfile.parse(text, file)
    if parsed.mistakes:
        raise ConfigError(parsed.mistakes)
    data = parsed.value
    if data is None:
        raise _wrong(file, "is empty", "'qe layers init' writes one that is not")
    if not isinstance(data, dict):
        raise _wrong(file, f"takes keys, such as 'layers:', not {short(data)}", line=1)
    config = Config(file, data, parsed.lines)
    found = list(_numbers(data, ""))
    told = {path for path, *_ in found}
    found += [one for one in schema.against(data) if one[0] not in told]
    if not found:
        found = list(_settled(data))
    if found:
        raise ConfigError(config.mistakes(found))
    return config


def _numbers(value: object, path: str) -> Iterator[schema.Found]:
    """JSON has no numbers such as these, and a schema takes them for great ones."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path, f"takes a number that is finite, not {value}", ""
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(item, joined(path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _numbers(item, joined(path, number))


def _settled(data: dict[str, Any]) -> Iterator[schema.Found]:
    """Makes words of commands and names of aliases, wherever they stand."""
    overrides = data.get("environment_overrides", {})
    parts = [("", data)]
    parts += [(f"environment_overrides.{name}.", one) for name, one in overrides.items()]
    for begin, part in parts:
        for layer, keys in part.get("layers", {}).items():
            for number, category in enumerate(keys.get("categories", ())):
                at = f"{begin}layers.{layer}.categories[{number}]"
                if "framework" in category:
                    category["framework"] = _canonical(category["framework"])
                yield from _command(category, "command", at)
        for service, keys in part.get("services", {}).items():
            at = f"{begin}services.{service}"
            yield from _command(keys, "start", at)
            yield from _command(keys, "stop", at)
            yield from _command(keys.get("check", {}), "command", f"{at}.check")
            yield from _address(keys.get("check", {}), f"{at}.check")


def _address(check: dict[str, Any], at: str) -> Iterator[schema.Found]:
    """What a pattern cannot say of the URL that is looked at."""
    if "http" not in check:
        return
    url = check["http"]
    try:
        parts = urllib.parse.urlsplit(url)
        good = bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of brackets
        good = False
    if not good:
        yield f"{at}.http", f"takes a URL such as http://localhost:8080/ready, not {short(url)}", ""


def _canonical(name: str) -> str:
    from .. import frameworks

    return frameworks.lookup(name).name


def _command(keys: dict[str, Any], key: str, at: str) -> Iterator[schema.Found]:
    """The words of a command; a text is split as a shell does it, and no more."""
    if key not in keys:
        return
    path, given = joined(at, key), keys[key]
    if isinstance(given, str):
        try:
            words = shlex.split(given)
        except ValueError as error:
            yield path, f"cannot be split into words: {str(error).lower()}", ""
            return
        odd = next((word for word in words if word in _SHELL), None)
        if odd is not None:
            hint = "a list such as [sh, -c, 'one && two'] names a shell"
            yield path, f"no shell runs it: {odd!r} would be a word of the command", hint
        elif words and re.match(r"[A-Za-z_][A-Za-z0-9_]*=", words[0]):
            name = words[0].partition("=")[0]
            yield path, f"no shell runs it: {name} is set under environment", ""
        keys[key] = words
    else:
        words = keys[key] = list(given)  # an alias makes one list of several
    if not words or not words[0].strip():
        yield path, "has no program", ""
