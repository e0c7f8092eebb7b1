"""alcall: limits, retries, throttle and ends, on a loop whose clock only waiting moves."""

from __future__ import annotations

import asyncio
import functools
import selectors
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from pytest_qe.agents import AlcallParams, Retry, alcall


class _Selector(selectors.DefaultSelector):
    """Where the loop would wait for a time, that time has come."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("the loop would wait for ever")
        self.now += max(0.0, timeout)
        return super().select(0)


def run(body: Callable[[], Awaitable[Any]]) -> Any:
    """Runs it; nothing may be left over."""
    selector = _Selector()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    complaints: list[Any] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))

    async def main() -> Any:
        try:
            return await body()
        finally:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left

    try:
        return loop.run_until_complete(main())
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        assert not complaints, complaints


class Log:
    """A function for alcall that takes given times, and notes when it began and ended."""

    def __init__(self, seconds: float = 1.0, fails: dict[Any, int] | None = None) -> None:
        self.seconds = seconds
        self.fails = dict(fails or {})  # how often an input fails first
        self.begun: list[tuple[float, Any]] = []
        self.ended: list[tuple[float, Any, str]] = []
        self.at_once = self.most = 0

    def now(self) -> float:
        return round(asyncio.get_running_loop().time() - 1000.0, 6)

    async def __call__(self, value: Any) -> Any:
        self.begun.append((self.now(), value))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        how = "cancelled"
        try:
            await asyncio.sleep(self.seconds)
            how = "failed"
            if self.fails.get(value, 0) > 0:
                self.fails[value] -= 1
                raise OSError(f"no {value}")
            how = "passed"
            return value * 10
        finally:
            self.at_once -= 1
            self.ended.append((self.now(), value, how))

    def starts(self) -> list[float]:
        return [when for when, _ in self.begun]


# ------------------------------------------------------------------ results


def test_results_have_the_order_of_inputs_whatever_ends_first() -> None:
    ended = []

    async def func(value: int, factor: int, *, more: int) -> int:
        await asyncio.sleep(10 - value)
        ended.append(value)
        return value * factor + more

    params = AlcallParams(max_concurrent=4)
    assert run(lambda: params(range(4), func, 10, more=1)) == [1, 11, 21, 31]
    assert ended == [3, 2, 1, 0]


@pytest.mark.parametrize("most", [1, 3, 50])
def test_no_more_run_at_once_than_may(most: int) -> None:
    log = Log()
    assert run(lambda: alcall(range(12), log, max_concurrent=most)) == [i * 10 for i in range(12)]
    assert log.most == min(12, most)
    assert log.ended[-1][0] == -(-12 // most)  # seconds: no slot was empty


def test_no_inputs_no_results() -> None:
    async def of_none() -> AsyncIterator[int]:
        for value in ():
            yield value

    assert run(lambda: alcall([], Log())) == []
    assert run(lambda: alcall(of_none(), Log(), throttle_period=5)) == []


def test_inputs_are_taken_one_ahead_at_the_most() -> None:
    taken: list[int] = []
    log = Log()

    def inputs() -> Iterator[int]:
        for value in range(20):
            taken.append(value)
            assert len(taken) <= len(log.ended) + 2 + 1
            yield value

    async def inputs_async() -> AsyncIterator[int]:
        for value in inputs():
            await asyncio.sleep(0.1)
            yield value

    assert len(run(lambda: alcall(inputs(), log, max_concurrent=2))) == 20
    taken.clear()
    log = Log()
    assert run(lambda: alcall(inputs_async(), log, max_concurrent=2))[19] == 190
    assert log.most == 2


def test_a_hundred_thousand_inputs_are_no_hundred_thousand_tasks() -> None:
    most = 0

    async def func(value: int) -> int:
        nonlocal most
        if value % 1000 == 0:
            most = max(most, len(asyncio.all_tasks()))
        return value

    found = run(lambda: alcall(range(100_000), func, max_concurrent=10))
    assert found == list(range(100_000))
    assert 2 <= most <= 12


# ------------------------------------------------------------------ retries


def test_retries_back_off_by_doubled_times_and_only_what_failed() -> None:
    log = Log(seconds=1, fails={1: 3})
    told: list[Retry] = []
    params = AlcallParams(retry_attempts=4, retry_backoff=2.0, on_retry=told.append)
    assert run(lambda: params([0, 1], log)) == [0, 10]
    # Each attempt takes 1 s; before the next 2, 4 and 8.
    assert [when for when, value in log.begun if value == 1] == [0, 3, 8, 17]
    assert [when for when, value in log.begun if value == 0] == [0]
    assert [(r.index, r.input, r.attempt, r.delay) for r in told] == [
        (1, 1, 1, 2), (1, 1, 2, 4), (1, 1, 3, 8)
    ]  # fmt: skip
    assert all(isinstance(r.error, OSError) for r in told)


def test_a_wait_for_the_next_attempt_occupies_no_slot() -> None:
    log = Log(seconds=1, fails={0: 1})
    found = run(
        lambda: alcall(range(3), log, max_concurrent=1, retry_attempts=2, retry_backoff=1.5)
    )
    assert found == [0, 10, 20]
    # 1 runs while 0 waits from 1 s to 2.5 s; then 0 goes before what has not begun.
    assert log.begun == [(0, 0), (1, 1), (2, 2), (3, 0)]
    log = Log(seconds=1, fails={0: 1})
    run(lambda: alcall(range(4), log, max_concurrent=1, retry_attempts=2, retry_backoff=0.5))
    assert log.begun == [(0, 0), (1, 1), (2, 0), (3, 2), (4, 3)]


def test_waits_are_bounded_and_jitter_takes_a_part() -> None:
    params = AlcallParams(retry_attempts=9, retry_backoff=2.0, max_backoff=5.0)
    assert [params.backoff(n) for n in (1, 2, 3, 4, 5000)] == [2, 4, 5, 5, 5]
    assert AlcallParams(retry_backoff=0).backoff(5000) == 0
    assert AlcallParams(retry_backoff=1e9).backoff(5000) == 1e9
    delays = {params.replace(jitter=True).backoff(1) for _ in range(100)}
    assert len(delays) > 50 and all(1 <= delay <= 2 for delay in delays)


@pytest.mark.parametrize("attempts", [1, 3])
def test_the_last_failure_is_raised_after_all_attempts(attempts: int) -> None:
    log = Log(fails={0: 99})
    with pytest.raises(OSError, match="no 0"):
        run(lambda: alcall([0], log, retry_attempts=attempts, retry_backoff=0))
    assert len(log.begun) == attempts


def test_only_what_is_worth_it_is_tried_again() -> None:
    log = Log(fails={0: 1})
    with pytest.raises(OSError):
        run(lambda: alcall([0], log, retry_attempts=3, retry_on=(ValueError, KeyError)))
    assert len(log.begun) == 1
    log = Log(fails={0: 1})
    run(lambda: alcall([0], log, retry_attempts=3, retry_on=(ValueError, OSError)))
    assert len(log.begun) == 2


def test_what_cancels_itself_is_not_tried_again() -> None:
    calls = []

    async def func(value: int) -> None:
        calls.append(value)
        raise asyncio.CancelledError

    params = AlcallParams(retry_attempts=3, retry_on=BaseException, return_exceptions=True)
    (found,) = run(lambda: params([7], func))
    assert isinstance(found, asyncio.CancelledError)
    assert calls == [7]


# ----------------------------------------------------------------- throttle


def test_starts_of_attempts_keep_their_distance_retries_among_them() -> None:
    log = Log(seconds=0.1, fails={0: 1, 2: 1})
    run(lambda: alcall(range(4), log, throttle_period=0.5, retry_attempts=2, retry_backoff=0.2))
    assert log.starts() == [0, 0.5, 1, 1.5, 2, 2.5]
    assert [value for _, value in log.begun] == [0, 0, 1, 2, 2, 3]
    # The end waits for no throttle.
    assert log.ended[-1][0] == 2.6
    found = run(lambda: alcall([1], Log(0), throttle_period=1e6))
    assert found == [10]


def test_limits_that_change_are_asked_before_each_start() -> None:
    log = Log(seconds=1)
    allowed = [1, 1, 3]

    def limits() -> tuple[int, float]:
        return (allowed.pop(0) if len(allowed) > 1 else allowed[0]), 0.0

    run(lambda: alcall(range(7), log, max_concurrent=100, limits=limits))
    assert log.begun[0] == (0, 0)
    assert log.starts()[1:4] == [1, 1, 1]
    assert log.most == 3


# ------------------------------------------------------------------ timeout


def test_a_timeout_names_input_and_attempt_and_is_tried_again() -> None:
    log = Log(seconds=5)
    with pytest.raises(
        TimeoutError,
        match=r"^input 1 \('b'\), attempt 2 of 2: took longer than 2\.5 s\Z",
    ):
        run(lambda: alcall(["a", "b"], slow_at("b", log), retry_attempts=2, retry_timeout=2.5))
    assert log.begun == [(0, "b"), (4.5, "b")]
    assert [(when, how) for when, _, how in log.ended] == [(2.5, "cancelled"), (7, "cancelled")]


def slow_at(slow: Any, log: Log) -> Callable[[Any], Awaitable[Any]]:
    async def func(value: Any) -> Any:
        return await log(value) if value == slow else value

    return func


@pytest.mark.parametrize("limit", [None, 0, 5.5])
def test_no_timeout_and_one_that_is_not_reached(limit: float | None) -> None:
    assert run(lambda: alcall([1], Log(seconds=5), retry_timeout=limit)) == [10]


def test_what_ends_in_spite_of_its_timeout_counts_as_it_ended() -> None:
    async def stubborn(value: str) -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            if value == "raises":
                raise OSError("while it was cleaning up") from None
        return value

    params = AlcallParams(retry_timeout=1, return_exceptions=True)
    kept, late = run(lambda: params(["returns", "raises"], stubborn))
    assert kept == "returns"
    assert isinstance(late, TimeoutError) and isinstance(late.__cause__, OSError)


# --------------------------------------------------------------------- ends


def test_exceptions_are_results_where_that_was_asked_for() -> None:
    log = Log(fails={1: 1})
    found = run(lambda: alcall(range(3), log, return_exceptions=True))
    assert [found[0], found[2]] == [0, 20]
    assert isinstance(found[1], OSError)


def test_the_first_exception_cancels_the_rest_and_is_raised_when_that_has_ended() -> None:
    ended = []

    async def func(value: int) -> None:
        try:
            await asyncio.sleep(value)
            raise OSError(f"no {value}")
        except asyncio.CancelledError:
            await asyncio.sleep(5)  # cleans up
            ended.append(value)
            raise

    async def body() -> float:
        with pytest.raises(OSError, match="no 1"):
            await alcall([3, 1, 2, 4], func, max_concurrent=3)
        return asyncio.get_running_loop().time() - 1000

    assert run(body) == 6
    assert sorted(ended) == [2, 3]  # 4 was never begun


def test_a_source_that_fails_ends_all() -> None:
    log = Log()

    def inputs() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    async def inputs_async() -> AsyncIterator[int]:
        for value in inputs():
            yield value

    for source in (inputs, inputs_async):
        with pytest.raises(LookupError):
            run(lambda source=source: alcall(source(), log))  # type: ignore[misc]
        assert log.at_once == 0


def test_a_hook_that_fails_ends_all() -> None:
    log = Log(fails={0: 1})

    def on_retry(retry: Retry) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        run(lambda: alcall([0, 1, 2], log, retry_attempts=2, on_retry=on_retry))
    assert log.at_once == 0


def test_cancelling_cancels_what_runs_and_waits_for_it() -> None:
    ended = []

    async def func(value: int) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(3)
            ended.append(value)

    async def body() -> float:
        task = asyncio.ensure_future(alcall(range(10), func, max_concurrent=4, retry_attempts=3))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return asyncio.get_running_loop().time() - 1000

    assert run(body) == 4
    assert sorted(ended) == [0, 1, 2, 3]


@pytest.mark.parametrize("while_it", ["waits for a retry", "waits for an input"])
def test_cancelling_where_nothing_runs(while_it: str) -> None:
    closed = []

    async def inputs() -> AsyncIterator[int]:
        try:
            yield 0
            await asyncio.sleep(1000)
        finally:
            closed.append(True)

    log = Log(fails={0: 5} if while_it == "waits for a retry" else {})

    async def body() -> None:
        call = alcall(inputs(), log, retry_attempts=9, retry_backoff=500)
        task = asyncio.ensure_future(call)
        await asyncio.sleep(10)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() and closed == [True]

    run(body)


# ------------------------------------------------------------------- nested


def test_files_two_at_a_time_with_three_runs_each() -> None:
    """The shape of the hunter: the limits are each call's own."""
    log = Log(seconds=1)
    files: set[str] = set()
    at_once: list[int] = []

    async def of_file(name: str) -> list[int]:
        files.add(name)
        at_once.append(len(files))
        found = await alcall(range(6), log, max_concurrent=3, throttle_period=0.2)
        files.discard(name)
        return found

    found = run(lambda: alcall(list("abcd"), of_file, max_concurrent=2))
    assert found == [[i * 10 for i in range(6)]] * 4
    assert max(at_once) == 2
    assert log.most == 6


