"""The statistics, against scipy and statsmodels over random inputs."""

from __future__ import annotations

import doctest
import itertools
import math
import random

import pytest

# Other versions of Python and pytest run a part of the tests, without what these need.
for name in ("numpy", "scipy", "statsmodels"):
    pytest.importorskip(name, reason=f"compares with {name}, of the dependency group test")

import numpy as np  # noqa: E402
from scipy import optimize, special  # noqa: E402
from scipy import stats as scipy_stats  # noqa: E402
from statsmodels.stats.multitest import multipletests  # noqa: E402
from statsmodels.stats.proportion import proportion_confint  # noqa: E402

from pytest_qe import stats  # noqa: E402
from pytest_qe.errors import InvalidArgument  # noqa: E402

NAN = float("nan")


def counts(seed: int, times: int = 60) -> list[tuple[int, int, float]]:
    """Failures, passes and alpha; from one run to some ten thousand."""
    dice = random.Random(seed)
    found = []
    for _ in range(times):
        n = int(10 ** dice.uniform(0, 4.5))
        f = min(n, int(n * dice.random() ** 3))
        found.append((f, n - f, dice.choice([1e-4, 0.01, 0.05, 0.2])))
    return found


def test_intervals_are_those_of_statsmodels():
    kinds = {"beta": stats.clopper_pearson, "wilson": stats.wilson, "jeffreys": stats.jeffreys}
    for failures, passes, alpha in counts(1):
        for method, ours in kinds.items():
            theirs = proportion_confint(failures, failures + passes, alpha, method)
            assert ours(failures, passes, alpha) == pytest.approx(theirs, abs=1e-9, rel=1e-7)


def test_the_confidence_sequence_ends_where_its_inequality_does():
    for f, s, alpha in counts(2):

        def excess(p: float, f: int = f, s: int = s, alpha: float = alpha) -> float:
            likelihood = special.xlogy(f, p) + special.xlog1py(s, -p)
            return (
                special.betaln(0.5 + f, 0.5 + s) - math.log(math.pi) - likelihood + math.log(alpha)
            )

        found = stats.confidence_sequence(f, s, alpha)
        rate = f / (f + s)
        low = optimize.brentq(excess, 1e-300, rate, xtol=1e-15) if f else 0
        high = optimize.brentq(excess, rate, 1 - 1e-16, xtol=1e-15) if s else 1
        assert found == pytest.approx((low, high), abs=1e-9)


def test_the_clamped_interval_is_for_display():
    assert stats.jeffreys(0, 9, clamped=True) == (0, stats.jeffreys(0, 9).high)
    assert stats.jeffreys(9, 0, clamped=True) == (stats.jeffreys(9, 0).low, 1)
    assert stats.jeffreys(3, 9, clamped=True) == stats.jeffreys(3, 9)


def test_a_budget_sees_what_the_geometric_law_says():
    dice = random.Random(3)
    for _ in range(50):
        rate, alpha = 10 ** dice.uniform(-6, -0.01), dice.uniform(0.001, 0.5)
        runs = stats.runs_to_see(rate, alpha)
        law = scipy_stats.geom(rate)
        assert law.cdf(runs) >= 1 - alpha - 1e-12
        assert law.cdf(runs - 1) < 1 - alpha
        assert stats.power(rate, runs) == pytest.approx(law.cdf(runs), rel=1e-9)
        assert stats.power(stats.rate_seen(runs, alpha), runs) == pytest.approx(1 - alpha)


def test_sprt_adds_up_what_each_run_says():
    dice = random.Random(4)
    seen = set()
    for rate in (0.0, 0.02, 0.3, 0.001):
        test = stats.Sprt(rate1=0.1, alpha=0.001, beta=0.01)
        ratio = 0.0
        for _ in range(400):
            failed = dice.random() < rate
            if test.verdict == "OPEN":
                ratio += math.log(0.1 / 0.001) if failed else math.log(0.9 / 0.999)
            wanted = "FLAKY" if ratio >= math.log(0.99 / 0.001) else "OPEN"
            wanted = "STABLE" if ratio <= math.log(0.01 / 0.999) else wanted
            assert test.step(failed) == test.verdict == wanted
            assert test.ln_ratio == pytest.approx(ratio)
            seen.add(wanted)
        assert test.failures + test.passes <= 400
    assert seen == {"OPEN", "STABLE", "FLAKY"}


