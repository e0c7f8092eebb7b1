// What a hunt found: every suspect, why, and how to see it again.
import { useMemo } from 'preact/hooks';

import { count, percent } from './format';
import { passesOf, type Result, type Test, type Verdict, type Why } from './model';
import { Command, linkTo } from './parts';
import { line } from './text';

const VERDICTS = { confirmed: 'flaky', suspect: 'suspect', 'stable-fail': 'always fails' };
const MOST_MARKS = 200;

const CAUSES: Record<string, string> = {
    unknown: 'not found',
    order: 'it fails after other tests',
    brittle: 'it needs other tests before it',
    self: 'it fails when it runs again in the same process',
    files: 'files that are left over',
    hash: 'the hash seed',
    random: 'the seed of random generators',
    time: 'the clock',
    timing: 'timing',
    neighbours: 'tests that run beside it',
    network: 'the network',
    resources: 'scarce resources',
    locale: 'the locale',
};

interface Suspect {
    test: Test;
    verdict: Verdict;
}

/** Those with a verdict; of a hunt without verdicts those that both passed and failed. */
function suspectsOf(result: Result): Suspect[] {
    const order = Object.keys(VERDICTS);
    const verdicts = result.run.hunt?.tests;
    const found: Suspect[] = [];
    for (const test of result.tests) {
        const verdict = verdicts?.[test.id];
        if (verdict && order.includes(verdict.verdict)) found.push({ test, verdict });
        else if (!verdicts && test.flakiness?.is_flaky)
            found.push({ test, verdict: { verdict: 'suspect', ...test.flakiness } });
    }
    return found.sort(
        (a, b) => order.indexOf(a.verdict.verdict) - order.indexOf(b.verdict.verdict),
    );
}

export const isHunt = (result: Result): boolean =>
    result.run.hunt !== undefined || result.tests.some((test) => test.flakiness !== undefined);

function Sequence({ test }: { test: Test }) {
    const all = passesOf(test);
    const shown = all.slice(0, MOST_MARKS);
    const failed = all.filter((one) => !one.passed).length;
    return (
        <div
            class="sequence"
            role="img"
            aria-label={`${failed} of ${all.length} passes failed, in their order`}
        >
            {shown.map((one, i) => (
                <span
                    key={i}
                    class={one.passed ? 'is-passed' : 'is-failed'}
                    title={`pass ${one.pass + 1}: ${one.passed ? 'passed' : 'failed'}`}
                />
            ))}
            {all.length > shown.length && ` and ${all.length - shown.length} more`}
        </div>
    );
}

function Conditions({ test, result }: { test: Test; result: Result }) {
    const rows = useMemo(() => {
        const names = new Map(result.run.hunt?.passes.map((p) => [p.number, p.condition]));
        const by = new Map<string, { failed: number; runs: number }>();
        for (const one of passesOf(test)) {
            const name = names.get(one.pass);
            if (name === undefined) continue;
            const row = by.get(name) ?? { failed: 0, runs: 0 };
            row.runs++;
            row.failed += one.passed ? 0 : 1;
            by.set(name, row);
        }
        return [...by].sort(([, a], [, b]) => b.failed / b.runs - a.failed / a.runs);
    }, [test, result]);
    if (rows.length === 0) return null;
    return (
        <table class="conditions">
            <caption>By condition</caption>
            <thead>
                <tr>
                    <th scope="col">Condition</th>
                    <th scope="col" class="number">
                        Failed
                    </th>
                    <th scope="col" class="number">
                        Runs
                    </th>
                </tr>
            </thead>
            <tbody>
                {rows.map(([name, row]) => (
                    <tr key={name}>
                        <th scope="row">{line(name)}</th>
                        <td class="number">{row.failed}</td>
                        <td class="number">{row.runs}</td>
                    </tr>
                ))}
            </tbody>
        </table>
    );
}

function Cause({ why }: { why: Why }) {
    return (
        <>
            <p>
                <strong>Cause:</strong> {CAUSES[why.cause] ?? line(why.cause)}
                {why.with && why.without && (
                    <>
                        {' '}
                        ({line(why.with.name)}: failed {why.with.failed} of{' '}
                        {why.with.failed + why.with.passed}; {line(why.without.name)}: failed{' '}
                        {why.without.failed} of {why.without.failed + why.without.passed}; p ={' '}
                        {why.p.toPrecision(2)})
                    </>
                )}
            </p>
            {why.culprits.length > 0 && (
                <ul class="culprits" aria-label="Tests that decide it">
                    {why.culprits.map((id) => (
                        <li key={id}>
                            <code>{line(id)}</code>
                        </li>
                    ))}
                </ul>
            )}
            {why.replay && why.replay.failed > 0 && (
                <>
                    <Command text={why.replay.command ?? why.replay.option} />
                    <p class="small">
                        It failed {why.replay.failed} of {why.replay.runs} times that way.
                    </p>
                </>
            )}
        </>
    );
}

function Rate({ verdict }: { verdict: Verdict }) {
    const { failures, passes, interval } = verdict;
    const runs = failures + passes;
    return (
        <p>
            failed {failures} of {runs} ({percent(runs > 0 ? failures / runs : 0)}
            {interval && `, between ${percent(interval[0])} and ${percent(interval[1])}`})
        </p>
    );
}

export function Flaky({ result }: { result: Result }) {
    const suspects = useMemo(() => suspectsOf(result), [result]);
    const { hunt } = result.run;
    const passes = hunt?.passes.length ?? Number(result.run.passes ?? 0);
    const spent = hunt?.executions === undefined ? '' : `${count(hunt.executions, 'run')} in `;
    return (
        <>
            <h2>{count(suspects.length, 'suspect')}</h2>
            <p>
                {spent}
                {count(passes, 'pass', 'passes')} over {count(result.tests.length, 'test')}.
            </p>
            {suspects.map(({ test, verdict }) => (
                <article key={test.index} class={`suspect ${verdict.verdict}`}>
                    <h3>
                        <span class="verdict">{VERDICTS[verdict.verdict]}</span>{' '}
                        <a href={linkTo(test)}>{line(test.id)}</a>
                    </h3>
                    <Rate verdict={verdict} />
                    <Sequence test={test} />
                    {verdict.why && <Cause why={verdict.why} />}
                    <Conditions test={test} result={result} />
                </article>
            ))}
        </>
    );
}
