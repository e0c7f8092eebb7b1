"""One function over many inputs, at once but within limits: ``AlcallParams`` and ``alcall``."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .alcalling import Retry, Run

__all__ = ["PRESETS", "AlcallParams", "Retry", "alcall"]

_MOST_SECONDS = 1e9


@dataclass(frozen=True, slots=True)
class AlcallParams:
    """How a function is called over inputs: how many at once, how often, how fast.

    Times are in seconds. Calling it runs the function: ``await params(inputs, func)``.

    Args:
        max_concurrent: attempts at once. One that waits for its next attempt is none.
        retry_attempts: attempts in all for one input; 1 is no retry.
        retry_timeout: for one attempt; None or 0: no limit.
        retry_backoff: from the end of the first attempt to the start of the second at the
            earliest; doubles with each further one (2, 4, 8 s).
        throttle_period: between two starts of attempts, retries among them, at least.
        max_backoff: what the doubled waits do not go beyond; None: no limit.
        jitter: waits take a random part, from a half, of what they would take otherwise, so
            that what failed together does not come back together.
        retry_on: the exceptions, or the kind of them, that are worth another attempt. A
            cancelled attempt never is.
        return_exceptions: exceptions are results. Otherwise the first one cancels all the
            rest, and is raised when that has ended.
        on_retry: called with a ``Retry`` before each wait; a plain function that does not
            block. What it raises ends the call.
        limits: asked before each start for (max_concurrent, throttle_period) that go before
            those given here: for policies that adapt.

    Raises: ``ValueError`` or ``TypeError``, of one line, for a value that makes no sense.

    Example::

        params = AlcallParams(max_concurrent=3, retry_attempts=2, retry_timeout=30)
        pages = await params(urls, fetch)
    """

    max_concurrent: int = 10
    retry_attempts: int = 1
    retry_timeout: float | None = None
    retry_backoff: float = 2.0
    throttle_period: float = 0.0
    max_backoff: float | None = field(default=None, kw_only=True)
    jitter: bool = field(default=False, kw_only=True)
    retry_on: type[BaseException] | tuple[type[BaseException], ...] = field(
        default=Exception, kw_only=True
    )
    return_exceptions: bool = field(default=False, kw_only=True)
    on_retry: Callable[[Retry], object] | None = field(default=None, kw_only=True)
    limits: Callable[[], tuple[int, float]] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("max_concurrent", "retry_attempts"):
            _check_count(name, getattr(self, name))
        for name in ("retry_backoff", "throttle_period"):
            _check_seconds(name, getattr(self, name))
        for name in ("retry_timeout", "max_backoff"):
            if getattr(self, name) is not None:
                _check_seconds(name, getattr(self, name))
        kinds = self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)
        if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
            raise TypeError(
                f"retry_on: takes a type of exceptions, or a tuple of such, not {self.retry_on!r}"
            )
        for name in ("on_retry", "limits"):
            given = getattr(self, name)
            if given is not None and not callable(given):
                raise TypeError(f"{name}: takes a function or None, not {given!r}")

    @classmethod
    def preset(cls, name: str) -> AlcallParams:
        """Policies that have a name: ``default`` is that of the executor, ``fast``,
        ``stability`` and ``constrained`` are for suites of that kind.

        Raises: ``ValueError`` for another name.
        """
        try:
            return PRESETS[name]
        except (KeyError, TypeError):
            known = ", ".join(PRESETS)
            raise ValueError(f"preset: takes one of {known}, not {name!r}") from None

    @classmethod
    def adaptive(cls, most: int = 32, **policy: Any) -> AlcallParams:
        """A policy whose ``max_concurrent`` and ``throttle_period`` are only where it begins:
        by the load of the machine, and by how much memory is left to it or its control
        group, it takes more at once, and fewer when something is short. What it did is in
        ``params.limits.changes``, and among what agents return.

        Args:
            most: never more than this at once.
            policy: the rest; default: that of the preset ``default``.

        Raises: ``ValueError`` or ``TypeError`` as the class itself.

        Example: ``await agent.execute_tests_parallel(files, params=AlcallParams.adaptive())``
        """
        from .adaptive import Adaptive

        base = PRESETS["default"].replace(**policy)
        _check_count("most", most)
        if most < base.max_concurrent:
            raise ValueError(
                f"most: takes at least max_concurrent, which is {base.max_concurrent}, not {most}"
            )
        limits = Adaptive(base.max_concurrent, most, base.throttle_period)
        return base.replace(limits=limits)

    def replace(self, **changes: Any) -> AlcallParams:
        """The same policy, but for what is given.

        Raises: ``TypeError`` for a name that there is not.

        Example: ``AlcallParams.preset("fast").replace(retry_attempts=1)``
        """
        _check_names(changes)
        return dataclasses.replace(self, **changes)

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after a failed attempt, which counts from 1."""
        # Beyond some doublings it is more than any run lasts.
        delay = self.retry_backoff * 2.0 ** min(attempt - 1, 500)
        if self.max_backoff is not None:
            delay = min(delay, self.max_backoff)
        if self.jitter:
            delay *= random.uniform(0.5, 1.0)
        return min(delay, _MOST_SECONDS)

    async def __call__(
        self,
        inputs: Iterable[Any] | AsyncIterable[Any],
        func: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> list[Any]:
        """Calls ``func(input, *args, **kwargs)`` for each input; the results, in their order.

        Args:
            inputs: taken as there is room for them, one ahead at the most.
            func: a coroutine function; or a plain one, which is called in a thread, and what
                it returns awaited where it can be. A thread cannot be stopped: one that takes
                longer than ``retry_timeout`` is left alone, and occupies no slot any more.

        Raises: the first exception of an input that has no attempt left, unless
            ``return_exceptions``; a ``TimeoutError`` that names input and attempt is such.
            Whatever is raised, all that was started has ended then. A cancelled call cancels
            what runs, and waits for it; for threads until it is cancelled once more.
        """
        return await Run(self, inputs, func, args, kwargs).results()


async def alcall(
    inputs: Iterable[Any] | AsyncIterable[Any],
    func: Callable[..., Any],
    /,
    *args: Any,
    **policy: Any,
) -> list[Any]:
    """``AlcallParams(**policy)(inputs, func, *args)`` in one call.

    Raises: ``TypeError`` for a name that ``AlcallParams`` does not have; otherwise as that.

    Example: ``await alcall(files, run, max_concurrent=3, retry_timeout=30)``
    """
    _check_names(policy)
    return await AlcallParams(**policy)(inputs, func, *args)


def _check_names(given: dict[str, Any]) -> None:
    known = [one.name for one in dataclasses.fields(AlcallParams)]
    for name in given:
        if name not in known:
            raise TypeError(
                f"{name}: AlcallParams has no such setting; it takes {', '.join(known)}"
            )


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: takes a whole number, not {value!r}")
    if value < 1:
        raise ValueError(f"{name}: takes 1 or more, not {value}")


def _check_seconds(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: takes a number of seconds, not {value!r}")
    if not 0 <= value <= _MOST_SECONDS:  # not a number is none of these
        raise ValueError(f"{name}: takes 0 to {_MOST_SECONDS:.0f} seconds, not {value}")


PRESETS = {
    "default": AlcallParams(10, 3, 60.0, 2.0, 0.1),
    "fast": AlcallParams(20, 2, 30.0, 2.0, 0.05),
    "stability": AlcallParams(5, 5, 120.0, 2.0, 0.5),
    "constrained": AlcallParams(3, 3, 60.0, 2.0, 1.0),
}
