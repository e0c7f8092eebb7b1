// What runs now: what each worker does, and how long it will take.
import { bytes, count, percent, seconds, whole } from '../format';
import { hasFailed, type Outcome } from '../model';
import { line } from '../text';
import type { LiveRun, Machine, Running, RunRow, Topics, Unreadable } from './feed';
import {
    Action,
    ago,
    Fact,
    OutcomeBar,
    Problem,
    sum,
    TestLink,
    told,
    when,
    Wide,
    worst,
} from './parts';

const STATES = { running: 'running', silent: 'says nothing', dead: 'was killed' };
const COLOURS = { running: 'is-flaky', silent: 'is-timeout', dead: 'is-crashed' };

const title = (run: LiveRun): string =>
    `${line(run.kind) || 'a run'}${run.name ? ` ${line(run.name)}` : ''}`;

/** In tenths, so that those who hear it are not told of every test. */
function spoken(run: LiveRun): string {
    if (run.state === 'dead') return `${title(run)} was killed`;
    const failed = Object.entries(run.outcomes).reduce(
        (n, [name, more]) => n + (hasFailed(name as Outcome) ? more : 0),
        0,
    );
    const tenths = run.all > 0 ? Math.floor((10 * run.done) / run.all) : 0;
    return `${title(run)}: ${tenths * 10} % done${failed > 0 ? `, ${whole(failed)} failed` : ''}`;
}

interface RowProps {
    one: Running;
    machine?: Machine;
    over: boolean;
    /** Whether the history knows what runs: of a layer's command it does not. */
    links: boolean;
}

function Row({ one, machine, over, links }: RowProps) {
    const expected = one.expected_s ?? 0;
    const share = expected > 0 ? Math.min(1, one.seconds / expected) : 0;
    const memory = machine?.processes[one.pid];
    const late = expected > 0 && one.seconds > 2 * expected + 1;
    return (
        <tr>
            <td>gw{one.worker}</td>
            <td class="name">
                {!over && expected > 0 && (
                    <span class="length" aria-hidden="true" style={{ width: `${100 * share}%` }} />
                )}
                {links ? <TestLink id={one.id} /> : line(one.id)}
                {one.attempt > 1 && <span class="mark">attempt {one.attempt}</span>}
                {one.pass > 0 && <span class="mark">pass {one.pass + 1}</span>}
            </td>
            <td>{line(one.phase)}</td>
            <td class={`number ${late ? 'late' : ''}`}>{seconds(one.seconds)}</td>
            <td class="number">{expected > 0 ? seconds(expected) : '-'}</td>
            {!over && <td class="number">{memory ? bytes(memory) : '-'}</td>}
        </tr>
    );
}

