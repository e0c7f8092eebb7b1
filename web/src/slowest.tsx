// Where the time went: tests, and the files that they are in.
import { useMemo } from 'preact/hooks';

import { count, percent, seconds } from './format';
import type { Result } from './model';
import { linkTo } from './parts';
import { line } from './text';

const MOST = 50;

interface Row {
    key: string;
    name: string;
    href?: string;
    time: number;
    note: string;
}

function Table({ title, rows, all }: { title: string; rows: Row[]; all: number }) {
    const longest = rows[0]?.time || 1;
    return (
        <section>
            <h2 id={title}>{title}</h2>
            <table aria-labelledby={title}>
                <thead>
                    <tr>
                        <th scope="col">Name</th>
                        <th scope="col" class="number">
                            Time
                        </th>
                        <th scope="col" class="number">
                            Share
                        </th>
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
                            <td class="number">{percent(all > 0 ? row.time / all : 0)}</td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </section>
    );
}

export function Slowest({ result }: { result: Result }) {
    const { tests, files, all } = useMemo(() => {
        const byFile = new Map<string, { time: number; tests: number }>();
        let sum = 0;
        for (const test of result.tests) {
            const one = byFile.get(test.file) ?? { time: 0, tests: 0 };
            one.time += test.time;
            one.tests++;
            sum += test.time;
            byFile.set(test.file, one);
        }
        const slow = [...result.tests].sort((a, b) => b.time - a.time).slice(0, MOST);
        return {
            all: sum,
            tests: slow.map((test) => ({
                key: `${test.index}`,
                name: test.id,
                href: linkTo(test),
                time: test.time,
                note: test.attempts.length > 1 ? count(test.attempts.length, 'attempt') : '',
            })),
            files: [...byFile]
                .sort(([, a], [, b]) => b.time - a.time)
                .slice(0, MOST)
                .map(([name, one]) => ({
                    key: name,
                    name: name || '(no file)',
                    time: one.time,
                    note: count(one.tests, 'test'),
                })),
        };
    }, [result]);
    return (
        <div class="columns">
            <Table title="Slowest tests" rows={tests} all={all} />
            <Table title="Slowest files" rows={files} all={all} />
        </div>
    );
}
