"""What a hunt has found, as a section of the terminal's summary."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any

from . import replay, retyping, stats
from .causes import TOLD
from .failures import place_of
from .hunting import VERDICTS, Hunt

if TYPE_CHECKING:
    import pytest

    from . import _core
    from .bisecting import Bisect

_MAX_ROWS = 50
_MAX_CLUSTERS = 10
_MAX_MARKS = 30
_MAX_TEXT = 120
_SEEN = 0.95  # how likely what is called visible would have been seen


def _rate(found: dict[str, Any]) -> str:
    """The failure rate, with an interval that holds whenever one stops."""
    failures, passes = found["failures"], found["passes"]
    interval = stats.confidence_sequence(failures, passes)
    return (
        f"failed {failures} of {failures + passes} "
        f"({failures / (failures + passes):.0%}, "
        f"{100 * interval.low:.0f}-{100 * interval.high:.0f} %)"
    )


def _sparkline(hunt: Hunt, item: int, encoding: str) -> str:
    """Its results in the order of the passes: a failure is high."""
    marks = "█▁" if "utf" in encoding.lower() else "F."
    results = [marks[result] for _, result in hunt.results_of(item)]
    more = "..." if len(results) > _MAX_MARKS else ""
    return "".join(results[:_MAX_MARKS]) + more


def _conditions(hunt: Hunt, item: int) -> str:
    """Under which it failed."""
    names = Counter(hunt.passes[p]["condition"] for p, r in hunt.results_of(item) if r == 0)
    return ", ".join(f"{name} {n}x" if n > 1 else name for name, n in names.items())


def _cause(finding: _core.Finding, ids: list[str]) -> str:
    """The cause in a line: its culprits, and both sides of the contrast."""
    text = TOLD[finding["cause"]]
    culprits = [ids[item] for item in finding["culprits"]]
    if culprits:
        if finding["cause"] in ("files", "neighbours"):
            text += ":"
        text += " " + ", ".join(culprits[:3])
        text += f" and {len(culprits) - 3} more" if len(culprits) > 3 else ""
    if finding["with_name"] is not None:
        sides = []
        for side in ("with", "without"):
            failed, passed = finding[f"{side}_counts"]  # type: ignore[literal-required]
            name = finding[f"{side}_name"]  # type: ignore[literal-required]
            sides.append(f"{name}: failed {failed} of {failed + passed}")
        text += f" ({', '.join(sides)}; p = {finding['p']:.2g})"
    return text


def _write_proof(
    reporter: pytest.TerminalReporter, finding: _core.Finding, option: str | None
) -> None:
    if option is not None and finding["proof_failed"] > 0:
        command = shlex.join(["pytest", *retyping.options_typed(reporter.config), option])
        reporter.write_line(
            f"    again: {command}  # failed {finding['proof_failed']} of {finding['proof_runs']}"
        )


def _write_test(
    reporter: pytest.TerminalReporter, hunt: Hunt, item: int, ids: list[str], encoding: str
) -> None:
    found = hunt.verdict(item)
    markup = {"red": True} if found["verdict"] == "confirmed" else {"yellow": True}
    reporter.write(f"{VERDICTS[found['verdict']].upper()}  ", **markup)
    reporter.write_line(f"{ids[item]}  {_rate(found)}  {_sparkline(hunt, item, encoding)}")
    reporter.write_line(f"    failed: {_conditions(hunt, item)}")
    finding = hunt.finding(item)
    if finding is not None:
        cause = _cause(finding, ids)
        if hunt.inquiries is not None and item in hunt.inquiries.unended:
            cause += " (not asked to the end)"
        reporter.write_line("    cause: " + cause)
        _write_proof(reporter, finding, hunt.replay_of(item, ids))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 3] + "..."


def _write_clusters(reporter: pytest.TerminalReporter, hunt: Hunt) -> None:
    """Failures that are the same, once each."""
    clusters = hunt.clusters.most_first()
    if len(clusters) < 1:
        return
    reporter.write_line("failures, by where they happened:")
    for way, one in clusters[:_MAX_CLUSTERS]:
        tests = len(one["tests"])
        reporter.write_line(
            f"    {one['failures']}x in {tests} test{'s' if tests != 1 else ''}: "
            f"{place_of(way)} - {_short(one['message'])}"
        )
    if len(clusters) > _MAX_CLUSTERS:
        reporter.write_line(f"    ... and {len(clusters) - _MAX_CLUSTERS} more")


def _visible(found: list[dict[str, Any]]) -> str | None:
    """What would have been seen of the tests of which nothing was."""
    clear = sorted(one["passes"] for one in found if one["verdict"] == "clear")
    if not clear:
        return None
    runs = clear[(len(clear) - 1) // 2]
    times = int(1 / stats.rate_seen(runs, 1 - _SEEN))
    plural = "s" if runs > 1 else ""
    text = f"nothing seen in {len(clear)} tests: by {runs} run{plural} (the median) "
    if times < 2:
        return text + "few that fail now and then would have been seen"
    return text + f"one that fails 1 time in {times} would have been seen with {_SEEN:.0%}"


def write(reporter: pytest.TerminalReporter, hunt: Hunt, items: list[pytest.Item]) -> None:
    """Writes what is known of each test that failed, and what the others allow to say."""
    order = list(VERDICTS)
    ids = [item.nodeid for item in items]
    found = [hunt.verdict(item) for item in range(len(items))]
    counts = Counter(one["verdict"] for one in found)
    rows = sorted(
        (order.index(one["verdict"]), number)
        for number, one in enumerate(found)
        if one["verdict"] in order[:3]
    )
    encoding = getattr(reporter._tw._file, "encoding", None) or "ascii"
    reporter.write_sep("=", "flaky hunt")
    for _, number in rows[:_MAX_ROWS]:
        _write_test(reporter, hunt, number, ids, encoding)
    if len(rows) > _MAX_ROWS:
        reporter.write_line(f"... and {len(rows) - _MAX_ROWS} more (--qe-json has all)")
    _write_clusters(reporter, hunt)
    visible = _visible(found)
    if visible is not None:
        reporter.write_line(visible)
    if rows and counts["stable-fail"] == len(items):
        reporter.write_line("every test fails each time: there is nothing to hunt")
    text = ", ".join(f"{counts[name]} {VERDICTS[name]}" for name in order if counts[name])
    text += f"; {hunt.executions} runs in {len(hunt.passes)} passes"
    if hunt.inquiries is not None and hunt.inquiries.executions:
        text += (
            f"; for causes and proofs {hunt.inquiries.executions} runs "
            f"in {hunt.inquiries.seconds:.1f} s"
        )
    reporter.write_line(text)
    if hunt.renamed:
        names = ", ".join(ids[item] for item in sorted(hunt.renamed)[:3])
        more = f" and {len(hunt.renamed) - 3} more" if len(hunt.renamed) > 3 else ""
        reporter.write_line(
            f"{names}{more}: what they are given, and so the id, differs from process to "
            "process; a failure under another hash seed is shown, and counts for no verdict"
        )
    if hunt.short is not None:
        reporter.write_line(
            f"qe: warning: the budget is below what two passes need (one took {hunt.short:.2g} s): "
            "each test ran in the first alone",
            yellow=True,
        )
    if hunt.inquiries is not None and hunt.inquiries.cut:
        reporter.write_line(
            f"{hunt.inquiries.cut} tests were not asked for their cause to the end: "
            "--qe-flaky-causes=SECONDS allows more"
        )
    if hunt.inquiries is not None and hunt.inquiries.forbidden:
        refused = ", ".join(sorted(hunt.inquiries.forbidden))
        reporter.write_line(f"this system does not allow to try: {refused}")


def write_bisection(
    reporter: pytest.TerminalReporter, bisect: Bisect, items: list[pytest.Item],
    config: pytest.Config,
) -> None:  # fmt: skip
    """Writes who makes a test fail, or pass, and how to see it."""
    ids = [item.nodeid for item in items]
    name = ids[bisect.test]
    reporter.write_sep("=", "bisection")
    finding = bisect.finding
    if finding is None or not bisect.found:
        if bisect.failed == 0:
            text = f"did not fail in {bisect.tried} orders"
        elif bisect.failed == bisect.tried:
            text = f"failed in all {bisect.tried} orders, alone too"
        else:
            text = (
                f"failed in {bisect.failed} of {bisect.tried} orders, but not each time: "
                "no test before it decides that"
            )
        reporter.write_line(f"{name}: {text}")
        return
    reporter.write_line(f"{name}: {_cause(finding, ids)}")
    option = None
    if finding["proof"] is not None:
        option = replay.option_for(finding["proof"], ids, [], config, bisect.failure)
    _write_proof(reporter, finding, option)