# ---------------------------------------------------------------- functions


def test_functions_of_every_kind_are_called() -> None:
    async def coroutine(value: int, more: int = 0) -> int:
        return value + more

    class Callable_:
        async def __call__(self, value: int) -> int:
            return value

    def plain(value: int) -> tuple[int, bool]:
        return value, threading.current_thread() is threading.main_thread()

    async def body() -> None:
        assert await alcall([1], coroutine) == [1]
        assert await alcall([1], functools.partial(coroutine, more=2)) == [3]
        assert await alcall([1], Callable_()) == [1]
        assert await alcall([1], lambda value: coroutine(value)) == [1]
        assert await alcall([1], plain) == [(1, False)]
        with pytest.raises(RuntimeError):
            await alcall([()], lambda value: next(iter(value)))  # StopIteration

    asyncio.run(body())


def test_plain_functions_run_at_once_in_threads_each_in_a_slot() -> None:
    together = threading.Barrier(3)

    def meet(value: int) -> int:
        together.wait(30)
        return value

    assert asyncio.run(alcall(range(6), meet, max_concurrent=3)) == list(range(6))


def test_a_thread_that_takes_too_long_is_left_alone() -> None:
    go = threading.Event()
    gone = threading.Event()

    def hang(value: int) -> int:
        if value == 0:
            go.wait(30)
            gone.set()
        return value

    async def body() -> list[Any]:
        params = AlcallParams(max_concurrent=1, retry_timeout=0.05, return_exceptions=True)
        return await params([0, 1], hang)

    found = asyncio.run(body())
    assert isinstance(found[0], TimeoutError) and found[1] == 1
    assert not gone.is_set()
    go.set()  # it ends after the loop was closed, and complains of nothing
    assert gone.wait(30)


