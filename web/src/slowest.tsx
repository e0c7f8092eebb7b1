// Where the time went: tests, and the files that they are in.
import { useMemo } from 'preact/hooks';

import { Change, type Changed, changeOf } from './change';
import { count, percent, seconds } from './format';
import { type Result, type Test, words } from './model';
import { linkTo } from './parts';
import { line } from './text';

const MOST = 50;

interface Row {
    key: string;
    name: string;
    href?: string;
    time: number;
    note: string;
    expected?: number;
    change?: Changed;
}

interface Props {
    title: string;
    rows: Row[];
    /** All the time that shares are of; 0: no shares are told. */
    all: number;
    history: boolean;
}

function Table({ title, rows, all, history }: Props) {
    const id = title.toLowerCase().replaceAll(' ', '-');
    const longest = rows.reduce((most, row) => Math.max(most, row.time), 0) || 1;
    const heads = ['Time', ...(all > 0 ? ['Share'] : []), ...(history ? ['Before', 'Change'] : [])];
    return (
        <section>
            <h2 id={id}>{title}</h2>
            <table aria-labelledby={id}>
                <thead>
                    <tr>
                        <th scope="col">Name</th>
                        {heads.map((text) => (
                            <th key={text} scope="col" class="number">
                                {text}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {rows.map((row) => (
                        <tr key={row.key}>
                            <td class="name">
                                <span
                                    class="length"
                                    aria-hidden="true"
                                    style={{ width: `${(100 * row.time) / longest}%` }}
                                />
                                {row.href ? (
                                    <a href={row.href}>{line(row.name)}</a>
                                ) : (
                                    line(row.name)
                                )}
                                {row.note && <small> {row.note}</small>}
                            </td>
                            <td class="number">{seconds(row.time)}</td>
                            {all > 0 && <td class="number">{percent(row.time / all)}</td>}
                            {history && (
                                <>
                                    <td class="number">
                                        {row.expected === undefined ? '-' : seconds(row.expected)}
                                    </td>
                                    <td class="number">
                                        <Change change={row.change} />
                                    </td>
                                </>
                            )}
                        </tr>
                    ))}
                </tbody>
            </table>
        </section>
    );
}

const rowOf = (test: Test): Row => ({
    key: `${test.index}`,
    name: test.id,
    href: linkTo(test),
    time: test.time,
    note: test.attempts.length > 1 ? count(test.attempts.length, 'attempt') : '',
    expected: test.expected,
    change: changeOf(test),
});

/** Files, or layers: the time of all that is in them. */
function groupsOf(tests: Test[], one: string, many: string): Row[] {
    interface Group {
        time: number;
        tests: number;
        took: number;
        expected: number;
        known: boolean;
    }
    const by = new Map<string, Group>();
    for (const test of tests) {
        const empty = { time: 0, tests: 0, took: 0, expected: 0, known: true };
        const group = by.get(test.file) ?? empty;
        group.time += test.time;
        group.tests++;
        if (test.took !== undefined) {
            group.took += test.took;
            group.expected += test.expected ?? 0;
            group.known &&= test.expected !== undefined;
        }
        by.set(test.file, group);
    }
    return [...by]
        .sort(([, a], [, b]) => b.time - a.time)
        .slice(0, MOST)
        .map(([name, group]) => ({
            key: name,
            name: name || '(no file)',
            time: group.time,
            note: count(group.tests, one, many),
            expected: group.known && group.expected > 0 ? group.expected : undefined,
            change: group.known ? changeOf(group) : undefined,
        }));
}

/** Those that took much more, or much less, than before: by how many seconds. */
function changed(tests: Test[], sign: 1 | -1): Row[] {
    return tests
        .map(rowOf)
        .filter(({ change }) => change?.told && change.more * sign > 0)
        .sort((a, b) => sign * ((b.change?.more ?? 0) - (a.change?.more ?? 0)))
        .slice(0, MOST);
}

export function Slowest({ result }: { result: Result }) {
    const { one, many, group } = words(result);
    const found = useMemo(() => {
        const { tests } = result;
        return {
            all: tests.reduce((sum, test) => sum + test.time, 0),
            history: tests.some((test) => test.expected !== undefined),
            slow: [...tests]
                .sort((a, b) => b.time - a.time)
                .slice(0, MOST)
                .map(rowOf),
            groups: group === '' ? [] : groupsOf(tests, one, many),
            slower: changed(tests, 1),
            faster: changed(tests, -1),
        };
    }, [result]);
    const { all, history } = found;
    return (
        <div class="columns">
            <Table title={`Slowest ${many}`} rows={found.slow} all={all} history={history} />
            {found.groups.length > 0 && (
                <Table
                    title={`Slowest ${group}s`}
                    rows={found.groups}
                    all={all}
                    history={history}
                />
            )}
            {found.slower.length > 0 && (
                <Table title="Slower than before" rows={found.slower} all={0} history />
            )}
            {found.faster.length > 0 && (
                <Table title="Faster than before" rows={found.faster} all={0} history />
            )}
        </div>
    );
}
