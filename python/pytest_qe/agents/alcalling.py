"""How ``alcall`` goes: one loop that starts what may start, and waits for what comes next.

An attempt is a task; an input that waits for its next attempt is an entry of a heap, and one
that has not begun is still with the caller. So there are never more tasks than slots.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import heapq
import inspect
import reprlib
import threading
import time
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
)  # fmt: skip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .params import AlcallParams

_NOTHING = object()
#: A loop's timers may come early by what its clock cannot tell apart.
_EARLY = time.get_clock_info("monotonic").resolution


@dataclass(frozen=True, slots=True)
class Retry:
    """What ``on_retry`` is told: an attempt has failed, and there will be another.

    ``index`` and ``input`` say which input, ``attempt`` counts from 1, ``error`` is what it
    raised, ``delay`` the seconds until the next one may start.
    """

    index: int
    input: Any
    attempt: int
    error: BaseException
    delay: float


class _Job:
    """One input on its way."""

    __slots__ = ("index", "input", "attempt", "task", "timer", "timed_out", "in_thread")

    def __init__(self, index: int, value: Any) -> None:
        self.index = index
        self.input = value
        self.attempt = 0
        self.task: asyncio.Task[Any] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.timed_out = False
        self.in_thread = False


class Run:
    """One call of ``AlcallParams``."""

    def __init__(
        self,
        params: AlcallParams,
        inputs: Iterable[Any] | AsyncIterable[Any],
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        if not callable(func):
            raise TypeError(f"func: takes a function, not {func!r}")
        self.params = params
        self.func = func
        self.args = args
        self.kwargs = kwargs
        self.is_async = _is_async(func)
        self.loop = asyncio.get_running_loop()
        self.found: list[Any] = []
        self.fresh: Any = _NOTHING  # the next input
        self.source, self.async_source = _iterators(inputs)
        self.pull: asyncio.Task[Any] | None = None
        self.waiting: list[tuple[float, int, _Job]] = []
        self.running: set[_Job] = set()
        self.ended: deque[_Job] = deque()
        self.next_start = float("-inf")
        self.until: float | None = None  # when there is something to do in any case
        self.waker: asyncio.Future[None] | None = None
        self.ending = False

    async def results(self) -> list[Any]:
        try:
            while self._step():
                await self._something()
        except BaseException:
            await self._end()
            raise
        return self.found

    # ------------------------------------------------------------- the loop

    def _step(self) -> bool:
        """Does all that can be done now; whether there is more to wait for."""
        while self.ended:
            self._settle(self.ended.popleft())
        self.until = None
        while True:
            most, period = self._limits()
            if len(self.running) >= most:
                break
            self._look_ahead()
            now = self.loop.time()
            is_due = bool(self.waiting) and self.waiting[0][0] <= now + _EARLY
            if not is_due and self.fresh is _NOTHING:
                if self.waiting:
                    self.until = self.waiting[0][0]
                break
            if now + _EARLY < self.next_start:
                self.until = self.next_start
                break
            if is_due:
                job = heapq.heappop(self.waiting)[2]
            else:
                job = _Job(len(self.found), self.fresh)
                self.found.append(None)
                self.fresh = _NOTHING
            self.next_start = now + period
            self._start(job)
        return bool(
            self.running
            or self.waiting
            or self.fresh is not _NOTHING
            or self.source is not None
            or self.async_source is not None
        )

    def _limits(self) -> tuple[int, float]:
        if self.params.limits is None:
            return self.params.max_concurrent, self.params.throttle_period
        most, period = self.params.limits()
        return max(1, most), period

    async def _something(self) -> None:
        """Waits for an attempt that ends, an input that comes, or a time."""
        if self.ended:
            return
        self.waker = self.loop.create_future()
        timer = None if self.until is None else self.loop.call_at(self.until, self._wake)
        try:
            await self.waker
        finally:
            self.waker = None
            if timer is not None:
                timer.cancel()

    def _wake(self, _: object = None) -> None:
        if self.waker is not None and not self.waker.done():
            self.waker.set_result(None)

    # --------------------------------------------------------------- inputs

    def _look_ahead(self) -> None:
        """Has the next input at hand, also where it must not start yet: that there is none
        ends the call without waiting for the throttle."""
        if self.fresh is not _NOTHING:
            return
        if self.source is not None:
            self.fresh = next(self.source, _NOTHING)
            if self.fresh is _NOTHING:
                self.source = None
        elif self.async_source is not None:
            if self.pull is None:
                self.pull = self.loop.create_task(_next(self.async_source))
                self.pull.add_done_callback(self._wake)
            elif self.pull.done():
                pull, self.pull = self.pull, None
                self.fresh = pull.result()
                if self.fresh is _NOTHING:
                    self.async_source = None

    # ------------------------------------------------------------- attempts

    def _start(self, job: _Job) -> None:
        job.attempt += 1
        job.timed_out = False
        job.task = self.loop.create_task(self._attempt(job))
        job.task.add_done_callback(functools.partial(self._has_ended, job))
        self.running.add(job)
        if self.params.retry_timeout:
            job.timer = self.loop.call_later(self.params.retry_timeout, self._expire, job)

    async def _attempt(self, job: _Job) -> Any:
        if self.is_async:
            return await self.func(job.input, *self.args, **self.kwargs)
        job.in_thread = True
        try:
            found = await _in_thread(
                functools.partial(self.func, job.input, *self.args, **self.kwargs)
            )
        finally:
            job.in_thread = False
        if not inspect.isawaitable(found):
            return found
        if self.ending:  # it was let run for its thread's sake alone
            if inspect.iscoroutine(found):
                found.close()
            raise asyncio.CancelledError
        return await found

    def _expire(self, job: _Job) -> None:
        assert job.task is not None
        if not job.task.done():
            job.timed_out = True
            job.task.cancel()

    def _has_ended(self, job: _Job, _: asyncio.Task[Any]) -> None:
        self.ended.append(job)
        self._wake()

    def _outcome(self, job: _Job) -> tuple[Any, BaseException | None]:
        """What the attempt that has ended returned, or raised."""
        task, job.task = job.task, None
        assert task is not None
        self.running.discard(job)
        if job.timer is not None:
            job.timer.cancel()
            job.timer = None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:  # also of one that would not be cancelled
            return task.result(), None
        if job.timed_out and isinstance(error, Exception | asyncio.CancelledError):
            late = TimeoutError(
                f"input {job.index} ({reprlib.repr(job.input)}), attempt {job.attempt} of "
                f"{self.params.retry_attempts}: took longer than {self.params.retry_timeout:g} s"
            )
            late.__cause__ = None if task.cancelled() else error
            return None, late
        return None, error

    def _settle(self, job: _Job) -> None:
        found, error = self._outcome(job)
        if error is None:
            self.found[job.index] = found
            return
        if job.attempt < self.params.retry_attempts and self._is_worth_it(error):
            delay = self.params.backoff(job.attempt)
            heapq.heappush(self.waiting, (self.loop.time() + delay, job.index, job))
            self._tell_retry(job, error, delay)
            return
        if not self.params.return_exceptions:
            raise error
        if not isinstance(error, Exception | asyncio.CancelledError):
            raise error
        self.found[job.index] = error

    def _is_worth_it(self, error: BaseException) -> bool:
        never = (asyncio.CancelledError, KeyboardInterrupt, SystemExit)
        return isinstance(error, self.params.retry_on) and not isinstance(error, never)

    def _tell_retry(self, job: _Job, error: BaseException, delay: float) -> None:
        if self.params.on_retry is not None:
            self.params.on_retry(Retry(job.index, job.input, job.attempt, error, delay))

    # ------------------------------------------------------------------ end

    async def _end(self) -> None:
        """Cancels what runs, and waits for it: for threads, too, which end by themselves, until
        it is cancelled itself. Raises only that cancellation."""
        self.ending = True
        cancelled: asyncio.CancelledError | None = None
        self._cancel(threads=False)
        while self._leave_ended():
            self.until = None
            try:
                await self._something()
            except asyncio.CancelledError as error:
                cancelled = error
                self._cancel(threads=True)
        if isinstance(self.async_source, AsyncGenerator):
            try:
                await self.async_source.aclose()
            except Exception:  # what is being raised already says more
                pass
        if cancelled is not None:
            raise cancelled

    def _cancel(self, threads: bool) -> None:
        for job in self.running:
            if job.task is not None and (threads or not job.in_thread):
                job.task.cancel()
        if self.pull is not None:
            self.pull.cancel()

    def _leave_ended(self) -> bool:
        """Forgets what has ended; whether there is more."""
        while self.ended:
            self._outcome(self.ended.popleft())
        if self.pull is not None and self.pull.done():
            if not self.pull.cancelled():
                self.pull.exception()  # so that nobody complains that it was not looked at
            self.pull = None
        return bool(self.running) or self.pull is not None


def _is_async(func: Any) -> bool:
    while isinstance(func, functools.partial):
        func = func.func
    of_type = getattr(type(func), "__call__", None)  # noqa: B004 - what an object is called by
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(of_type)


def _iterators(
    inputs: Any,
) -> tuple[Iterator[Any] | None, AsyncIterator[Any] | None]:
    if isinstance(inputs, str | bytes):
        raise TypeError(f"inputs: takes a list or another iterable, not one {inputs!r:.60}")
    if isinstance(inputs, AsyncIterable):
        return None, aiter(inputs)
    if isinstance(inputs, Iterable):
        return iter(inputs), None
    raise TypeError(f"inputs: takes an iterable or an async one, not {type(inputs).__name__}")


async def _next(source: AsyncIterator[Any]) -> Any:
    return await anext(source, _NOTHING)


async def _in_thread(call: Callable[[], Any]) -> Any:
    """Calls it in a thread of its own. A pool would let what hangs keep others from starting,
    and the interpreter from ending."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def tell(outcome: tuple[Any, BaseException | None]) -> None:
        if not ended.done():
            ended.set_result(outcome)

    def body() -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = context.run(call), None
        except BaseException as error:
            outcome = None, error
        try:
            loop.call_soon_threadsafe(tell, outcome)
        except RuntimeError:  # the loop was closed: nobody waits
            pass

    threading.Thread(target=body, name="alcall", daemon=True).start()
    found, error = await ended
    if error is not None:
        raise error
    return found