def test_cancelling_waits_for_threads_until_it_is_cancelled_again() -> None:
    begun = threading.Event()
    go = threading.Event()

    def hang(value: int) -> None:
        begun.set()
        go.wait(30)

    async def cancelled(twice: bool) -> None:
        begun.clear()
        task = asyncio.ensure_future(alcall([0], hang))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        if twice:
            task.cancel()
        else:
            go.set()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(cancelled(twice=True))
    assert not go.is_set()
    asyncio.run(cancelled(twice=False))


# ------------------------------------------------------------------- values


def test_presets_have_the_figures_they_are_known_for() -> None:
    def figures(name: str) -> tuple[Any, ...]:
        p = AlcallParams.preset(name)
        return p.max_concurrent, p.retry_attempts, p.retry_timeout, p.throttle_period

    assert figures("default") == (10, 3, 60.0, 0.1)
    assert figures("fast") == (20, 2, 30.0, 0.05)
    assert figures("stability") == (5, 5, 120.0, 0.5)
    assert figures("constrained") == (3, 3, 60.0, 1.0)
    known = r"^preset: takes one of default, fast, stability, constrained, not 'quick'\Z"
    with pytest.raises(ValueError, match=known):
        AlcallParams.preset("quick")


def test_replace_changes_a_copy() -> None:
    params = AlcallParams.preset("fast")
    assert params.replace(retry_attempts=7).retry_attempts == 7
    assert params.retry_attempts == 2
    with pytest.raises(AttributeError):
        params.retry_attempts = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"max_concurrent": 0}, "max_concurrent: takes 1 or more, not 0"),
        ({"max_concurrent": 1.5}, "max_concurrent: takes a whole number, not 1.5"),
        ({"max_concurrent": True}, "max_concurrent: takes a whole number, not True"),
        ({"retry_attempts": -1}, "retry_attempts: takes 1 or more, not -1"),
        ({"retry_timeout": -1}, "retry_timeout: takes 0 to 1000000000 seconds, not -1"),
        ({"retry_backoff": float("nan")}, "retry_backoff: takes 0 to 1000000000 seconds, not nan"),
        ({"throttle_period": "1"}, "throttle_period: takes a number of seconds, not '1'"),
        ({"max_backoff": float("inf")}, "max_backoff: takes 0 to 1000000000 seconds, not inf"),
        ({"retry_on": "x"}, "retry_on: takes a type of exceptions, or a tuple of such, not 'x'"),
        ({"on_retry": 5}, "on_retry: takes a function or None, not 5"),
    ],
)
def test_wrong_values_are_refused_in_one_line(wrong: dict[str, Any], text: str) -> None:
    for make in (AlcallParams, AlcallParams().replace):
        with pytest.raises((ValueError, TypeError)) as caught:
            make(**wrong)
        assert str(caught.value) == text


def test_wrong_names_and_inputs_are_refused() -> None:
    async def body() -> None:
        with pytest.raises(TypeError, match=r"^attempts: AlcallParams has no such setting"):
            await alcall([1], Log(), attempts=3)
        with pytest.raises(TypeError, match=r"^inputs: takes a list or another iterable"):
            await alcall("abc", Log())
        with pytest.raises(TypeError, match=r"^inputs: takes an iterable or an async one, not int"):
            await alcall(5, Log())  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"^func: takes a function, not 5"):
            await alcall([1], 5)  # type: ignore[arg-type]

    run(body)