def test_evidence_is_a_likelihood_ratio():
    for failures, passes, _ in counts(5):
        q = min(failures / (failures + passes), 0.001)
        null = special.xlogy(failures, q) + special.xlog1py(passes, -q)
        mixture = special.betaln(0.5 + failures, 5 + passes) - special.betaln(0.5, 5)
        assert stats.evidence(failures, passes) == pytest.approx(mixture - null, abs=1e-7)
        both = stats.evidence(failures, passes), stats.evidence(passes, failures)
        assert stats.evidence_flaky(failures, passes) == min(both)


def test_ebh_confirms_by_the_ranks_of_evidence():
    dice = np.random.default_rng(6)
    for _ in range(40):
        ln_e = dice.normal(2, 3, size=dice.integers(1, 60))
        tests = len(ln_e) + int(dice.integers(0, 50))
        # Benjamini and Hochberg's procedure on 1/E is e-BH; tests without evidence have E = 0.
        p = np.concatenate([np.minimum(1, np.exp(-ln_e)), np.ones(tests - len(ln_e))])
        wanted = multipletests(p, alpha=0.05, method="fdr_bh")[0][: len(ln_e)]
        assert stats.e_bh(ln_e, tests=tests) == list(wanted)
    assert stats.e_bh([]) == []


def test_evidence_is_seldom_great_where_there_is_none():
    """Over every run at once: this is what e-BH is wrong by, of tests that all fail together."""
    for rate0, a, b in ((0.001, 0.5, 5), (0.1, 0.5, 5), (0.1, 2, 2), (0.5, 1, 1)):
        still, great = np.array([1.0]), 0.0
        for n in range(1, 250):
            still = np.append(still * (1 - rate0), 0) + np.append(0, still * rate0)
            ln_e = [stats.evidence(f, n - f, a=a, b=b, rate0=rate0) for f in range(n + 1)]
            confirmed = np.array([stats.e_bh([value] * 2)[0] for value in ln_e])
            great += still[confirmed].sum()
            still[confirmed] = 0
        assert 0 < great <= 0.05


def test_ebh_is_seldom_wrong_when_tests_fail_together():
    """40 tests, 30 of them healthy, that share half of their failures; each stops at its time."""
    runs, tests, healthy, rate0, alpha = 60, 40, 30, 0.1, 0.2
    table = np.zeros((runs + 1, runs + 1))
    for n in range(1, runs + 1):
        for f in range(n + 1):
            table[n, f] = stats.evidence(f, n - f, rate0=rate0)
    dice = np.random.default_rng(14)
    wrong, found = [], []
    for _ in range(3000):
        together = dice.random((runs, 1)) < 0.05
        alone = dice.random((runs, tests)) < np.where(np.arange(tests) < healthy, 1 / 19, 0.4)
        failures = np.cumsum(together | alone, axis=0)
        seen = table[np.arange(1, runs + 1)[:, None], failures]
        # As soon as it is great, as one who hunts would stop.
        great = seen >= math.log(tests / alpha / 8)
        stop = np.where(great.any(axis=0), great.argmax(axis=0), runs - 1)
        confirmed = np.array(stats.e_bh(seen[stop, np.arange(tests)], alpha))
        wrong.append(confirmed[:healthy].sum() / max(1, confirmed.sum()))
        found.append(confirmed[healthy:].mean())
    assert 0 < np.mean(wrong) <= alpha
    assert np.mean(found) > 0.8


