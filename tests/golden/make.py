"""Writes the reference values of the statistics that other programs do not have ready.

    python tests/golden/make.py

Everything here is computed another way than in csrc/: with mpmath to 50 digits, with whole
numbers, by trying every arrangement, or by scipy and statsmodels. Only the shuffles of the
change point follow the same recipe, so that p-values are equal to the last one.

bh.csv, fisher.csv, intervals.csv and runs.csv are of scipy 1.17 and statsmodels 0.15, and
are not written here.
"""

from __future__ import annotations

import csv
import itertools
import math
import random
from pathlib import Path

import mpmath
from scipy import stats
from statsmodels.stats.multitest import multipletests

HERE = Path(__file__).resolve().parent
MASK = (1 << 64) - 1
mpmath.mp.dps = 50


def write(name: str, head: list[str], rows: list[list[object]]) -> None:
    with open(HERE / name, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(head)
        out.writerows([repr(v) if isinstance(v, float) else v for v in row] for row in rows)


def joined(values: object) -> str:
    return " ".join(repr(float(v)) for v in values)  # type: ignore[attr-defined]


def intervals() -> None:
    rows: list[list[object]] = []
    for n in (7, 100, 10_000, 1_000_000):
        for f in sorted({0, 1, 3, n // 100, n // 7, n // 2, n - 2, n}):
            for alpha in (1e-6, 0.01, 0.1, 0.5):
                s = n - f
                jeffreys = [stats.beta.ppf(alpha / 2, f + 0.5, s + 0.5)]
                jeffreys.append(stats.beta.isf(alpha / 2, f + 0.5, s + 0.5))
                low = stats.beta.ppf(alpha / 2, f, s + 1) if f else 0.0
                high = stats.beta.isf(alpha / 2, f + 1, s) if s else 1.0
                test = stats.binomtest(f, n).proportion_ci(1 - alpha, "wilson")
                ends = [low, high, test.low, test.high, *jeffreys]
                rows.append([f, n, alpha, *map(float, ends)])
    names = ["cp_lo", "cp_hi", "wilson_lo", "wilson_hi", "jeffreys_lo", "jeffreys_hi"]
    write("intervals_large.csv", ["f", "n", "alpha", *names], rows)


def ln_beta(a: object, b: object) -> mpmath.mpf:
    return mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(mpmath.mpf(a) + b)


def ln_evidence(f: int, s: int, a: float, b: float, rate0: float) -> mpmath.mpf:
    if f + s == 0:
        return mpmath.mpf(0)
    q = min(mpmath.mpf(f) / (f + s), mpmath.mpf(rate0))
    null = (f * mpmath.log(q) if f else 0) + (s * mpmath.log(1 - q) if s else 0)
    return ln_beta(mpmath.mpf(a) + f, mpmath.mpf(b) + s) - ln_beta(a, b) - null


def evidence() -> None:
    rows: list[list[object]] = []
    counts = [(0, 0), (1, 0), (0, 1), (1, 9), (3, 7), (10, 0), (0, 10), (5, 5), (1, 999)]
    counts += [(2, 998), (50, 950), (1000, 9), (1, 999_999), (1000, 999_000), (500_000, 500_000)]
    for f, s in counts:
        for a, b, rate0 in ((0.5, 5.0, 0.001), (1.0, 1.0, 0.01), (0.5, 51.7, 1e-5)):
            one = ln_evidence(f, s, a, b, rate0)
            other = ln_evidence(s, f, a, b, rate0)
            rows.append([f, s, a, b, rate0, float(one), float(min(one, other))])
    write("evidence.csv", ["f", "s", "a", "b", "rate0", "ln_e", "ln_e_flaky"], rows)


def sprt() -> None:
    rows: list[list[object]] = []
    dice = random.Random(20)
    settings = [(0.001, 0.05, 0.05, 0.05), (0.01, 0.1, 0.01, 0.1), (0.05, 0.5, 0.001, 0.01)]
    for p0, p1, alpha, beta in settings:
        for rate, n in ((0, 12), (0, 150), (0.001, 150), (0.02, 150), (0.1, 150), (0.6, 9), (1, 9)):
            text = "".join("F" if dice.random() < rate else "P" for _ in range(n))
            ratio, verdict, used = mpmath.mpf(0), "OPEN", n
            for i, result in enumerate(text, 1):
                likely1 = mpmath.mpf(p1) if result == "F" else 1 - mpmath.mpf(p1)
                likely0 = mpmath.mpf(p0) if result == "F" else 1 - mpmath.mpf(p0)
                ratio += mpmath.log(likely1 / likely0)
                if mpmath.exp(ratio) >= (1 - mpmath.mpf(beta)) / alpha:
                    verdict = "FLAKY"
                elif mpmath.exp(ratio) <= beta / (1 - mpmath.mpf(alpha)):
                    verdict = "STABLE"
                if verdict != "OPEN":
                    used = i
                    break
            rows.append([p0, p1, alpha, beta, text, used, verdict, float(ratio)])
    head = ["rate0", "rate1", "alpha", "beta", "results", "runs", "verdict", "ln_ratio"]
    write("sprt.csv", head, rows)


def ebh() -> None:
    """By the definition: the largest k of which all k greatest are great enough."""
    rows: list[list[object]] = []
    dice = random.Random(21)
    for n, tests in ((1, 1), (1, 3), (5, 5), (5, 50), (20, 20), (40, 40), (40, 1000)):
        for alpha in (0.05, 0.2):
            values = [dice.gauss(2, 3) for _ in range(n)]
            if n == 5:
                values[1] = values[3]
            order = sorted(range(n), key=lambda i: -values[i])
            best = 0
            for k in range(1, n + 1):
                if mpmath.exp(values[order[k - 1]]) >= mpmath.mpf(tests) / (alpha * k):
                    best = k
            chosen = [float(i in order[:best]) for i in range(n)]
            rows.append([tests, alpha, joined(values), joined(chosen)])
    rows.append([1, 0.05, joined([math.log(20)]), "1.0"])
    rows.append([4, 0.05, joined([math.log(40)] * 2 + [-math.inf] * 2), "1.0 1.0 0.0 0.0"])
    write("ebh.csv", ["tests", "alpha", "ln_e", "confirmed"], rows)


def holm() -> None:
    rows: list[list[object]] = []
    dice = random.Random(22)
    for n in (1, 2, 3, 8, 30):
        p = [dice.random() ** 3 for _ in range(n)]
        if n == 8:
            p[2], p[5], p[6] = p[3], 0.0, 1.0
        rows.append([joined(p), joined(multipletests(p, method="holm")[1])])
    write("holm.csv", ["p", "adjusted"], rows)


def runs() -> None:
    """Tails of the runs test by whole numbers; small ones are to be right, too."""
    rows: list[list[object]] = []
    for f, s in ((1, 1), (1, 6), (3, 3), (3, 4), (10, 90), (300, 700), (999, 1001)):
        least = min(f, s)
        most = 2 * least + (f != s)
        all_ = math.comb(f + s, f)

        def ways(r: int, f: int = f, s: int = s) -> int:
            k = r // 2
            if r % 2 == 0:
                return 2 * math.comb(f - 1, k - 1) * math.comb(s - 1, k - 1)
            one = math.comb(f - 1, k) * math.comb(s - 1, k - 1)
            return one + math.comb(f - 1, k - 1) * math.comb(s - 1, k)

        mean = 1 + round(2 * f * s / (f + s))
        for r in sorted({2, 3, most // 3, mean - 1, mean, mean + 1, most - 1, most}):
            if 2 <= r <= most:
                few = mpmath.mpf(sum(map(ways, range(2, r + 1)))) / all_
                many = mpmath.mpf(sum(map(ways, range(r, most + 1)))) / all_
                rows.append([f, s, r, float(mpmath.log(few)), float(mpmath.log(many))])
    write("runs_large.csv", ["f", "s", "runs", "ln_p_few", "ln_p_many"], rows)


def fisher() -> None:
    rows: list[list[object]] = []
    dice = random.Random(23)
    for most in (6, 30, 200, 5000):
        for _ in range(8):
            table = [dice.randrange(most) + 1 for _ in range(4)]
            f1, s1, f2, s2 = table
            p = [
                float(stats.fisher_exact([[f2, s2], [f1, s1]], alternative=a)[1])
                for a in ("two-sided", "greater", "less")
            ]
            rows.append([*table, *p])
    write("fisher_random.csv", ["f1", "s1", "f2", "s2", "p_two", "p_more", "p_less"], rows)


def statistics_of(marks: list[int], n: int, failures: int) -> list[float]:
    """The likelihood ratio at each cut, from the fourth result on."""

    def ln_likelihood(f: int, m: int) -> float:
        return sum(k * math.log(k / m) for k in (f, m - f) if k)

    whole = ln_likelihood(failures, n)
    values, before = [], sum(marks[:2])
    for at in range(3, n - 2):
        before += marks[at - 1]
        values.append(
            2 * (ln_likelihood(before, at) + ln_likelihood(failures - before, n - at) - whole)
        )
    return values


def splitmix(seed: int):  # type: ignore[no-untyped-def]
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def change_of(text: str, seed: int, permutations: int) -> dict[str, object]:
    marks = [int(c == "F") for c in text]
    n, failures = len(marks), sum(marks)
    values = statistics_of(marks, n, failures)
    statistic = max(values)
    at = 3 + next(i for i, v in enumerate(values) if v > statistic - 1e-9)
    rarer = min(failures, n - failures)
    numbers, reached = splitmix(seed), 0
    for _ in range(permutations):
        chosen: set[int] = set()
        for j in range(n - rarer, n):
            t = ((next(numbers) >> 32) * (j + 1)) >> 32
            chosen.add(j if t in chosen else t)
        shuffled = [int(i in chosen) for i in range(n)]
        reached += max(statistics_of(shuffled, n, rarer)) >= statistic - 1e-9
    exact: object = ""
    if math.comb(n, failures) <= 20_000:
        every = [
            max(statistics_of([int(i in c) for i in range(n)], n, failures))
            for c in itertools.combinations(range(n), failures)
        ]
        exact = sum(v >= statistic - 1e-9 for v in every) / len(every)
    return {
        "statistic": statistic,
        "at": at,
        "before": sum(marks[:at]) / at,
        "after": sum(marks[at:]) / (n - at),
        "p": (reached + 1) / (permutations + 1),
        "p_exact": exact,
    }


def sequences() -> list[str]:
    dice = random.Random(24)

    def independent(n: int, rate: float) -> str:
        return "".join("F" if dice.random() < rate else "P" for _ in range(n))

    def bursts(n: int, stay: float) -> str:
        text = "P"
        while len(text) < n:
            text += text[-1] if dice.random() < stay else "PF"[text[-1] == "P"]
        return text

    found = [
        "FFFPPP",
        "PFPFPF",
        "PPPPFFF",
        "FFFFFPPPPP",
        "FPFPFPFPFP",
        "PPFPPPPFPPPF",
        "PPPPPPPPPP",
    ]
    found += [
        "PPPPPPPPPP",
        independent(14, 0.3),
        independent(60, 0.3),
        independent(60, 0.3),
        bursts(60, 0.9),
    ]
    found += [bursts(60, 0.9), bursts(60, 0.1), independent(30, 0.05) + independent(30, 0.6)]
    found += [independent(30, 0.7) + independent(30, 0.1), independent(200, 0.1), "P" * 100]
    return [*found, independent(150, 0.05) + independent(150, 0.3), "PPPFFFPPP", "PPFFPP"]


def change() -> None:
    names = ["statistic", "at", "before", "after", "p", "p_exact"]
    rows: list[list[object]] = []
    for i, text in enumerate(sequences()):
        permutations = 199 if len(text) > 100 else 999
        found = change_of(text, i + 1, permutations)
        rows.append([text, i + 1, permutations, *(found[name] for name in names)])
    write("change.csv", ["results", "seed", "permutations", *names], rows)


def chance_of_change(n: int, failures: int, cuts: list[int], statistic: float) -> mpmath.mpf:
    """Orders that reach the statistic at one of the cuts, by counting those that do not."""
    ways, last = {0: 1}, 0
    every = math.comb(n, failures)
    for at in cuts:
        following: dict[int, int] = {}
        for before, count in ways.items():
            for more in range(min(at - last, failures - before) + 1):
                now = before + more
                if n - at >= failures - now:
                    following[now] = following.get(now, 0) + count * math.comb(at - last, more)
        ways, last = {}, at
        for now, count in following.items():
            if likelihood_ratio(n, failures, at, now) < statistic - 1e-9:
                ways[now] = count
    stay = sum(count * math.comb(n - last, failures - f) for f, count in ways.items())
    return mpmath.mpf(every - stay) / every


def likelihood_ratio(n: int, failures: int, at: int, before: int) -> float:
    def ln_likelihood(f: int, m: int) -> mpmath.mpf:
        return sum((k * mpmath.log(mpmath.mpf(k) / m) for k in (f, m - f) if k), mpmath.mpf(0))

    rest = ln_likelihood(failures - before, n - at)
    return float(2 * (ln_likelihood(before, at) + rest - ln_likelihood(failures, n)))


def paths() -> None:
    """The chance of a change, with whole numbers; statistics that some order has, too."""
    rows: list[list[object]] = []
    for n, failures in (
        (6, 3), (7, 1), (10, 5), (30, 11), (60, 57), (150, 3), (150, 75), (300, 90),
        (4097, 3), (5000, 4990), (5000, 200),
    ):  # fmt: skip
        cuts = list(range(3, n - 2))
        if n > 4096:
            cuts = [i * n // 256 for i in range(1, 256)]
        middle = cuts[len(cuts) // 2]
        met = [likelihood_ratio(n, failures, at, min(failures, at)) for at in (cuts[0], middle)]
        for statistic in sorted({1e-3, 2.0, 7.5, 20.0, 45.0, 80.0, *met}):
            if statistic > 80:
                continue
            p = chance_of_change(n, failures, cuts, statistic)
            rows.append([n, failures, statistic, float(p)])
    write("paths.csv", ["n", "failures", "statistic", "p"], rows)


def ln_marginal(f: int, s: int) -> mpmath.mpf:
    """One result after another: the next fails with (f + 1/2) / (n + 1)."""
    value = mpmath.mpf(1)
    for i in range(f):
        value *= (i + mpmath.mpf(0.5)) / (i + 1)
    for i in range(s):
        value *= (i + mpmath.mpf(0.5)) / (f + i + 1)
    return mpmath.log(value)


def shape() -> None:
    """The verdict of a sequence by the rules, from whole numbers and statsmodels' Holm."""
    rows: list[list[object]] = []
    for i, text in enumerate(sequences()):
        n, f = len(text), text.count("F")
        s, r = n - f, 1 + sum(a != b for a, b in itertools.pairwise(text))
        if f < 3 or s < 3:
            rows.append([text, i + 1, "UNTYPED", 1.0, 1.0, 1.0, 0.0, 0.0])
            continue

        def chance(low: int, high: int, f: int = f, s: int = s) -> float:
            ways = 0
            for runs_ in range(low, high + 1):
                first, second = (runs_ + 1) // 2, runs_ // 2
                for mine, theirs in ((first, second), (second, first)):
                    ways += math.comb(f - 1, mine - 1) * math.comb(s - 1, theirs - 1)
            return ways / math.comb(f + s, f)

        raw = [chance(2, r), chance(r, n), change_of(text, i + 1, 999)["p"]]
        few, many, cut = (float(v) for v in multipletests(raw, method="holm")[1])
        after: dict[str, int] = {a + b: 0 for a in "FP" for b in "FP"}
        for a, b in itertools.pairwise(text):
            after[a + b] += 1
        markov = mpmath.log(0.5) + ln_marginal(after["FF"], after["FP"])
        markov += ln_marginal(after["PF"], after["PP"])
        cuts = [
            ln_marginal(text[:at].count("F"), text[:at].count("P"))
            + ln_marginal(text[at:].count("F"), text[at:].count("P"))
            for at in range(3, n - 2)
        ]
        one = mpmath.log(sum(map(mpmath.exp, cuts)) / len(cuts))
        most = 2 * min(f, s) + (f != s)
        if min(chance(2, 2), chance(most, most)) > 0.05 / 3:
            name = "NO_PATTERN"
        elif many <= min(0.05, few, cut):
            name = "ALTERNATING"
        elif min(few, cut) > 0.05:
            name = "RANDOM"
        elif markov >= one:
            name = "INTERMITTENT"
        else:
            found = change_of(text, 0, 1)
            name = "DEGRADING" if found["after"] > found["before"] else "IMPROVING"  # type: ignore[operator]
        clustered = min(few, cut) <= 0.05
        both = [float(markov), float(one)] if clustered else [0.0, 0.0]
        rows.append([text, i + 1, name, few, many, cut, *both])
    head = ["results", "seed", "shape", "p_few", "p_many", "p_change", "ln_markov", "ln_change"]
    write("shape.csv", head, rows)


if __name__ == "__main__":
    for make in (intervals, evidence, sprt, ebh, holm, runs, fisher, change, paths, shape):
        make()
