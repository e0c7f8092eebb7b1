// The page of qe ui: what runs now, and what the history knows.
import { render } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

import { Pages } from '../parts';
import { line } from '../text';
import { useRoute } from '../route';
import { takeToken, useAnswer } from './ask';
import { listen, useFeed } from './feed';
import { QuarantinePage } from './held';
import { LayersPage } from './layers';
import { Now } from './now';
import { Problem, TokenForm } from './parts';
import { RunPage, Runs } from './runs';
import { TestPage } from './test';
import { FlakiestPage, SlowestPage } from './tops';

const PAGES = [
    ['now', 'Now'],
    ['runs', 'Runs'],
    ['flakiest', 'Flakiest'],
    ['slowest', 'Slowest'],
    ['quarantine', 'Quarantine'],
    ['layers', 'Layers'],
] as const;

function App() {
    const feed = useFeed();
    const [page, ...rest] = useRoute();
    const arg = rest.join('/');
    const main = useRef<HTMLElement>(null);
    const about = useAnswer<{ folder: string }>('about');
    const single = (page === 'run' || page === 'test') && arg !== '';
    const shown = single || PAGES.some(([name]) => name === page) ? page : 'now';
    const { history } = feed;
    // What is asked of the history is asked again when it has changed.
    const version = `${history?.state} ${history?.latest?.id}`;
    const running = feed.live?.filter((run) => run.state === 'running').length ?? 0;
    const title = single
        ? `${page === 'run' ? 'Run' : 'Test'}`
        : PAGES.find(([name]) => name === shown)?.[1];
    useEffect(() => {
        document.title = `${title}${running > 0 ? ` (${running} running)` : ''} - QE`;
    }, [title, running]);
    // Whoever follows a link reads on where it leads, not at the top.
    useEffect(() => {
        if (single) main.current?.querySelector<HTMLElement>('h2')?.focus();
    }, [page, arg, single]);
    return (
        <>
            <header>
                <h1>
                    QE <span class="project">{line(about.value?.folder ?? '')}</span>
                    <span
                        class={`verdict ${feed.connected ? 'is-passed' : 'is-timeout'}`}
                        role="status"
                    >
                        {feed.connected ? 'connected' : 'not connected: trying again'}
                    </span>
                </h1>
                <Pages pages={PAGES} shown={shown} />
            </header>
            <main ref={main} class={shown} tabIndex={-1}>
                {history && history.state !== 'ok' && <Problem text={history.says ?? ''} />}
                {shown === 'now' && <Now feed={feed} />}
                {shown === 'runs' && <Runs version={version} />}
                {shown === 'run' && <RunPage key={arg} id={arg} />}
                {shown === 'test' && <TestPage key={arg} arg={arg} version={version} />}
                {shown === 'flakiest' && <FlakiestPage version={version} />}
                {shown === 'slowest' && <SlowestPage version={version} />}
                {shown === 'quarantine' && <QuarantinePage version={version} />}
                {shown === 'layers' && <LayersPage feed={feed} />}
            </main>
            <footer>
                <TokenForm />
            </footer>
        </>
    );
}

takeToken();
listen();
const app = document.getElementById('app') as HTMLElement;
app.textContent = '';
render(<App />, app);