@pytest.mark.parametrize(
    ("ours", "theirs"), [(stats.holm, "holm"), (stats.benjamini_hochberg, "fdr_bh")]
)
def test_adjusted_p_values_are_those_of_statsmodels(ours, theirs):
    dice = np.random.default_rng(7)
    for n in (1, 2, 10, 500):
        p = dice.random(n) ** 3
        assert ours(p) == pytest.approx(list(multipletests(p, method=theirs)[1]), abs=1e-12)
    assert ours([]) == []


def test_fisher_is_that_of_scipy():
    dice = random.Random(8)
    for most in (3, 10, 60, 2000):
        for _ in range(25):
            f1, s1, f2, s2 = (dice.randrange(most) + (i % 2) for i in range(4))
            found = stats.fisher(f1, s1, f2, s2)
            for value, side in zip(found, ("two-sided", "greater", "less"), strict=True):
                wanted = scipy_stats.fisher_exact([[f2, s2], [f1, s1]], side)[1]
                assert value == pytest.approx(wanted, rel=1e-7, abs=1e-12)


def test_runs_are_counted_over_every_arrangement():
    dice = np.random.default_rng(9)
    results = np.array([0] * 4 + [1] * 7)
    seen = np.array(
        [1 + np.count_nonzero(np.diff(dice.permutation(results))) for _ in range(20000)]
    )
    for runs in range(2, 10):
        found = stats.runs_test(4, 7, runs)
        assert found.few == pytest.approx(np.mean(seen <= runs), abs=0.02)
        assert found.many == pytest.approx(np.mean(seen >= runs), abs=0.02)


def test_markov_is_a_contingency_table():
    dice = random.Random(10)
    for n in (10, 60, 900):
        results = [True, False] + [dice.random() < 0.6 for _ in range(n)] + [True]
        table = np.zeros((2, 2))
        for last, following in itertools.pairwise(results):
            table[int(last)][int(following)] += 1
        g2, p, _, _ = scipy_stats.chi2_contingency(table, False, lambda_="log-likelihood")
        found = stats.markov(results)
        assert (found.g2, found.p) == pytest.approx((g2, p), abs=1e-9)
        assert found.after_failure == table[0][0] / table[0].sum()
        assert found.lambda_ == found.after_failure - found.after_pass


def test_a_change_is_found_where_it_is():
    results = [True] * 30 + [None] * 5 + [False, True] * 20
    found = stats.change_point(results, seed=1)
    assert (found.at, found.before, found.after) == (30, 0, 0.5)
    assert found.p < 1e-4
    drawn = stats.change_point(results, seed=1, permutations=999)
    assert drawn == found._replace(p=0.001)
    assert drawn == stats.change_point(results, seed=1, permutations=999)
    table = [[0, 30], [20, 20]]
    g2 = scipy_stats.chi2_contingency(table, False, lambda_="log-likelihood")[0]
    assert found.statistic == pytest.approx(g2)


def test_a_change_is_as_likely_as_its_share_of_all_orders():
    def statistic(failed: tuple[int, ...]) -> float:
        found = []
        for at in range(3, 10):
            before = sum(i < at for i in failed)
            table = [[before, at - before], [5 - before, 12 - at - 5 + before]]
            found.append(2 * special.xlogy(table, table).sum())
            found[-1] -= 2 * special.xlogy([at, 12 - at], [at, 12 - at]).sum()
        return max(found)

    every = {failed: statistic(failed) for failed in itertools.combinations(range(12), 5)}
    values = np.array(list(every.values()))
    for failed in list(every)[::40]:
        wanted = np.mean(values >= every[failed] - 1e-9)
        found = stats.change_point([i not in failed for i in range(12)])
        assert found.p == pytest.approx(wanted, rel=1e-9)


def test_intervals_hold_every_rate_as_often_as_they_say():
    n, failures = 40, np.arange(41)
    rates = np.linspace(0.005, 0.995, 199)
    chances = scipy_stats.binom.pmf(failures[:, None], n, rates)
    for method in (stats.clopper_pearson, stats.confidence_sequence, stats.jeffreys, stats.wilson):
        low, high = np.array([method(int(f), int(n - f), 0.1) for f in failures]).T[:, :, None]
        held = np.sum(chances * ((low <= rates) & (rates <= high)), axis=0)
        if method in (stats.clopper_pearson, stats.confidence_sequence):
            assert held.min() >= 0.9
        assert held.mean() >= 0.89


