"""``--qe-replay=TOKEN``: one execution that failed, once more: its order, its seeds and what
was changed around it.

A token is text from elsewhere: it names tests and known changes, and nothing of it is
executed.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import json
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import _core
from .failures import place_of, way_of_attempt
from .flaky import result_of
from .passes import Decided, around_of

if TYPE_CHECKING:
    from .delivery import Attempt
    from .failures import Way
    from .planning import Wish

_PREFIX = "qe1-"
_LONGEST = 800  # characters that a command line takes well
_MOST_BYTES = 1 << 24
_FOLDER = ".qe/replays"
_BESIDE = ("", "then", "meanwhile", "exclusive")


class Recipe:
    """What a token says."""

    def __init__(
        self,
        items: list[str],
        others: list[str],
        beside: str,
        seed: int,
        hash_seed: int | None,
        around: list[str],
        clock: float,
        args: list[str],
        failure: str,
    ) -> None:
        self.items = items
        self.others = others
        self.beside = beside
        self.seed = seed
        self.hash_seed = hash_seed
        self.around = around
        self.clock = clock
        self.args = args
        self.failure = failure

    @property
    def ids(self) -> list[str]:
        return list(dict.fromkeys([*self.others, *self.items]))

    def token(self) -> str:
        data = json.dumps(
            [
                self.items, self.others, self.beside, self.seed, self.hash_seed, self.around,
                self.clock, self.args, self.failure,
            ],
            separators=(",", ":"),
        )  # fmt: skip
        packed = zlib.compress(data.encode("utf-8", "surrogatepass"), 9)
        return _PREFIX + base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")


def recipe_of(
    probe: _core.Probe, ids: list[str], hash_seeds: list[int], args: list[str], failure: str
) -> Recipe:
    """What repeats a probe."""
    return Recipe(
        [ids[item] for item in probe["items"]],
        [ids[item] for item in probe["others"]],
        probe["beside"],
        probe["seed"],
        hash_seeds[probe["server"] - 1] if probe["server"] > 0 else None,
        probe["around"],
        probe["clock"] if "clock" in probe["around"] else 0.0,
        args,
        failure,
    )


def option_for(
    probe: _core.Probe, ids: list[str], hash_seeds: list[int], config: pytest.Config, failure: str
) -> str:
    """The option that repeats a probe."""
    return option_of(recipe_of(probe, ids, hash_seeds, args_of(config), failure), config.rootpath)


def args_of(config: pytest.Config) -> list[str]:
    """What was collected, for a token: paths relative to the rootdir."""
    root = str(config.rootpath)
    found = []
    for arg in config.args:
        path = str(arg).split("::", 1)[0]
        absolute = os.path.normpath(config.invocation_params.dir / path)
        if not os.path.exists(absolute) or os.path.commonpath([root, absolute]) != root:
            return []
        found.append(os.path.relpath(absolute, root))
    return list(dict.fromkeys(found))


def option_of(recipe: Recipe, root: Path) -> str:
    """The option that repeats it; a long one's token goes into a file."""
    token = recipe.token()
    if len(token) <= _LONGEST:
        return f"--qe-replay={token}"
    name = f"{_FOLDER}/{zlib.crc32(token.encode()):08x}.txt"
    path = root / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(token + "\n", "ascii")
    except OSError:
        return f"--qe-replay={token}"
    return f"--qe-replay=@{name}"


class BadToken(ValueError):
    """The text says what is wrong."""


def parse(text: str, root: Path) -> Recipe:
    """The recipe of a token, or of the file that ``@PATH`` names.

    Raises ``BadToken``.
    """
    if text.startswith("@"):
        path = Path(text[1:])
        try:
            with (path if path.is_file() else root / path).open("rb") as file:
                read = file.read(_MOST_BYTES + 1)  # a device may have no end
            if len(read) > _MOST_BYTES:
                raise BadToken(f"{path}: it holds too much")
            text = read.decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadToken(f"{path}: cannot be read ({error})") from None
    if not text.startswith(_PREFIX):
        raise BadToken(f"a token begins with {_PREFIX}")
    try:
        text = text[len(_PREFIX) :]
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(packed, _MOST_BYTES)
        if unpacker.unconsumed_tail:
            raise BadToken("it holds too much")
        value = json.loads(data)
    except (ValueError, binascii.Error, zlib.error, RecursionError) as error:
        if isinstance(error, BadToken):
            raise
        raise BadToken("it is not whole") from None
    return _checked(value)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_inside(path: str) -> bool:
    """Whether a path is one below the rootdir, and no option."""
    parts = Path(path).parts
    return not path.startswith("-") and not Path(path).is_absolute() and ".." not in parts


