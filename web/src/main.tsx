// The page: unpacks the result that stands in it, and shows one of its parts.
import { render } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

import { Detail } from './detail';
import { Failures } from './failures';
import { Flaky, isHunt } from './flaky';
import { count, whole } from './format';
import { Layers } from './layers';
import { BAD, hasFailed, OUTCOMES, read, type Result, words } from './model';
import { Pages } from './parts';
import { useRoute } from './route';
import { Slowest } from './slowest';
import { Summary } from './summary';
import { Tests } from './tests';
import { Timeline } from './timeline';

function verdictOf(result: Result): [string, string] {
    const bad = OUTCOMES.filter(hasFailed).reduce((n, name) => n + (result.summary[name] ?? 0), 0);
    if (result.run.interrupted) return ['interrupted', 'is-timeout'];
    const { one, many } = words(result);
    const lost = result.run.layers?.filter((layer) => !layer.success).length ?? 0;
    if (lost > 0) return [`${count(lost, 'layer')} failed`, 'is-failed'];
    const uncollected = result.run.collection_errors?.length ?? 0;
    if (bad === 0 && uncollected > 0) return [count(uncollected, 'collection error'), 'is-error'];
    const flaky = result.summary.flaky ?? 0;
    // What a retry has passed is no failure; what a hunt has found is one.
    if (flaky > 0 && isHunt(result))
        return [
            (bad > 0 ? `${count(bad, one, many)} failed, ` : '') + `${whole(flaky)} flaky`,
            'is-failed',
        ];
    if (bad > 0 && !result.run.layers) return [`${count(bad, one, many)} failed`, 'is-failed'];
    if (result.tests.length === 0) return [`no ${many}`, 'is-none'];
    if (flaky > 0) return [`passed, ${whole(flaky)} flaky`, 'is-flaky'];
    return ['passed', 'is-passed'];
}

function App({ result }: { result: Result }) {
    const [page, arg] = useRoute();
    const main = useRef<HTMLElement>(null);
    const [verdict, colour] = verdictOf(result);
    const bad = BAD.reduce((n, name) => n + (result.summary[name] ?? 0), 0);
    const pages: [string, string][] = [
        ['summary', 'Summary'],
        ['timeline', 'Timeline'],
        ['failures', `Failures (${bad})`],
        ['tests', `All ${words(result).many}`],
        ['slowest', 'Slowest'],
    ];
    if (isHunt(result)) pages.push(['flaky', 'Flaky']);
    if (result.run.layers) pages.splice(1, 0, ['layers', 'Layers']);
    const test = page === 'test' ? result.tests[Number(arg)] : undefined;
    const shown = test || pages.some(([name]) => name === page) ? page : 'summary';
    const title = test ? test.name : pages.find(([name]) => name === shown)?.[1];
    useEffect(() => {
        document.title = `${title} - ${verdict} - QE report`;
    }, [title, verdict]);
    // Whoever follows a link reads on where it leads, not at the top.
    useEffect(() => {
        if (test) main.current?.querySelector<HTMLElement>('h2')?.focus();
    }, [test]);
    return (
        <>
            <header>
                <h1>
                    QE report <span class={`verdict ${colour}`}>{verdict}</span>
                </h1>
                <Pages pages={pages} shown={shown} />
            </header>
            <main ref={main} class={shown}>
                {shown === 'summary' && <Summary result={result} />}
                {shown === 'layers' && <Layers result={result} />}
                {shown === 'timeline' && <Timeline result={result} />}
                {shown === 'failures' && <Failures result={result} />}
                {shown === 'tests' && <Tests key={arg} result={result} outcome={arg} />}
                {shown === 'slowest' && <Slowest result={result} />}
                {shown === 'flaky' && <Flaky result={result} />}
                {test && <Detail key={test.index} test={test} result={result} />}
            </main>
        </>
    );
}

async function unpack(packed: string): Promise<string> {
    const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Response(stream).text();
}

async function main(): Promise<void> {
    const app = document.getElementById('app') as HTMLElement;
    const holder = document.getElementById('qe-result') as HTMLElement;
    try {
        const result = read(await unpack(holder.textContent.trim()));
        holder.remove();
        app.textContent = '';
        render(<App result={result} />, app);
    } catch (error) {
        app.textContent = `This report cannot be shown: ${String(error)}`;
    }
}

void main();
