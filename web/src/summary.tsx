// What came of the run, and what its time went into.
import type { ComponentChildren } from 'preact';

import { count, percent, seconds, whole } from './format';
import { OUTCOMES, type Result, type Test, words } from './model';
import { linkTo } from './parts';
import { Block, line } from './text';

/** More of them have one cause, as a rule. */
const MOST_ERRORS = 50;

interface Times {
    wall: number;
    work: number;
    workers: number;
    collection: number;
    interrupted: boolean;
    stopped?: string;
    longest?: Test;
    one: string;
    many: string;
}

function timesOf(result: Result): Times {
    const { run, tests } = result;
    const names = new Set(tests.flatMap((t) => t.attempts.map((a) => a.worker)));
    let longest: Test | undefined;
    for (const test of tests) if (!longest || test.time > longest.time) longest = test;
    return {
        wall: run.wall ?? 0,
        work: run.test_time ?? tests.reduce((sum, test) => sum + test.time, 0),
        workers: run.workers ?? names.size,
        collection: run.collection ?? 0,
        interrupted: run.interrupted ?? false,
        stopped: run.stopped,
        longest,
        ...words(result),
    };
}

/** What more or fewer workers, or a faster test, would change. */
function bound(times: Times, hunts: boolean): ComponentChildren {
    const { wall, work, workers, collection, longest, one, many } = times;
    if (wall <= 0 || !longest) return `No ${one} was run.`;
    if (hunts) return 'The hunt: fresh processes for its passes and experiments take most of it.';
    if (times.interrupted) return `An interruption: it ended before all ${many} had.`;
    if (times.stopped) return `The run was cut short: ${times.stopped}.`;
    const idle = Math.max(0, 1 - work / (wall * Math.max(1, workers)));
    const test = <a href={linkTo(longest)}>{line(longest.name)}</a>;
    if (workers > 1 && longest.time >= 0.75 * wall) {
        return (
            <>
                The longest {one}: {test} took {seconds(longest.time)},{' '}
                {percent(longest.time / wall)} of the wall time. No number of workers makes the run
                shorter than that.
            </>
        );
    }
    if (collection > wall) {
        return (
            <>
                Collection: it took {seconds(collection)}, longer than the tests themselves. Imports
                of test files and conftests are what to look at.
            </>
        );
    }
    if (idle > 0.3) {
        return (
            <>
                Idle workers: they ran {many} {percent(1 - idle)} of the time. Starting them, set-up
                that is shared, groups of tests that stay together, or waiting between retries took
                the rest.
            </>
        );
    }
    return (
        <>
            The work itself: {count(workers, 'worker')} ran {many} {percent(1 - idle)} of the time.
            More workers, or faster {many}, make the run shorter.
        </>
    );
}

function Bar({ result }: { result: Result }) {
    const total = result.tests.length;
    if (total === 0) return null;
    return (
        <div class="bar" aria-hidden="true">
            {OUTCOMES.map((name) => {
                const n = result.summary[name] ?? 0;
                return (
                    n > 0 && (
                        <span key={name} class={`fill is-${name}`} style={{ flexGrow: `${n}` }} />
                    )
                );
            })}
        </div>
    );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
    return (
        <div>
            <dt>{name}</dt>
            <dd>{children}</dd>
        </div>
    );
}

const TOLD: [string, string][] = [
    ['framework', 'Framework'],
    ['seed', 'Seed'],
    ['revision', 'Revision'],
    ['branch', 'Branch'],
    ['python', 'Python'],
    ['pytest', 'pytest'],
];

export function Summary({ result }: { result: Result }) {
    const times = timesOf(result);
    const { run } = result;
    const { one } = words(result);
    const began = run.started ? new Date(run.started * 1000) : undefined;
    return (
        <>
            <h2>Outcomes</h2>
            <Bar result={result} />
            <ul class="tiles">
                {OUTCOMES.filter((name) => (result.summary[name] ?? 0) > 0).map((name) => (
                    <li key={name}>
                        <a class={`tile is-${name}`} href={`#/tests/${name}`}>
                            <strong>{whole(result.summary[name])}</strong> {name}
                        </a>
                    </li>
                ))}
            </ul>
            {run.collection_errors && (
                <>
                    <h2>{count(run.collection_errors.length, 'collection error')}</h2>
                    {run.collection_errors.slice(0, MOST_ERRORS).map(({ id, text }) => (
                        <section key={id} class="left">
                            <h3>{line(id)}</h3>
                            <Block text={text} kind="failure" label={`Why ${line(id)} failed`} />
                        </section>
                    ))}
                    {run.collection_errors.length > MOST_ERRORS && (
                        <p class="left-out">
                            The first {MOST_ERRORS} are shown; the terminal had all.
                        </p>
                    )}
                </>
            )}
            <h2>Time</h2>
            <dl class="facts big">
                <Fact name="Wall time">{seconds(times.wall)}</Fact>
                <Fact name={`Sum of ${one} times`}>{seconds(times.work)}</Fact>
                <Fact name="Speed-up">
                    {times.wall > 0 ? `${(times.work / times.wall).toFixed(1)}×` : '-'}
                </Fact>
                {!run.lanes && <Fact name="Workers">{whole(times.workers)}</Fact>}
                {run.of === undefined && <Fact name="Collection">{seconds(times.collection)}</Fact>}
            </dl>
            <p class="bound">
                <strong>What bounded the wall time.</strong>{' '}
                {bound(times, run.hunt !== undefined && run.of === undefined)}
            </p>
            {run.warnings?.map((text) => (
                <p key={text} class="warning">
                    Warning: {line(text)}
                </p>
            ))}
            <h2>Run</h2>
            <dl class="facts">
                {began && <Fact name="Started">{began.toLocaleString()}</Fact>}
                {TOLD.map(
                    ([key, name]) =>
                        run[key] !== undefined && (
                            <Fact key={key} name={name}>
                                {line(String(run[key]))}
                            </Fact>
                        ),
                )}
                <Fact name="QE">{result.version}</Fact>
            </dl>
        </>
    );
}
