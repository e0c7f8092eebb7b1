// Quarantine: tests whose failures do not count for a while.
import { useReducer, useState } from 'preact/hooks';

import { count } from '../format';
import { line } from '../text';
import { act, useAnswer, useToken } from './ask';
import { Action, Answered, TestLink, Wide } from './parts';

const CLEAN_RUNS = 59;

interface Entry {
    id: string;
    owner: string;
    reason: string;
    expires: string;
    since?: string;
    evidence?: string;
    clean: number | null;
    state: 'held' | 'expired' | 'may be released';
}

interface Held {
    file: string | null;
    entries: Entry[];
}

/** Days from today to the last day on which an entry holds. */
function daysTo(expires: string): number {
    const today = new Date();
    const [year, month, day] = expires.split('-').map(Number);
    const begin = Date.UTC(today.getFullYear(), today.getMonth(), today.getDate());
    return Math.round((Date.UTC(year, month - 1, day) - begin) / 86_400_000);
}

function left(expires: string): string {
    const days = daysTo(expires);
    if (Number.isNaN(days)) return '';
    if (days < 0) return `${count(-days, 'day')} ago`;
    return days === 0 ? 'today' : `in ${count(days, 'day')}`;
}

const COLOURS = { held: 'is-flaky', expired: 'is-failed', 'may be released': 'is-passed' };

function Entries({ entries, changed }: { entries: Entry[]; changed: () => void }) {
    return (
        <Wide label="Entries">
            <table>
                <caption>{count(entries.length, 'entry', 'entries')}</caption>
                <thead>
                    <tr>
                        <th scope="col">Test</th>
                        <th scope="col">State</th>
                        <th scope="col">Expires</th>
                        <th scope="col">Passed in a row</th>
                        <th scope="col">Owner</th>
                        <th scope="col">Reason</th>
                        <th scope="col">Release</th>
                    </tr>
                </thead>
                <tbody>
                    {entries.map((entry) => (
                        <tr key={entry.id}>
                            <td class="name">
                                {entry.id.includes('*') ? (
                                    line(entry.id)
                                ) : (
                                    <TestLink id={entry.id} />
                                )}
                            </td>
                            <td>
                                <span class={`badge ${COLOURS[entry.state]}`}>{entry.state}</span>
                            </td>
                            <td class="when">
                                {line(entry.expires)} <small>{left(entry.expires)}</small>
                            </td>
                            <td>
                                {entry.clean === null
                                    ? 'unknown'
                                    : `${entry.clean} of ${CLEAN_RUNS}`}
                            </td>
                            <td>{line(entry.owner)}</td>
                            <td class="message">
                                {line(entry.reason)}
                                {entry.evidence && <small> {line(entry.evidence)}</small>}
                            </td>
                            <td>
                                <Action
                                    name="release"
                                    asked={() => ({ test: entry.id })}
                                    label={`Release ${line(entry.id)}`}
                                    sure={entry.state === 'held'}
                                    done={changed}
                                >
                                    release
                                </Action>
                            </td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </Wide>
    );
}

interface About {
    quarantine: string | null;
}

/** Puts a test into quarantine. */
export function HoldForm({ test, done }: { test?: string; done?: () => void }) {
    const about = useAnswer<About>('about');
    const token = useToken();
    const [fields, setFields] = useState({ test: '', owner: '', reason: '', days: '14' });
    const [said, say] = useState('');
    if (!about.value?.quarantine) return null;
    const set = (part: Partial<typeof fields>) => setFields({ ...fields, ...part });
    const id = test ?? fields.test;
    const text = (label: string, name: 'test' | 'owner' | 'reason') => (
        <label class={name === 'owner' ? undefined : 'words'}>
            {label}
            <input
                required
                value={fields[name]}
                onInput={(event) => set({ [name]: event.currentTarget.value })}
            />
        </label>
    );
    return (
        <>
            <h3>Hold {test === undefined ? 'a test' : 'this test'}</h3>
            <form
                class="filters hold"
                onSubmit={async (event) => {
                    event.preventDefault();
                    try {
                        const { owner, reason, days } = fields;
                        await act('hold', { test: id, owner, reason, days: Number(days) });
                        say(`held; see ${about.value?.quarantine}`);
                        done?.();
                    } catch (error) {
                        say((error as Error).message);
                    }
                }}
            >
                {test === undefined && text('Id of the test', 'test')}
                {text('Owner', 'owner')}
                {text('Reason', 'reason')}
                <label>
                    Days
                    <input
                        type="number"
                        min={1}
                        max={3650}
                        required
                        value={fields.days}
                        onInput={(event) => set({ days: event.currentTarget.value })}
                    />
                </label>
                <button type="submit" disabled={token === ''}>
                    hold
                </button>
                <span role="status">{line(said)}</span>
            </form>
        </>
    );
}

export function QuarantinePage({ version }: { version: unknown }) {
    const [changes, changed] = useReducer((n: number) => n + 1, 0);
    const asked = useAnswer<Held>('quarantine', `${version} ${changes}`);
    const again = () => changed(null);
    return (
        <>
            <h2>Quarantine</h2>
            <Answered of={asked}>
                {({ file, entries }) =>
                    file === null ? (
                        <p class="nothing">
                            No quarantine file is shown: start <code>qe ui --quarantine=FILE</code>{' '}
                            with the file that <code>pytest --qe-quarantine</code> is given.
                        </p>
                    ) : (
                        <>
                            <p class="small">
                                {line(file)}: failures of these tests do not count until an entry
                                expires. {CLEAN_RUNS} executions in a row that pass release one.
                            </p>
                            {entries.length === 0 ? (
                                <p class="nothing">It has no entries.</p>
                            ) : (
                                <Entries entries={entries} changed={again} />
                            )}
                        </>
                    )
                }
            </Answered>
            <HoldForm done={again} />
        </>
    );
}