function LiveCard({ run, machine }: { run: LiveRun; machine?: Machine }) {
    const over = run.state === 'dead';
    const share = run.all > 0 ? Math.min(1, run.done / run.all) : 0;
    const passed = run.told - run.started;
    return (
        <article class={`card ${over ? 'over' : ''}`} aria-label={title(run)}>
            <h3>
                {title(run)}{' '}
                <span class={`verdict fill ${COLOURS[run.state]}`}>{STATES[run.state]}</span>
            </h3>
            <p class="small">
                <code>{line(run.command.join(' '))}</code> in {line(run.folder)}, process {run.pid}
            </p>
            <div
                role="progressbar"
                aria-label={`Progress of ${title(run)}`}
                aria-valuemin={0}
                aria-valuemax={100}
                aria-valuenow={Math.round(100 * share)}
                aria-valuetext={`${whole(run.done)} of ${whole(run.all)}`}
            >
                <OutcomeBar counts={run.outcomes} all={run.all} />
            </div>
            <dl class="facts big">
                <Fact name="Done">
                    {whole(run.done)} of {whole(run.all)}
                </Fact>
                <Fact name="Outcomes">{sum(run.outcomes) > 0 ? told(run.outcomes) : '-'}</Fact>
                <Fact name={over ? 'Ran for' : 'Runs for'}>{seconds(Math.max(0, passed))}</Fact>
                {!over && (
                    <Fact name="Left">
                        {run.left_s === null ? 'unknown' : `about ${seconds(run.left_s)}`}
                    </Fact>
                )}
                <Fact name="Workers">{whole(run.workers)}</Fact>
            </dl>
            {over && (
                <p>
                    It was killed, {when(run.told)}. Below is what it was running at that moment.{' '}
                    <Action
                        name="dismiss"
                        asked={() => ({ id: run.id })}
                        label={`Forget ${title(run)}, process ${run.pid}`}
                    >
                        forget it
                    </Action>
                </p>
            )}
            {run.state === 'silent' && (
                <p>It last told something {ago(run.told)}: is it stopped, or the machine busy?</p>
            )}
            {run.running.length > 0 ? (
                <Wide label={`What ${title(run)} runs`}>
                    <table>
                        <caption>
                            {over ? 'It was running' : 'Running:'} {whole(run.running.length)}, the
                            longest first
                        </caption>
                        <thead>
                            <tr>
                                <th scope="col">Worker</th>
                                <th scope="col">Test</th>
                                <th scope="col">Phase</th>
                                <th scope="col" class="number">
                                    Time
                                </th>
                                <th scope="col" class="number">
                                    Expected
                                </th>
                                {!over && (
                                    <th scope="col" class="number">
                                        Memory
                                    </th>
                                )}
                            </tr>
                        </thead>
                        <tbody>
                            {run.running.map((one) => (
                                <Row
                                    key={`${one.worker} ${one.id} ${one.pass} ${one.attempt}`}
                                    one={one}
                                    machine={machine}
                                    over={over}
                                    links={run.kind !== 'qe layer'}
                                />
                            ))}
                        </tbody>
                    </table>
                </Wide>
            ) : (
                <p class="nothing">{over ? 'Nothing.' : 'No test runs at this moment.'}</p>
            )}
        </article>
    );
}

function Broken({ file }: { file: Unreadable }) {
    return (
        <div class="card over">
            <Problem text={file.trouble} />
            <Action name="dismiss" asked={() => ({ id: file.id })} label={`Forget ${file.id}`}>
                forget it
            </Action>
        </div>
    );
}

function Busy({ machine }: { machine: Machine }) {
    return (
        <dl class="facts">
            <Fact name="Processors busy">
                {percent(machine.busy / 100)} of {machine.cpus}
            </Fact>
            <Fact name="Load, of 1, 5 and 15 min">
                {machine.load.map((load) => load.toFixed(1)).join('  ')}
            </Fact>
            <Fact name="Memory used">
                {bytes(machine.used)} of {bytes(machine.memory)}
            </Fact>
        </dl>
    );
}

export function LatestRun({ run }: { run: RunRow }) {
    return (
        <div class={`card latest is-${worst(run.outcomes)}`}>
            <p>
                <a href={`#/run/${run.id}`}>Run {run.id}</a>, {ago(run.started)}:{' '}
                {told(run.outcomes)} in {seconds(run.wall)}, {count(run.workers, 'worker')}
            </p>
            <OutcomeBar counts={run.outcomes} />
        </div>
    );
}

export function Now({ feed }: { feed: Topics }) {
    const runs = feed.live ?? [];
    const readable = runs.filter((run): run is LiveRun => run.state !== 'unreadable');
    const { history, machine } = feed;
    return (
        <>
            <h2>Now</h2>
            <p class="heard" role="status" aria-live="polite">
                {readable.map(spoken).join('. ') || 'Nothing runs.'}
            </p>
            {feed.live !== undefined && runs.length === 0 && (
                <p class="nothing">
                    Nothing runs now. A run shows up here once it has taken half a second.
                </p>
            )}
            {runs.map((run) =>
                run.state === 'unreadable' ? (
                    <Broken key={run.id} file={run} />
                ) : (
                    <LiveCard key={run.id} run={run} machine={machine} />
                ),
            )}
            <h2>Machine</h2>
            {machine ? <Busy machine={machine} /> : <p class="nothing">Asking ...</p>}
            <h2>The last run</h2>
            {history?.latest ? (
                <LatestRun run={history.latest} />
            ) : (
                <p class="nothing">
                    {history?.state === 'ok' ? 'The history knows no run yet.' : 'None is known.'}
                </p>
            )}
        </>
    );
}
