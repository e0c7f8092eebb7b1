"""What so many passes and failures say about a test, and how sure one may be of it.

All is computed by the core; ``csrc/include/qe_stats.h`` has the formulas and their sources.

Rates are failures by runs, from 0 to 1. ``alpha`` is the chance of being wrong that one
accepts (0.05: "95 % sure"), from 1e-12 to 1 - 1e-12. Results of runs are ``True`` (passed),
``False`` (failed) or ``None`` (skipped: as if it were not there), the oldest first. A count
is at most 1e9.

Every function raises :class:`~pytest_qe.errors.InvalidArgument`, a :class:`ValueError`,
where a count is negative or too large, a rate or ``alpha`` is out of range or a NaN, or there
is no run at all to speak of; ``TypeError`` where a count is no whole number. No result is a
NaN.

Which one? A rate and its error, from a number of runs that was fixed before:
:func:`jeffreys`. From runs that were stopped because of what they showed:
:func:`confidence_sequence`. Running until it is decided: :class:`Sprt`. Which of a thousand
tests are flaky: :func:`evidence_flaky`, then :func:`e_bh`. All of it, of all tests:
:func:`analyse`.

>>> from pytest_qe import stats
>>> stats.runs_to_see(0.05)  # runs that show a test which fails 1 time in 20
59
>>> round(stats.power(0.05, 10), 2)  # ten runs do so with 40 %
0.4
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from . import _core

__all__ = [
    "Analysis",
    "Change",
    "Fisher",
    "Interval",
    "Markov",
    "Pattern",
    "RunsTest",
    "Sprt",
    "analyse",
    "benjamini_hochberg",
    "change_point",
    "clopper_pearson",
    "confidence_sequence",
    "e_bh",
    "evidence",
    "evidence_flaky",
    "fisher",
    "holm",
    "jeffreys",
    "markov",
    "pattern",
    "power",
    "rate_seen",
    "runs_test",
    "runs_to_see",
    "wilson",
]

_SKIPPED = 2  # what the core jumps over


def _bytes(results: Iterable[bool | None]) -> bytes:
    return bytes(_SKIPPED if result is None else bool(result) for result in results)


class Interval(NamedTuple):
    """Where a failure rate lies."""

    low: float
    high: float


def jeffreys(failures: int, passes: int, alpha: float = 0.05, *, clamped: bool = False) -> Interval:
    """The rate's interval for a number of runs that was fixed before the first.

    Holds the true rate with 1 - alpha on average. ``clamped``, for display: from 0 where
    nothing failed, to 1 where everything did. Source: Brown, Cai, DasGupta 2001.

    >>> tuple(round(end, 3) for end in jeffreys(1, 9))
    (0.011, 0.381)
    """
    interval = _core.jeffreys_clamped if clamped else _core.jeffreys
    return Interval(*interval(failures, passes, alpha))


def clopper_pearson(failures: int, passes: int, alpha: float = 0.05) -> Interval:
    """As :func:`jeffreys`, but never less sure than 1 - alpha, and wider for that.

    Source: Clopper, Pearson 1934.

    >>> tuple(round(end, 3) for end in clopper_pearson(1, 9))
    (0.003, 0.445)
    """
    return Interval(*_core.clopper_pearson(failures, passes, alpha))


def wilson(failures: int, passes: int, alpha: float = 0.05) -> Interval:
    """As :func:`jeffreys`, in closed form. Source: Wilson 1927, without correction.

    >>> tuple(round(end, 3) for end in wilson(1, 9))
    (0.018, 0.404)
    """
    return Interval(*_core.wilson(failures, passes, alpha))


def confidence_sequence(failures: int, passes: int, alpha: float = 0.05) -> Interval:
    """The rate's interval where one may look after every run, and stop when one likes.

    All intervals of one sequence of runs hold the true rate together with at least
    1 - alpha. Source: Robbins 1970.

    >>> tuple(round(end, 4) for end in confidence_sequence(1, 9))
    (0.0005, 0.544)
    """
    return Interval(*_core.confidence_sequence(failures, passes, alpha))


def runs_to_see(rate: float, alpha: float = 0.05) -> int:
    """How many runs show a failure with 1 - alpha, of a test that fails with ``rate`` > 0.

    ceil(ln(alpha) / ln(1 - rate)); InvalidArgument where that is more than 1e9.

    >>> [runs_to_see(rate) for rate in (0.1, 0.05, 0.02, 0.01)]
    [29, 59, 149, 299]
    """
    return _core.runs_to_see(rate, alpha)


def power(rate: float, runs: int) -> float:
    """The chance that ``runs`` runs (0 or more) show a failure: 1 - (1 - rate) ** runs.

    >>> round(power(0.1, 9), 2)
    0.61
    """
    return _core.power_of_runs(rate, runs)


def rate_seen(runs: int, alpha: float = 0.05) -> float:
    """The smallest rate of which ``runs`` passes would have shown a failure with 1 - alpha.

    >>> round(rate_seen(59), 3)
    0.05
    """
    return _core.rate_seen(runs, alpha)


class Sprt:
    """Runs a test until it is decided: is its rate ``rate0``, or ``rate1``?

    ``rate0`` is what is still called healthy, ``rate1`` above it what must not be missed;
    ``alpha`` is the chance to call ``rate0`` flaky, ``beta`` to call ``rate1`` stable; their
    sum is below 1. Source: Wald 1945.

    >>> test = Sprt()
    >>> [test.step(failed) for failed in (False, True)]
    ['OPEN', 'FLAKY']
    """

    VERDICTS = ("OPEN", "STABLE", "FLAKY")

    def __init__(
        self,
        rate0: float = 0.001,
        rate1: float = 0.05,
        alpha: float = 0.05,
        beta: float = 0.05,
    ) -> None:
        self._core = _core.Sprt(rate0, rate1, alpha, beta)

    def step(self, failed: bool) -> str:
        """Counts one run, and returns the verdict; once it is decided, nothing changes it."""
        return self.VERDICTS[self._core.step(failed)]

    @property
    def verdict(self) -> str:
        """OPEN, STABLE or FLAKY."""
        return self.VERDICTS[self._core.state()[5]]

    @property
    def failures(self) -> int:
        """Failures up to the decision."""
        return self._core.state()[0]

    @property
    def passes(self) -> int:
        """Passes up to the decision."""
        return self._core.state()[1]

    @property
    def ln_ratio(self) -> float:
        """ln of the likelihood of the runs under ``rate1``, by that under ``rate0``."""
        return self._core.state()[2]


def evidence(
    failures: int, passes: int, *, a: float = 0.5, b: float = 5.0, rate0: float = 0.001
) -> float:
    """ln of the evidence (an e-value) that a test fails more often than ``rate0``.

    Where it does not, e is at most 1 on average, whenever one stops. 0 where there was no
    run. ``a`` and ``b`` are of the beta law of the rates that are looked for. Source:
    Grünwald, de Heide, Koolen 2024.

    >>> evidence(0, 0)
    0.0
    """
    return _core.evidence(failures, passes, a, b, rate0)


def evidence_flaky(
    failures: int, passes: int, *, a: float = 0.5, b: float = 5.0, rate0: float = 0.001
) -> float:
    """ln of the evidence that a test is flaky: fails, and passes, more often than ``rate0``.

    The smaller of :func:`evidence` and the same for passes: a test that always fails is not
    flaky.

    >>> evidence_flaky(20, 0) < 0 < evidence_flaky(2, 18)
    True
    """
    return _core.evidence_flaky(failures, passes, a, b, rate0)


def e_bh(ln_e: Iterable[float], alpha: float = 0.05, *, tests: int | None = None) -> list[bool]:
    """Which tests are confirmed, by the ln of their evidence; in the order given.

    Of those at most ``alpha`` are confirmed wrongly on average, also where tests fail
    together. ``tests`` counts all tests, where ``ln_e`` is of some of them only; no less than
    there are values. Source: Wang, Ramdas 2022.

    >>> e_bh([7.0, 0.5, 4.5])
    [True, False, True]
    """
    values = list(ln_e)
    return _core.ebh(values, len(values) if tests is None else tests, alpha)


def holm(p: Iterable[float]) -> list[float]:
    """Adjusted p-values, in the order given: reject those at most alpha.

    Then none is rejected wrongly, with 1 - alpha, however they depend on each other. Source:
    Holm 1979.

    >>> holm([0.01, 0.5, 0.02])
    [0.03, 0.5, 0.04]
    """
    return _core.holm(list(p))


def benjamini_hochberg(p: Iterable[float]) -> list[float]:
    """Adjusted p-values, in the order given: of those at most alpha, a share of at most
    alpha is rejected wrongly, on average. Source: Benjamini, Hochberg 1995.

    >>> benjamini_hochberg([0.01, 0.5, 0.02])
    [0.03, 0.5, 0.03]
    """
    return _core.benjamini_hochberg(list(p))


class Fisher(NamedTuple):
    """p-values of two conditions."""

    two: float  #: both fail at the same rate
    more: float  #: the second does not fail more often
    less: float  #: the second does not fail less often


def fisher(failures1: int, passes1: int, failures2: int, passes2: int) -> Fisher:
    """Whether two conditions, each run at least once, fail at different rates: Fisher's test.

    Source: Fisher 1935.

    >>> round(fisher(0, 20, 4, 8).two, 4)
    0.0138
    """
    return Fisher(*_core.fisher_exact(failures1, passes1, failures2, passes2))


class RunsTest(NamedTuple):
    """p-values of the number of runs."""

    few: float  #: so few or fewer: results come in clusters
    many: float  #: so many or more: results take turns


def runs_test(failures: int, passes: int, runs: int) -> RunsTest:
    """Whether chance makes so many runs (equal results in a row) of so many results.

    Exact. Source: Wald, Wolfowitz 1940.

    >>> round(runs_test(5, 5, 2).few, 4)
    0.0079
    """
    return RunsTest(*_core.runs_test(failures, passes, runs))


class Markov(NamedTuple):
    """How far the next result depends on the last one."""

    after_failure: float  #: rate of failures right after a failure
    after_pass: float  #: and right after a pass
    lambda_: float  #: their difference: above 0, failures cluster
    lag1: float  #: autocorrelation of neighbours
    g2: float  #: likelihood ratio of two rates against one
    p: float  #: its p-value, by the chi-square law


def markov(results: Iterable[bool | None]) -> Markov:
    """How far each result depends on the last one; some must follow a failure, some a pass.

    Source: Anderson, Goodman 1957.

    >>> markov([False] * 5 + [True] * 5).lambda_
    0.8
    """
    return Markov(*_core.markov(_bytes(results)))


class Change(NamedTuple):
    """The place at which the failure rate changed most."""

    statistic: float  #: the likelihood ratio
    p: float  #: how often as many failures and passes, in any order, reach it
    at: int  #: results before it
    before: float  #: failure rate before it
    after: float  #: and after it


def change_point(results: Iterable[bool | None], seed: int = 0, permutations: int = 0) -> Change:
    """Whether the failure rate of at least 6 results changed once.

    p is of all orders, counted exactly. Of more than 1,048,576 results 999 orders are drawn,
    from ``seed`` (modulo 2**64), so that the same call gives the same; with ``permutations``
    (at most 1e6) above 0 so many are, of any number of results. Source: Worsley 1983;
    Phipson, Smyth 2010.

    >>> change_point([True] * 10 + [False] * 10).at
    10
    """
    return Change(*_core.change_point(_bytes(results), seed, permutations))


class Pattern(NamedTuple):
    """What kind of sequence results make."""

    #: UNTYPED (less than 3 passes or 3 failures), NO_PATTERN (none seen, and so few results
    #: can show none), RANDOM, ALTERNATING, INTERMITTENT (bursts), DEGRADING or IMPROVING
    name: str
    failures: int
    passes: int
    runs: int
    few: float  #: p-values by Holm over these three; 1 where untyped
    many: float
    change: float
    least: float  #: the smallest p that so few results can have
    change_point: Change
    ln_markov: float  #: of a cluster, the marginal likelihood of bursts
    ln_change: float  #: and of one change


def pattern(
    results: Iterable[bool | None],
    alpha: float = 0.05,
    seed: int = 0,
    permutations: int = 0,
) -> Pattern:
    """Types a sequence of results of one test in one condition.

    Both tails of :func:`runs_test` and :func:`change_point`, by :func:`holm` at ``alpha``;
    clusters are bursts or a change, whichever makes the results likelier.

    >>> pattern([True] * 20 + [False, True] + [False] * 12).name
    'DEGRADING'
    >>> pattern([True, False] * 10).name
    'ALTERNATING'
    >>> pattern([True] * 3 + [False] * 3).name
    'NO_PATTERN'
    """
    return _pattern(_core.shape(_bytes(results), alpha, seed, permutations))


def _pattern(found: _core._Shape) -> Pattern:
    return Pattern(*found[:8], Change(*found[8]), *found[9:])


class Analysis(NamedTuple):
    """All that the results of one test say."""

    failures: int
    passes: int
    score: float  #: 2 * min(failures, passes) / runs
    is_flaky: bool  #: it failed, and it passed
    compatible: str  #: STABLE_PASS, STABLE_FAIL, INTERMITTENT or RANDOM, as earlier tools print
    jeffreys: Interval  #: clamped
    clopper_pearson: Interval
    wilson: Interval
    confidence_sequence: Interval
    ln_e: float  #: :func:`evidence_flaky`, by its defaults
    confirmed: bool  #: by :func:`e_bh` over all tests of the call
    pattern: Pattern


def analyse(tests: Iterable[Iterable[bool | None]], alpha: float = 0.05) -> list[Analysis]:
    """All of the above, of the results of many tests, in the order given.

    A test without a result that counts is no error: its score and ``ln_e`` are 0, its
    intervals from 0 to 1, and it is one of those of which some are confirmed.

    >>> [test.confirmed for test in analyse([[True, False] * 8, [True] * 16])]
    [True, False]
    """
    results = [_bytes(test) for test in tests]
    found = _core.analyse(b"".join(results), [len(test) for test in results], alpha)
    return [
        Analysis(
            *test[:5],
            Interval(*test[5]),
            Interval(*test[6]),
            Interval(*test[7]),
            Interval(*test[8]),
            *test[9:11],
            _pattern(test[11]),
        )
        for test in found
    ]
