"""A configuration with an environment's overrides in it: what the core makes of it, and what
is wrong with that."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from .. import _core
from . import schema
from .config import Config
from .mistakes import ConfigError, Mistake, hint_for, nearest, short

__all__ = ["check_merged", "checked", "from_core", "missing", "missing_paths"]


def checked(config: Config, environment: str | None = None) -> _core.Layers:
    """What the core makes of a configuration, once nothing is wrong with it.

    Args:
        config: what was read.
        environment: the one whose overrides are laid over the rest; None: none.

    Raises:
        ConfigError: everything that is wrong: names that there are not, cycles, and what
            overrides have made of it.

    Example:
        >>> from .config import parse
        >>> text = "layers: {unit: {categories: [{name: all, command: make test}]}}"
        >>> json.loads(checked(parse(text)).merged())["layers"]["unit"]["categories"][0]["name"]
        'all'
    """
    layers = _core.Layers(config.json(), environment)
    found = schema.against(json.loads(layers.merged()))
    told = {path for path, *_ in found}
    mistakes = config.mistakes(found, environment)
    errors = [one for one in json.loads(layers.errors()) if one["path"] not in told]
    mistakes += from_core(config, errors, environment)
    if mistakes:
        raise ConfigError(sorted(set(mistakes)))
    return layers


def from_core(
    config: Config, errors: Iterable[Mapping[str, Any]], environment: str | None = None
) -> list[Mistake]:
    """What the core found wrong, as mistakes with their places in the file.

    Args:
        config: what the core was given.
        errors: the objects of ``qe_layers_errors``: path, message, unknown, known.
        environment: what the core was told to lay over it.

    Example:
        >>> from .config import parse
        >>> text = "layers: {unit: {categories: [{name: all, command: make test}]}}"
        >>> error = {"path": "layers.unit", "message": "no", "unknown": "al", "known": ["all"]}
        >>> [str(one) for one in from_core(parse(text), [error])]
        ["test_layers.yaml:1: layers.unit: no: 'al'; did you mean 'all'?"]
    """
    found = []
    for error in errors:
        message, hint = str(error.get("message", "")), ""
        if error.get("unknown") is not None:
            name = str(error["unknown"])
            known = list(dict.fromkeys(map(str, error.get("known") or ())))
            message, hint = f"{message}: {short(name)}", hint_for(name, known)
        found.append((str(error.get("path", "")), message, hint))
    return config.mistakes(found, environment)


def check_merged(config: Config, merged: object, environment: str | None = None) -> None:
    """Checks what has come of a configuration with its overrides in it: these may lack keys
    that the whole must have, and add some that cannot stand beside others.

    Args:
        config: what the core was given.
        merged: what it made of it (``qe_layers_merged``), read from JSON.
        environment: what was laid over it.

    Raises:
        ConfigError: everything that is wrong with it.
    """
    found = schema.against(merged)
    if found:
        raise ConfigError(config.mistakes(found, environment))


def missing(
    config: Config, data: Mapping[str, Any] | None = None, environment: str | None = None
) -> list[Mistake]:
    """The paths of categories that are not there, as mistakes; empty: all are.

    Args:
        config: what was read; its folder is where paths begin.
        data: what came of it with its overrides; None: what was read.
        environment: what was laid over it.
    """
    found = missing_paths(config.folder, config.data if data is None else data)
    return config.mistakes(found, environment)


def missing_paths(folder: str, data: Mapping[str, Any]) -> list[schema.Found]:
    """The same before their places in the file are looked up."""
    found = []
    for layer, keys in data.get("layers", {}).items():
        for number, category in enumerate(keys.get("categories", ())):
            for place, path in enumerate(category.get("paths", ())):
                if not _is_there(folder, path):
                    at = f"layers.{layer}.categories[{number}].paths[{place}]"
                    what = "nothing matches" if glob.has_magic(path) else "there is no"
                    found.append((at, f"{what} {short(path)}", _near(folder, path)))
    return found


def _is_there(folder: str, path: str) -> bool:
    if os.path.lexists(os.path.join(folder, path)):
        return True
    return glob.has_magic(path) and any(glob.iglob(path, root_dir=folder, recursive=True))


def _near(folder: str, path: str) -> str:
    """The path with its first part that is not there as it may have been meant."""
    parts = path.split("/")
    for count, part in enumerate(parts):
        before = "/".join(parts[:count])
        try:
            there = sorted(os.listdir(os.path.join(folder, before)))
        except OSError:
            return ""
        if part not in there and part not in ("", ".", ".."):
            near = None if glob.has_magic(part) else nearest(part, there)
            meant = "/".join([*parts[:count], near or "", *parts[count + 1 :]])
            return f"did you mean {meant!r}?" if near else ""
    return ""