def test_the_confidence_sequence_holds_at_every_time_at_once():
    ends = [[stats.confidence_sequence(f, n - f, 0.1) for f in range(n + 1)] for n in range(1, 300)]
    for rate in (0.001, 0.02, 0.1, 0.5, 0.9):
        # The chance of each count of failures, without ever having missed the rate.
        held = np.array([1.0])
        for intervals in ends:
            held = np.append(held * (1 - rate), 0) + np.append(0, held * rate)
            held *= [low <= rate <= high for low, high in intervals]
        assert 0.9 <= held.sum() <= 1


def sprt_by_counts(rates: tuple[float, float], alpha: float, beta: float, rate: float):
    """The chance to be called flaky, and the runs that takes, of a test of this rate."""
    up = math.log(rates[1] / rates[0])
    down = math.log((1 - rates[1]) / (1 - rates[0]))
    flaky_at, stable_at = math.log((1 - beta) / alpha), math.log(beta / (1 - alpha))
    still, flaky, mean = np.array([1.0]), 0.0, 0.0
    for n in range(1, 5000):
        still = np.append(still * (1 - rate), 0) + np.append(0, still * rate)
        ratio = np.arange(n + 1) * up + np.arange(n, -1, -1) * down
        decided = (ratio >= flaky_at) | (ratio <= stable_at)
        flaky += still[ratio >= flaky_at].sum()
        mean += n * still[decided].sum()
        still = np.where(decided, 0, still)
    assert still.sum() < 1e-9
    return flaky, mean


def fixed_runs(rates: tuple[float, float], alpha: float, beta: float) -> int:
    """The least number of runs that is wrong with no more than both."""
    for n in range(1, 5000):
        least = int(scipy_stats.binom.isf(alpha, n, rates[0])) + 1
        if scipy_stats.binom.cdf(least - 1, n, rates[1]) <= beta:
            return n
    raise AssertionError(rates)


@pytest.mark.parametrize(
    ("rates", "alpha", "beta", "saved"),
    [
        ((0.001, 0.05), 0.05, 0.05, 0.34),  # the defaults: 61 runs in place of 93
        ((0.001, 0.02), 0.05, 0.05, 0.35),
        ((0.01, 0.05), 0.05, 0.05, 0.35),
        ((0.01, 0.1), 0.05, 0.05, 0.35),
        ((0.01, 0.1), 0.01, 0.1, 0.35),
        ((0.001, 0.05), 0.01, 0.01, 0.35),
    ],
)
def test_sprt_is_as_sure_as_a_third_more_runs(rates, alpha, beta, saved):
    flaky0, runs0 = sprt_by_counts(rates, alpha, beta, rates[0])
    flaky1, runs1 = sprt_by_counts(rates, alpha, beta, rates[1])
    assert flaky0 <= alpha / (1 - beta)
    assert 1 - flaky1 <= beta / (1 - alpha)
    fixed = fixed_runs(rates, flaky0, 1 - flaky1)
    assert runs0 <= (1 - saved) * fixed
    assert runs1 <= 0.65 * fixed
    # What was counted is what the core does.
    dice, called, runs = random.Random(11), 0, 0
    for _ in range(1500):
        test = stats.Sprt(*rates, alpha, beta)
        while test.step(dice.random() < rates[1]) == "OPEN":
            pass
        called += test.verdict == "FLAKY"
        runs += test.failures + test.passes
    assert called / 1500 == pytest.approx(flaky1, abs=0.03)
    assert runs / 1500 == pytest.approx(runs1, rel=0.12)


