// What a hunt found: every suspect, why, and how to see it again.
import { useMemo } from 'preact/hooks';

import { count, percent } from './format';
import {
    type Condition,
    distinct,
    passesOf,
    type Result,
    type Test,
    type Verdict,
    type Why,
    words,
} from './model';
import { Command, linkTo } from './parts';
import { line } from './text';

const VERDICTS = { confirmed: 'flaky', suspect: 'suspect', 'stable-fail': 'always fails' };
const MOST_MARKS = 200;
const MOST_ROWS = 200;

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
    conditions: Condition[];
}

/** Those with a verdict; of a hunt without verdicts those that both passed and failed. */
function suspectsOf(result: Result): Suspect[] {
    const order = Object.keys(VERDICTS);
    const verdicts = result.run.hunt?.tests;
    const names = new Map(result.run.hunt?.passes.map((p) => [p.number, p.condition]));
    const found: Suspect[] = [];
    const add = (test: Test, verdict: Verdict) =>
        found.push({ test, verdict, conditions: conditionsOf(test, names) });
    for (const test of result.tests) {
        const verdict = verdicts?.[test.id];
        if (verdict && order.includes(verdict.verdict)) add(test, verdict);
        else if (!verdicts && test.flakiness?.is_flaky)
            add(test, { verdict: 'suspect', ...test.flakiness });
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

/** How a test fared under each condition, by those of its passes. */
function conditionsOf(test: Test, names: Map<number, string>): Condition[] {
    const by = new Map<string, Condition>();
    for (const one of passesOf(test)) {
        const name = names.get(one.pass);
        if (name === undefined) continue;
        const row = by.get(name) ?? { name, failed: 0, runs: 0 };
        row.runs++;
        row.failed += one.passed ? 0 : 1;
        by.set(name, row);
    }
    return [...by.values()].sort((a, b) => b.failed / b.runs - a.failed / a.runs);
}

function Conditions({ rows }: { rows: Condition[] }) {
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
                {rows.map((row) => (
                    <tr key={row.name}>
                        <th scope="row">{line(row.name)}</th>
                        <td class="number">{row.failed}</td>
                        <td class="number">{row.runs}</td>
                    </tr>
                ))}
            </tbody>
        </table>
    );
}

/** Suspects against conditions: what they have in common is seen at once. */
function Matrix({ suspects }: { suspects: Suspect[] }) {
    const names = distinct(suspects, (one) => one.conditions.map(({ name }) => name));
    if (suspects.length < 2 || names.length < 2) return null;
    return (
        <div class="matrix">
            <table>
                <caption>Failures of runs, by condition</caption>
                <thead>
                    <tr>
                        <th scope="col">Suspect</th>
                        {names.map((name) => (
                            <th key={name} scope="col" class="number">
                                {line(name)}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {suspects.slice(0, MOST_ROWS).map(({ test, conditions }) => (
                        <tr key={test.index}>
                            <th scope="row">
                                <a href={linkTo(test)}>{line(test.id)}</a>
                            </th>
                            {names.map((name) => {
                                const one = conditions.find((row) => row.name === name);
                                return (
                                    <td key={name} class={one?.failed ? 'number failed' : 'number'}>
                                        {one ? `${one.failed}/${one.runs}` : ''}
                                    </td>
                                );
                            })}
                        </tr>
                    ))}
                </tbody>
            </table>
            {suspects.length > MOST_ROWS && <p>and {suspects.length - MOST_ROWS} more</p>}
        </div>
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

/** Its cause: by the hunt, or, of a file, by a hunt within it. */
function Causes({ verdict }: { verdict: Verdict }) {
    return (
        <>
            {verdict.why && <Cause why={verdict.why} />}
            {verdict.inside?.map((why) => (
                <section key={why.test} class="within">
                    <h4>{line(why.test)}</h4>
                    <Cause why={why} />
                    <Conditions rows={why.conditions} />
                </section>
            ))}
            {(verdict.likely?.length ?? 0) > 0 && (
                <ul class="likely" aria-label="What may be the cause">
                    {verdict.likely?.map(({ cause, says }) => (
                        <li key={cause}>
                            {line(cause)}: {line(says)}
                        </li>
                    ))}
                </ul>
            )}
        </>
    );
}

function One({ suspect: { test, verdict, conditions } }: { suspect: Suspect }) {
    return (
        <article class={`suspect ${verdict.verdict}`}>
            <h3>
                <span class="verdict">{VERDICTS[verdict.verdict]}</span>{' '}
                <a href={linkTo(test)}>{line(test.id)}</a>
            </h3>
            <Rate verdict={verdict} />
            <Sequence test={test} />
            {verdict.pattern && <p class="small">pattern: {line(verdict.pattern)}</p>}
            <Causes verdict={verdict} />
            <Conditions rows={conditions} />
            {verdict.command && (
                <>
                    <p class="small">Run it alone:</p>
                    <Command text={verdict.command} />
                </>
            )}
        </article>
    );
}

export function Flaky({ result }: { result: Result }) {
    const suspects = useMemo(() => suspectsOf(result), [result]);
    const { hunt } = result.run;
    const { one, many } = words(result);
    const passes = hunt?.passes.length ?? Number(result.run.passes ?? 0);
    const spent = hunt?.executions === undefined ? '' : `${count(hunt.executions, 'run')} in `;
    return (
        <>
            <h2>{count(suspects.length, 'suspect')}</h2>
            <p>
                {spent}
                {count(passes, 'pass', 'passes')} over {count(result.tests.length, one, many)}.
            </p>
            <Matrix suspects={suspects} />
            {suspects.map((suspect) => (
                <One key={suspect.test.index} suspect={suspect} />
            ))}
        </>
    );
}
