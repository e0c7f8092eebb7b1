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
    assert found.p == 0.001
    assert found == stats.change_point(results, seed=1)
    table = [[0, 30], [20, 20]]
    g2 = scipy_stats.chi2_contingency(table, False, lambda_="log-likelihood")[0]
    assert found.statistic == pytest.approx(g2)


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
    ],
)
def test_what_makes_no_sense_is_refused(call):
    with pytest.raises(InvalidArgument):
        call()


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
