// Runs over time, and one of them.
import { useMemo } from 'preact/hooks';

import { bytes, count, seconds, whole } from '../format';
import { List } from '../list';
import { type Attempt, BAD, OUTCOMES, type Outcome, type Result, type Test } from '../model';
import { Badge } from '../parts';
import { line } from '../text';
import { Timeline } from '../timeline';
import { linkToTest, useAnswer } from './ask';
import { Bars } from './charts';
import type { RunRow } from './feed';
import {
    ago,
    Answered,
    code,
    type Counts,
    Fact,
    OutcomeBar,
    sum,
    TestLink,
    told,
    when,
    Wide,
    worst,
} from './parts';

const MOST_BARS = 60;
const MOST_BAD = 100;

function runTold(run: RunRow): string {
    return `run ${run.id}, ${when(run.started)}: ${told(run.outcomes)} in ${seconds(run.wall)}`;
}

function RunTable({ runs }: { runs: RunRow[] }) {
    return (
        <Wide label="Runs">
            <table>
                <caption>{count(runs.length, 'run')}, the newest first</caption>
                <thead>
                    <tr>
                        <th scope="col">Run</th>
                        <th scope="col">Begun</th>
                        <th scope="col">Outcomes</th>
                        <th scope="col" class="number">
                            Took
                        </th>
                        <th scope="col" class="number">
                            Workers
                        </th>
                        <th scope="col">Commit</th>
                        <th scope="col">Branch</th>
                    </tr>
                </thead>
                <tbody>
                    {runs.map((run) => (
                        <tr key={run.id}>
                            <th scope="row">
                                <a href={`#/run/${run.id}`}>{run.id}</a>
                            </th>
                            <td class="when" title={when(run.started)}>
                                {ago(run.started)}
                            </td>
                            <td class="outcomes">
                                {told(run.outcomes)}
                                <OutcomeBar counts={run.outcomes} />
                            </td>
                            <td class="number">{seconds(run.wall)}</td>
                            <td class="number">{whole(run.workers)}</td>
                            <td>
                                <code>{code(run.revision)}</code>
                            </td>
                            <td>{line(run.branch) || '-'}</td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </Wide>
    );
}

export function Runs({ version }: { version: unknown }) {
    const asked = useAnswer<RunRow[]>('runs?most=200', version);
    return (
        <>
            <h2>Runs</h2>
            <Answered of={asked}>
                {(runs) => {
                    if (runs.length === 0)
                        return <p class="nothing">The history knows no run yet.</p>;
                    const bars = runs.slice(0, MOST_BARS).reverse();
                    return (
                        <>
                            <Bars
                                label={`How long the last ${count(bars.length, 'run')} took: the
                                    newest ${seconds(bars[bars.length - 1].wall)}. The table below
                                    has the numbers.`}
                                bars={bars.map((run) => ({
                                    key: run.id,
                                    value: run.wall,
                                    outcome: worst(run.outcomes),
                                    title: runTold(run),
                                    href: `#/run/${run.id}`,
                                    name: `${run.id}`,
                                }))}
                            />
                            <Legend counts={bars.map((run) => worst(run.outcomes))} />
                            <RunTable runs={runs} />
                        </>
                    );
                }}
            </Answered>
        </>
    );
}

export function Legend({ counts }: { counts: Outcome[] }) {
    const there = OUTCOMES.filter((name) => name !== 'none' && counts.includes(name));
    return (
        <ul class="legend" aria-label="Colours">
            {there.map((name) => (
                <li key={name} class={`is-${name}`}>
                    {name}
                </li>
            ))}
        </ul>
    );
}

/** A test: id, outcome, message. An attempt: place of its test, and so on. */
interface RawRun extends RunRow {
    tests: [string, Outcome, string | null][];
    attempts: [
        at: number,
        pass: number,
        attempt: number,
        worker: number,
        outcome: Outcome,
        start: number,
        duration: number,
        cpu: number,
        peak: number,
        status: number,
        message: string | null,
    ][];
}

const SIGNALS: Record<number, string> = {
    6: 'SIGABRT',
    9: 'SIGKILL',
    11: 'SIGSEGV',
    15: 'SIGTERM',
};

/** As a report's result, which the timeline draws. */
function resultOf(raw: RawRun): Result {
    const hunts = raw.attempts.some((row) => row[1] > 0);
    const tests = raw.tests.map(([id, outcome, message], index): Test => {
        const at = id.indexOf('::');
        const [file, name] = at < 0 ? ['', id] : [id.slice(0, at), id.slice(at + 2)];
        const text = message ?? undefined;
        return { id, outcome, message: text, attempts: [], index, file, name, time: 0, lower: '' };
    });
    for (const row of raw.attempts) {
        const [at, pass, attempt, worker, outcome, start, duration, cpu, peak, status] = row;
        const signal = status & 0x7f;
        const one: Attempt = {
            outcome,
            attempt,
            pass: hunts ? pass : undefined,
            start,
            duration,
            cpu,
            peak_memory: peak,
            worker: `gw${worker}`,
            signal: signal ? (SIGNALS[signal] ?? `signal ${signal}`) : undefined,
            message: row[10] ?? undefined,
        };
        tests[at].attempts.push(one);
        tests[at].time += duration;
    }
    const { started, wall, workers } = raw;
    return { version: '', run: { started, wall, workers }, summary: { ...raw.outcomes }, tests };
}

function Failed({ tests }: { tests: Test[] }) {
    if (tests.length === 0) return <p class="nothing">Nothing failed.</p>;
    return (
        <Wide label="What failed">
            <table>
                <caption>
                    {count(tests.length, 'test')}
                    {tests.length > MOST_BAD && `, the first ${MOST_BAD} of them`}
                </caption>
                <thead>
                    <tr>
                        <th scope="col">Outcome</th>
                        <th scope="col">Test</th>
                        <th scope="col">Message</th>
                        <th scope="col" class="number">
                            Time
                        </th>
                        <th scope="col" class="number">
                            Memory
                        </th>
                    </tr>
                </thead>
                <tbody>
                    {tests.slice(0, MOST_BAD).map((test) => (
                        <tr key={test.index}>
                            <td>
                                <Badge outcome={test.outcome} />
                            </td>
                            <td class="name">
                                <TestLink id={test.id} />
                                {test.attempts.length > 1 && (
                                    <small> {count(test.attempts.length, 'attempt')}</small>
                                )}
                            </td>
                            <td class="message">{messageOf(test)}</td>
                            <td class="number">{seconds(test.time)}</td>
                            <td class="number">
                                {bytes(Math.max(0, ...test.attempts.map((a) => a.peak_memory)))}
                            </td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </Wide>
    );
}

function messageOf(test: Test): string {
    const found = test.message ?? test.attempts.findLast((a) => a.message)?.message ?? '';
    const first = found.split('\n', 1)[0];
    return line(first.length > 300 ? `${first.slice(0, 300)}…` : first);
}

function AllTests({ tests }: { tests: Test[] }) {
    return (
        <List
            count={tests.length}
            rowHeight={34}
            label="Tests"
            head={
                <>
                    <span role="columnheader">Outcome</span>
                    <span role="columnheader">Test</span>
                    <span role="columnheader" class="number">
                        Time
                    </span>
                </>
            }
            row={(index) => (
                <>
                    <span role="cell">
                        <Badge outcome={tests[index].outcome} />
                    </span>
                    <span role="cell" class="name" title={line(tests[index].id)}>
                        <TestLink id={tests[index].id} />
                    </span>
                    <span role="cell" class="number">
                        {seconds(tests[index].time)}
                    </span>
                </>
            )}
        />
    );
}

function RunOf({ raw }: { raw: RawRun }) {
    const result = useMemo(() => resultOf(raw), [raw]);
    const bad = result.tests.filter((test) => BAD.includes(test.outcome));
    const slow = useMemo(() => [...result.tests].sort((a, b) => b.time - a.time), [result]);
    const counts = raw.outcomes as Counts;
    return (
        <>
            <OutcomeBar counts={counts} />
            <dl class="facts big">
                <Fact name="Outcomes">{told(counts)}</Fact>
                <Fact name="Tests">{whole(sum(counts))}</Fact>
                <Fact name="Ran tests for">{seconds(raw.wall)}</Fact>
                <Fact name="Workers">{whole(raw.workers)}</Fact>
            </dl>
            <dl class="facts">
                <Fact name="Begun">{when(raw.started)}</Fact>
                <Fact name="Commit">
                    <code>{line(raw.revision) || 'unknown'}</code>
                </Fact>
                <Fact name="Branch">{line(raw.branch) || '-'}</Fact>
            </dl>
            <Timeline result={result} link={(test) => linkToTest(test.id)} />
            <h2>What failed</h2>
            <Failed tests={bad} />
            <h2>All tests, the slowest first</h2>
            <AllTests tests={slow} />
        </>
    );
}

export function RunPage({ id }: { id: string }) {
    const asked = useAnswer<RawRun>(`run?id=${encodeURIComponent(id)}`);
    return (
        <>
            <h2 tabIndex={-1}>Run {line(id)}</h2>
            <Answered of={asked}>{(raw) => <RunOf raw={raw} />}</Answered>
        </>
    );
}
