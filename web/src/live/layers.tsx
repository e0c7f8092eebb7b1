// Layers of tests, and those that run in the background.
import { useState } from 'preact/hooks';

import { count, seconds } from '../format';
import { Block, line } from '../text';
import { useAnswer } from './ask';
import type { BackgroundRun, Topics } from './feed';
import { Action, Answered, Problem, when, Wide } from './parts';

interface Category {
    name: string;
    framework?: string;
    command?: string[];
    paths?: string[];
    markers?: string;
    depends_on?: string[];
}

interface Layer {
    id: string;
    name?: string;
    execution_mode?: string;
    max_duration_minutes?: number;
    dependencies?: string[];
    required_services?: string[];
    categories: Category[];
}

interface Config {
    file: string | null;
    says: string;
    layers: Layer[];
    mistakes: string[];
}

const COLOURS: Record<string, string> = {
    running: 'is-flaky',
    passed: 'is-passed',
    failed: 'is-failed',
    cancelled: 'is-skipped',
    lost: 'is-crashed',
};

function Log({ id }: { id: string }) {
    const [asked, ask] = useState(0);
    const log = useAnswer<{ text: string; cut: boolean }>(
        asked > 0 ? `log?id=${encodeURIComponent(id)}` : undefined,
        asked,
    );
    return (
        <details onToggle={(event) => event.currentTarget.open && ask(asked + 1)}>
            <summary>What {line(id)} has printed</summary>
            <div class="inside">
                <button type="button" onClick={() => ask(asked + 1)}>
                    read again
                </button>
                <Answered of={log}>
                    {({ text, cut }) => (
                        <>
                            {cut && <p class="small">Its end:</p>}
                            <Block
                                text={text || '(nothing)'}
                                kind="output"
                                label={`Log of ${id}`}
                            />
                        </>
                    )}
                </Answered>
            </div>
        </details>
    );
}

function Background({ runs }: { runs: BackgroundRun[] }) {
    if (runs.length === 0)
        return (
            <p class="nothing">
                None is remembered: <code>qe layer NAME --background</code> starts one.
            </p>
        );
    return (
        <>
            <Wide label="Background runs">
                <table>
                    <caption>{count(runs.length, 'run')}, the newest first</caption>
                    <thead>
                        <tr>
                            <th scope="col">Run</th>
                            <th scope="col">State</th>
                            <th scope="col">Layers</th>
                            <th scope="col">Begun</th>
                            <th scope="col" class="number">
                                Took
                            </th>
                            <th scope="col">Cancel</th>
                        </tr>
                    </thead>
                    <tbody>
                        {runs.map((run) => (
                            <tr key={run.id}>
                                <th scope="row">{line(run.id)}</th>
                                <td>
                                    <span class={`badge ${COLOURS[run.state] ?? 'is-none'}`}>
                                        {line(run.state)}
                                    </span>
                                </td>
                                <td>{line(run.layers.join(', '))}</td>
                                <td class="when">{when(run.started)}</td>
                                <td class="number">
                                    {run.ended === null ? '-' : seconds(run.ended - run.started)}
                                </td>
                                <td>
                                    {run.state === 'running' && (
                                        <Action
                                            name="cancel"
                                            asked={() => ({ id: run.id })}
                                            label={`Cancel ${line(run.id)}`}
                                            sure
                                        >
                                            cancel
                                        </Action>
                                    )}
                                </td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </Wide>
            {runs.slice(0, 10).map((run) => (
                <Log key={run.id} id={run.id} />
            ))}
        </>
    );
}

function LayerCard({ layer }: { layer: Layer }) {
    const more = [
        layer.execution_mode,
        layer.max_duration_minutes && `at most ${layer.max_duration_minutes} min`,
        layer.dependencies?.length && `after ${layer.dependencies.join(', ')}`,
        layer.required_services?.length && `needs ${layer.required_services.join(', ')}`,
    ].filter(Boolean);
    return (
        <section class="card">
            <h3>
                {line(layer.name ?? layer.id)} <small>{line(layer.id)}</small>
            </h3>
            {more.length > 0 && <p class="small">{line(more.join('; '))}</p>}
            <ul class="categories">
                {layer.categories.map((category) => (
                    <li key={category.name}>
                        <strong>{line(category.name)}</strong>{' '}
                        {line(category.framework ?? category.command?.join(' ') ?? '')}{' '}
                        {category.paths && <code>{line(category.paths.join(' '))}</code>}
                        {category.markers && <span class="mark">{line(category.markers)}</span>}
                        {category.depends_on && (
                            <small> after {line(category.depends_on.join(', '))}</small>
                        )}
                    </li>
                ))}
            </ul>
        </section>
    );
}

export function LayersPage({ feed }: { feed: Topics }) {
    const asked = useAnswer<Config>('layers');
    return (
        <>
            <h2>In the background</h2>
            {feed.background?.says && <Problem text={feed.background.says} />}
            {feed.background ? (
                <Background runs={feed.background.runs} />
            ) : (
                <p class="nothing">Asking ...</p>
            )}
            <h2>Layers</h2>
            <Answered of={asked}>
                {(config) => (
                    <>
                        {config.file === null ? (
                            <p class="nothing">{line(config.says)}</p>
                        ) : (
                            <p class="small">{line(config.file)}</p>
                        )}
                        {config.mistakes.map((mistake) => (
                            <Problem key={mistake} text={mistake} />
                        ))}
                        <div class="columns">
                            {config.layers.map((layer) => (
                                <LayerCard key={layer.id} layer={layer} />
                            ))}
                        </div>
                    </>
                )}
            </Answered>
        </>
    );
}