def _checked(value: Any) -> Recipe:
    if not isinstance(value, list) or len(value) != 9:
        raise BadToken("it is not one of this version")
    items, others, beside, seed, hash_seed, around, clock, args, failure = value
    known = (
        _texts(items) and items and _texts(others) and _texts(around) and _texts(args)
        and beside in _BESIDE and (not others) == (beside in ("", "exclusive"))
        and type(seed) is int and 0 <= seed < 2**64
        and (hash_seed is None or (type(hash_seed) is int and 0 <= hash_seed < 2**32))
        and isinstance(clock, (int, float)) and 0 <= clock < 2.5e11
        and isinstance(failure, str)
        and all(name in _core.AROUND for name in around)
        and all(_is_inside(arg) for arg in args)
    )  # fmt: skip
    if not known:
        raise BadToken("it asks for what is not known here")
    return Recipe(*value)


def require(items: list[pytest.Item], wanted: list[str], option: str) -> None:
    """Raises ``pytest.UsageError`` where a test is not there."""
    known = {item.nodeid for item in items}
    for nodeid in wanted:
        if nodeid not in known:
            near = difflib.get_close_matches(nodeid, known, 1, 0.6)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise pytest.UsageError(f"{option}: {nodeid} is not among the tests collected{hint}")


def select(config: pytest.Config, items: list[pytest.Item], wanted: list[str], option: str) -> None:
    """Keeps the tests of these ids.

    Raises ``pytest.UsageError`` where one is missing.
    """
    require(items, wanted, option)
    keep = set(wanted)
    dropped = [item for item in items if item.nodeid not in keep]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item.nodeid in keep]


class Replay(Decided):
    """The execution of a token, once more."""

    def __init__(self, recipe: Recipe, items: list[pytest.Item], wishes: list[Wish]) -> None:
        hash_seeds = [] if recipe.hash_seed is None else [recipe.hash_seed]
        room = len(recipe.items) + len(recipe.others)
        super().__init__(len(items), wishes, room, hash_seeds)
        self.recipe = recipe
        index = {item.nodeid: number for number, item in enumerate(items)}
        self._items = [index[nodeid] for nodeid in recipe.items]
        self._others = [index[nodeid] for nodeid in recipe.others]
        self.result: int | None = None
        self.way: Way = ()
        self._stage = 0
        self._over = False

    def feed(self, session: _core.Session, units: list[tuple[int, int]]) -> None:
        if self._over:
            return
        recipe = self.recipe
        if recipe.beside == "then":
            if self._stage == 0:
                self._give(session, units, self._others)
            elif self._stage == 1 and self.given.under_way == 0:
                self._give(session, units, self._items)
            self._over = self._stage == 2
        else:
            self._give(session, units, self._items)
            if recipe.beside == "meanwhile":
                self._give(session, units, self._others)
            self._over = True
        if self._over:
            session.no_more()

    def _give(self, session: _core.Session, units: list[tuple[int, int]], items: list[int]) -> None:
        recipe = self.recipe
        partner = {"partner": 1} if recipe.beside == "meanwhile" else {}
        around = around_of(recipe.around, recipe.clock, files=1, **partner)
        given = self.given.give(
            session, units, items, recipe.seed, around=around,
            server=len(self.hash_seeds), serial=recipe.beside == "exclusive",
        )  # fmt: skip
        self._stage += 1
        if given is None:
            self._over = True
            return
        self.passes.append(
            {"number": given.number, "condition": "replay", "seed": recipe.seed, "order": items}
        )

    def add(
        self, item: int, pass_: int, attempt: Attempt, outcome: int
    ) -> tuple[Attempt, int] | None:
        given = self.given.given[pass_]
        last = self.given.place(pass_, attempt.unit) == len(given.items) - 1
        asked = item == self._items[-1]
        if asked and last and (given.items == self._items or self._others == self._items):
            result = result_of(attempt, outcome)
            if self.result is None or result == 0:
                self.result = result
                self.way = way_of_attempt(attempt, outcome) if result == 0 else ()
                self._shown[item] = (attempt, outcome, pass_)
        elif not asked:
            self.keep(item, pass_, attempt, outcome)
        self.given.done(pass_, attempt.unit, outcome)
        return None

    def describe(self, ids: list[str]) -> dict[str, Any]:
        return {"mode": "replay", "reproduced": self.result == 0, "passes": self.passes}

    def write(
        self, reporter: pytest.TerminalReporter, items: list[pytest.Item], config: pytest.Config
    ) -> None:
        """What came of it."""
        reporter.write_sep("=", "replay")
        name = self.recipe.items[-1]
        if self.result == 0:
            found = place_of(self.way)
            same = "" if found == self.recipe.failure else f"; the first was {self.recipe.failure}"
            reporter.write_line(f"failed again: {name} ({found}{same})")
        elif self.result == 1:
            reporter.write_line(f"did not fail this time: {name}")
        else:
            reporter.write_line(f"was not run to its end: {name}")
