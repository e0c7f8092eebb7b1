"""``--qe-shard``: this machine's part, agreed on without talking.

A file of tests is never split. By default its shard is the hash of its path;
with a durations file, files are spread longest first over the shards.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from . import _core
from .options import Options
from .planning import NS, key

_SCHEMA = 1


class ShardError(ValueError):
    """Shards that do not fit together, or a file that is none of ours."""


def digest_of(texts: list[str]) -> str:
    """A digest of ids, in order."""
    value = _core.DIGEST_INIT
    for text in texts:
        value = _core.digest(value, key(text) + b"\0")
    return f"{value:016x}"


def read_durations(path: Path) -> dict[str, float]:
    """Seconds by test file from a durations file. Raises ShardError, OSError."""
    import json

    try:
        value = json.loads(path.read_text("utf-8"))
        if value["schema"] != _SCHEMA:
            raise ShardError(f"{path}: schema {value['schema']!r}, expected {_SCHEMA}")
        files = {str(k): float(v) for k, v in value["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ShardError):
            raise
        raise ShardError(
            f"{path} is no durations file ({type(error).__name__}: {error}); "
            "it is written by a run with --qe-shard-durations and no --qe-shard"
        ) from None
    if any(not 0 <= v < 1e9 for v in files.values()):
        raise ShardError(f"{path}: durations must be seconds from 0")
    return files


def write_durations(path: Path, files: dict[str, float]) -> None:
    """Writes a durations file, whole or not at all."""
    import json

    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        rounded = {name: round(seconds, 4) for name, seconds in sorted(files.items())}
        temporary.write_text(json.dumps({"schema": _SCHEMA, "files": rounded}, indent=1) + "\n")
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _file(nodeid: str) -> str:
    return nodeid.split("::", 1)[0]


class Sharding:
    """The selection of one run, and what its JSON says of it."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self.options = options
        self.warnings: list[str] = []
        self.seconds: dict[str, float] = {}  # by file, as measured in this run
        self._description: dict[str, Any] | None = None

    def _path(self) -> Path | None:
        given = self.options.shard_durations
        return None if given is None else self.config.invocation_params.dir / given

    def _durations(self) -> dict[str, float] | None:
        path = self._path()
        if path is None:
            return None
        try:
            return read_durations(path)
        except FileNotFoundError:
            raise pytest.UsageError(
                f"--qe-shard-durations={self.options.shard_durations}: no such file; a run "
                "without --qe-shard writes it, and every shard must be given the same one"
            ) from None
        except (ShardError, OSError) as error:
            raise pytest.UsageError(f"--qe-shard-durations: {error}") from None

    def select(self, items: list[pytest.Item]) -> None:
        """Keeps this shard's items, in place."""
        if self.options.shard is None:
            return
        index, of = self.options.shard
        collected = [item.nodeid for item in items]
        files = list(dict.fromkeys(_file(nodeid) for nodeid in collected))
        durations = self._durations()
        times = None
        if durations is not None:
            times = [int(durations.get(name, 0.0) * NS) for name in files]
        shards = _core.shard_assign([key(name) for name in files], times, of)
        mine = {name for name, shard in zip(files, shards, strict=True) if shard == index - 1}
        keep = [item for item in items if _file(item.nodeid) in mine]
        drop = [item for item in items if _file(item.nodeid) not in mine]
        if drop:
            self.config.hook.pytest_deselected(items=drop)
            items[:] = keep
        self._description = {
            "index": index,
            "of": of,
            "by": "path" if durations is None else "durations",
            "collected": len(collected),
            "collection_digest": digest_of(collected),
            "durations_digest": None
            if durations is None
            else digest_of([f"{k}={v!r}" for k, v in sorted(durations.items())]),
        }

    def description(self) -> dict[str, Any] | None:
        """For the JSON: enough to verify that shards fit together."""
        return self._description

    def add(self, nodeid: str, seconds: float) -> None:
        """Counts a test's duration for the durations file."""
        name = _file(nodeid)
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def write_durations(self) -> None:
        """After a whole run: the durations for the shards of the next ones.

        A sharded run leaves the file alone, as the other shards read it.
        """
        path = self._path()
        if path is None or self.options.shard is not None or not self.seconds:
            return
        known: dict[str, float] = {}
        try:
            known = read_durations(path)
        except (OSError, ShardError):
            pass
        try:
            write_durations(path, {**known, **self.seconds})
        except OSError as error:
            self.warnings.append(f"--qe-shard-durations: {path} was not written: {error}")


def durations_from_results(paths: list[Path], output: Path) -> str:
    """Writes a durations file from JSON results; returns a sentence."""
    import json

    files: dict[str, float] = {}
    for path in paths:
        try:
            tests = json.loads(path.read_text("utf-8"))["tests"]
            for test in tests:
                seconds = float(test["attempts"][-1]["duration"]) if test["attempts"] else 0.0
                files[_file(test["id"])] = files.get(_file(test["id"]), 0.0) + seconds
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ShardError(
                f"{path} is no --qe-json result ({type(error).__name__}: {error})"
            ) from None
    write_durations(output, files)
    return f"{output}: {len(files)} files"


def verify(paths: list[Path]) -> str:
    """Checks that the JSON results are the disjoint and complete shards of one
    collection; returns a sentence. Raises ShardError with the reason if not."""
    seen: dict[int, Path] = {}
    owner: dict[str, Path] = {}
    first: dict[str, Any] | None = None
    for path in paths:
        result = _read_result(path)
        shard = result["run"]["shard"]
        if first is None:
            first = shard
        for name in ("of", "by", "collected", "collection_digest", "durations_digest"):
            if shard[name] != first[name]:
                raise ShardError(
                    f"{path}: {name} is {shard[name]!r}, but {first[name]!r} in {paths[0]}"
                )
        if shard["index"] in seen:
            raise ShardError(
                f"shard {shard['index']}/{shard['of']} twice: {seen[shard['index']]} and {path}"
            )
        seen[shard["index"]] = path
        for test in result["tests"]:
            if test["id"] in owner:
                raise ShardError(f"{test['id']} is in {owner[test['id']]} and in {path}")
            owner[test["id"]] = path
    if first is None:
        raise ShardError("no files given")
    missing = sorted(set(range(1, first["of"] + 1)) - set(seen))
    if missing:
        names = ", ".join(f"{i}/{first['of']}" for i in missing)
        raise ShardError(f"missing: shard {names}")
    if len(owner) != first["collected"]:
        raise ShardError(f"{first['collected']} tests were collected, the shards hold {len(owner)}")
    return f"{first['of']} shards, {len(owner)} tests: disjoint and complete"


def _read_result(path: Path) -> dict[str, Any]:
    import json

    try:
        result = json.loads(path.read_text("utf-8"))
        shard = result["run"]["shard"]
        for name in ("index", "of", "by", "collected", "collection_digest", "durations_digest"):
            shard[name]
        [test["id"] for test in result["tests"]]
    except OSError as error:
        raise ShardError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ShardError(
            f"{path} is no result of a --qe-shard run with --qe-json "
            f"({type(error).__name__}: {error})"
        ) from None
    return result  # type: ignore[no-any-return]