def test_a_suite_is_its_tests_one_by_one():
    dice = random.Random(12)
    tests = [[True] * 20, [False] * 9, [None, None], [], [True, False] * 30]
    for _ in range(200):
        rate = dice.random()
        outcomes = [True] * 7 + [None]
        tests.append(
            [dice.choice(outcomes) and dice.random() >= rate for _ in range(dice.randrange(90))]
        )
    found = stats.analyse(iter(map(iter, tests)), 0.1)
    assert [one.confirmed for one in found] == stats.e_bh((one.ln_e for one in found), 0.1)
    assert {one.confirmed for one in found} == {True, False}
    for results, one in zip(tests, found, strict=True):
        f, s = results.count(False), results.count(True)
        assert (one.failures, one.passes, one.is_flaky) == (f, s, f > 0 and s > 0)
        assert one.ln_e == stats.evidence_flaky(f, s)
        if f + s == 0:
            assert one.jeffreys == one.clopper_pearson == one.wilson == (0, 1)
            assert one.confidence_sequence == (0, 1)
            assert (one.score, one.pattern.name) == (0, "UNTYPED")
            continue
        assert one.score == 2 * min(f, s) / (f + s)
        assert one.compatible in ("STABLE_PASS", "STABLE_FAIL", "INTERMITTENT", "RANDOM")
        assert one.jeffreys == stats.jeffreys(f, s, 0.1, clamped=True)
        assert one.clopper_pearson == stats.clopper_pearson(f, s, 0.1)
        assert one.wilson == stats.wilson(f, s, 0.1)
        assert one.confidence_sequence == stats.confidence_sequence(f, s, 0.1)
        assert one.pattern == stats.pattern(results, 0.1)
    assert stats.analyse([]) == []
    assert found[0].compatible == "STABLE_PASS"
    assert found[1].compatible == "STABLE_FAIL"


def test_patterns_have_names():
    assert stats.pattern([True]).name == "UNTYPED"
    assert stats.pattern([True] * 4 + [False] * 4).name == "NO_PATTERN"
    found = stats.pattern([False] * 12 + [None] + [True] * 14)
    assert found.name == "IMPROVING"
    assert (found.failures, found.passes, found.runs) == (12, 14, 2)
    assert found.few <= found.change < 0.05 < found.many
    assert found.change_point.at == 12
    assert found.ln_change > found.ln_markov


@pytest.mark.parametrize(
    "call",
    [
        lambda: stats.jeffreys(0, 0),
        lambda: stats.wilson(-1, 3),
        lambda: stats.clopper_pearson(1, 10**10),
        lambda: stats.confidence_sequence(1, 1, NAN),
        lambda: stats.jeffreys(1, 1, 1.0),
        lambda: stats.runs_to_see(0),
        lambda: stats.runs_to_see(1e-300),
        lambda: stats.power(NAN, 3),
        lambda: stats.rate_seen(0),
        lambda: stats.Sprt(0.1, 0.05),
        lambda: stats.evidence(1, 1, a=NAN),
        lambda: stats.evidence_flaky(1, 1, rate0=1),
        lambda: stats.e_bh([NAN]),
        lambda: stats.e_bh([1, 2], tests=1),
        lambda: stats.e_bh([1, 2], tests=-1),
        lambda: stats.holm([1.1]),
        lambda: stats.benjamini_hochberg([NAN]),
        lambda: stats.fisher(0, 0, 1, 1),
        lambda: stats.runs_test(3, 3, 7),
        lambda: stats.markov([True]),
        lambda: stats.change_point([True] * 5),
        lambda: stats.change_point([True, False] * 9, permutations=-1),
        lambda: stats.change_point([True, False] * 9, permutations=2**32 + 9),
        lambda: stats.pattern([None]),
        lambda: stats.pattern([True], alpha=NAN),
        lambda: stats.pattern([True] * 9, permutations=-1),
        lambda: stats.analyse([[True]], alpha=NAN),
        lambda: stats.analyse([[True]], alpha=0),
    ],
)
def test_what_makes_no_sense_is_refused(call):
    with pytest.raises(InvalidArgument):
        call()


