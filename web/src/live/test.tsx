// One test: how often it failed and how long it took, over time.
import { count, percent, seconds, whole } from '../format';
import type { Outcome } from '../model';
import { Badge } from '../parts';
import { line } from '../text';
import { useAnswer } from './ask';
import { Dots, Interval, Rates } from './charts';
import { HoldForm } from './held';
import { Answered, code, Fact, rateTold, timeOrNone, when, Wide } from './parts';
import { Legend } from './runs';

const MOST_DOTS = 150;
const MOST_ROWS = 50;

interface Rate {
    runs: number;
    failures: number;
    rate?: number;
    low?: number;
    high?: number;
}

interface Row extends Rate {
    label: string;
    recovered: number;
    first: number | null;
    last: number | null;
    mean_s: number | null;
    longest_s: number | null;
}

interface Execution {
    run: number;
    run_started: number;
    revision: string;
    branch: string;
    pass: number;
    attempt: number;
    outcome: Outcome;
    start: number;
    duration: number;
    peak_memory: number;
    message: string | null;
}

interface Known {
    id: string;
    all: Rate;
    clean: number;
    days: Row[];
    commits: Row[];
    executions: Execution[];
    most: number;
    change: {
        p: number;
        before: number;
        after: number;
        run: number;
        when: number;
        from: string;
        to: string;
    } | null;
}

const rated = <T extends Rate>(row: T): row is T & Required<Rate> => row.rate !== undefined;

function Change({ change }: { change: NonNullable<Known['change']> }) {
    const word = change.after > change.before ? 'worse' : 'better';
    return (
        <p class="bound">
            <strong>It has become {word}</strong> with{' '}
            <a href={`#/run/${change.run}`}>run {change.run}</a>, {when(change.when)}: it failed in{' '}
            {percent(change.before)} of its executions before, and in {percent(change.after)} since
            then (p = {change.p.toPrecision(2)}).{' '}
            {change.from !== change.to ? (
                <>
                    The commit went from <code>{code(change.from)}</code> to{' '}
                    <code>{code(change.to)}</code>.
                </>
            ) : (
                'The commit was the same, so something else has changed.'
            )}
        </p>
    );
}

function Commits({ rows }: { rows: Row[] }) {
    return (
        <Wide label="By commit">
            <table>
                <caption>By commit, the newest first</caption>
                <thead>
                    <tr>
                        <th scope="col">Commit</th>
                        <th scope="col">First run</th>
                        <th scope="col" class="number">
                            Runs
                        </th>
                        <th scope="col" class="number">
                            Failures
                        </th>
                        <th scope="col">Failure rate, 95 % interval</th>
                        <th scope="col" class="number">
                            Mean time
                        </th>
                        <th scope="col" class="number">
                            Longest
                        </th>
                    </tr>
                </thead>
                <tbody>
                    {[...rows].reverse().map((row) => (
                        <tr key={row.label}>
                            <th scope="row">
                                <code>{code(row.label)}</code>
                            </th>
                            <td class="when">{row.first === null ? '-' : when(row.first)}</td>
                            <td class="number">{whole(row.runs)}</td>
                            <td class="number">
                                {whole(row.failures)}
                                {row.recovered > 0 && <small> ({row.recovered} recovered)</small>}
                            </td>
                            <td>
                                {rated(row) && (
                                    <>
                                        <Interval {...row} />{' '}
                                        {rateTold(row.rate, row.low, row.high)}
                                    </>
                                )}
                            </td>
                            <td class="number">{timeOrNone(row.mean_s)}</td>
                            <td class="number">{timeOrNone(row.longest_s)}</td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </Wide>
    );
}

function Executions({ all }: { all: Execution[] }) {
    return (
        <Wide label="Executions">
            <table>
                <caption>
                    The last {count(Math.min(all.length, MOST_ROWS), 'execution')}, the newest first
                </caption>
                <thead>
                    <tr>
                        <th scope="col">Run</th>
                        <th scope="col">Outcome</th>
                        <th scope="col" class="number">
                            Time
                        </th>
                        <th scope="col">Begun</th>
                        <th scope="col">Commit</th>
                        <th scope="col">Message</th>
                    </tr>
                </thead>
                <tbody>
                    {all.slice(0, MOST_ROWS).map((one, i) => (
                        <tr key={i}>
                            <th scope="row">
                                <a href={`#/run/${one.run}`}>{one.run}</a>
                                {one.pass > 0 && <small> pass {one.pass + 1}</small>}
                                {one.attempt > 1 && <small> attempt {one.attempt}</small>}
                            </th>
                            <td>
                                <Badge outcome={one.outcome} />
                            </td>
                            <td class="number">{seconds(one.duration)}</td>
                            <td class="when">{when(one.start)}</td>
                            <td>
                                <code>{code(one.revision)}</code>
                            </td>
                            <td class="message">
                                {line((one.message ?? '').split('\n', 1)[0].slice(0, 300))}
                            </td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </Wide>
    );
}

function KnownTest({ known }: { known: Known }) {
    const { all, executions } = known;
    const dots = executions.slice(0, MOST_DOTS).reverse();
    const days = known.days.filter(rated);
    return (
        <>
            <dl class="facts big">
                <Fact name="Executions">{whole(all.runs)}</Fact>
                <Fact name="Failures">{whole(all.failures)}</Fact>
                <Fact name="Failure rate, 95 % interval">
                    {rated(all) ? rateTold(all.rate, all.low, all.high) : '-'}
                </Fact>
                <Fact name="Passed in a row">{whole(known.clean)}</Fact>
                <Fact name="Last time">
                    {executions.length > 0 ? seconds(executions[0].duration) : '-'}
                </Fact>
            </dl>
            {known.change && <Change change={known.change} />}
            <h3>How long it took</h3>
            <Dots
                label={`Durations of the last ${count(dots.length, 'execution')}; the last took
                    ${seconds(dots[dots.length - 1].duration)}. The table below has them.`}
                dots={dots.map((one, i) => ({
                    key: `${i}`,
                    value: one.duration,
                    outcome: one.outcome,
                    title: `${one.outcome}, ${seconds(one.duration)}, run ${one.run}, ${when(one.start)}`,
                }))}
            />
            <Legend counts={dots.map((one) => one.outcome)} />
            <h3>How often it failed, by day</h3>
            {days.length > 0 ? (
                <Rates
                    label={`Failure rates of ${count(days.length, 'day')} with their intervals; the
                        last ${rateTold(days[days.length - 1].rate, days[days.length - 1].low, days[days.length - 1].high)}.`}
                    rates={days.map((day) => ({
                        name: line(day.label) || 'unknown',
                        rate: day.rate,
                        low: day.low,
                        high: day.high,
                        title: `${line(day.label)}: ${day.failures} of ${count(day.runs, 'execution')} failed, ${rateTold(day.rate, day.low, day.high)}`,
                    }))}
                />
            ) : (
                <p class="nothing">It never ran to its end.</p>
            )}
            <Commits rows={known.commits} />
            <Executions all={executions} />
        </>
    );
}

/** @param arg the id, as it stands in an address */
export function TestPage({ arg, version }: { arg: string; version: unknown }) {
    const asked = useAnswer<Known>(`test?id=${arg}`, version);
    const id = asked.value?.id ?? decoded(arg);
    return (
        <>
            <h2 tabIndex={-1}>{line(id)}</h2>
            <Answered of={asked}>{(known) => <KnownTest known={known} />}</Answered>
            <HoldForm test={id} />
        </>
    );
}

function decoded(arg: string): string {
    try {
        return decodeURIComponent(arg);
    } catch {
        return arg;
    }
}