COUNTS = (-(10**30), -1, 0, 1, 2, 7, 1000, 10**9, 10**9 + 1, 10**30)
NUMBERS = (-math.inf, -1.0, 0.0, 1e-300, 1e-12, 0.001, 0.5, 1.0, 1.5, 1e300, math.inf, NAN)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (stats.jeffreys, (COUNTS, COUNTS, NUMBERS)),
        (lambda *a: stats.jeffreys(*a, clamped=True), (COUNTS, COUNTS, NUMBERS)),
        (stats.clopper_pearson, (COUNTS, COUNTS, NUMBERS)),
        (stats.wilson, (COUNTS, COUNTS, NUMBERS)),
        (stats.confidence_sequence, (COUNTS, COUNTS, NUMBERS)),
        (stats.runs_to_see, (NUMBERS, NUMBERS)),
        (stats.power, (NUMBERS, COUNTS)),
        (stats.rate_seen, (COUNTS, NUMBERS)),
        (lambda *a: stats.Sprt(*a).step(True), (NUMBERS, NUMBERS, NUMBERS, NUMBERS)),
        (lambda *a: stats.Sprt(*a).ln_ratio, (NUMBERS, NUMBERS, NUMBERS, NUMBERS)),
        (lambda f, s, a, b, r: stats.evidence(f, s, a=a, b=b, rate0=r),
         (COUNTS, COUNTS, NUMBERS, NUMBERS, NUMBERS)),
        (lambda f, s, r: stats.evidence_flaky(f, s, rate0=r), (COUNTS, COUNTS, NUMBERS)),
        (lambda x, y, a, n: stats.e_bh([x, y], a, tests=n), (NUMBERS, NUMBERS, NUMBERS, COUNTS)),
        (lambda *p: stats.holm(p), (NUMBERS, NUMBERS)),
        (lambda *p: stats.benjamini_hochberg(p), (NUMBERS, NUMBERS)),
        (stats.fisher, (COUNTS, COUNTS, COUNTS, COUNTS)),
        (stats.runs_test, (COUNTS, COUNTS, COUNTS)),
        (lambda f, s: stats.markov([False] * f + [True] * s), (COUNTS[:7], COUNTS[:7])),
        (lambda f, s, n: stats.change_point([False] * f + [True] * s, 1, n),
         (COUNTS[:7], COUNTS[:7], (-1, 0, 1, 9, 10**6 + 1, 10**30))),
        (lambda f, s, a, n: stats.pattern([False] * f + [True] * s, a, 1, n),
         (COUNTS[:7], COUNTS[:7], NUMBERS, (-1, 0, 9, 10**6 + 1))),
        (lambda f, s, a: stats.analyse([[False] * f + [True] * s, []], a),
         (COUNTS[:7], COUNTS[:7], NUMBERS)),
    ],
)  # fmt: skip
def test_nothing_makes_a_number_that_is_none(call, arguments):
    """What is refused is refused by name; all else is no NaN, whatever is given."""

    def numbers_of(found: object):
        if isinstance(found, (tuple, list)):
            for part in found:
                yield from numbers_of(part)
        elif not isinstance(found, str):
            yield found

    every = list(itertools.product(*arguments))
    dice, outcomes = random.Random(13), set()
    for given in every if len(every) < 4000 else dice.sample(every, 4000):
        try:
            found = call(*given)
        except (InvalidArgument, OverflowError):
            outcomes.add("refused")
            continue
        outcomes.add("told")
        assert not any(math.isnan(number) for number in numbers_of(found)), given
    assert outcomes == {"refused", "told"}


@pytest.mark.parametrize("count", [1.0, NAN, "1", None])
def test_a_count_is_a_whole_number(count):
    with pytest.raises(TypeError):
        stats.jeffreys(count, 1)
    with pytest.raises(TypeError):
        stats.power(0.1, count)


def test_no_value_is_lost_in_a_list():
    with pytest.raises(TypeError):
        stats.holm([0.1, "0.2"])
    with pytest.raises(TypeError):
        stats.e_bh([None])


def test_examples_are_right():
    found = doctest.testmod(stats)
    assert found.attempted > 20
    assert found.failed == 0
