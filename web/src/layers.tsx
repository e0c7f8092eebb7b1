// Layers: what each asked for, what became of it, and what its categories waited for.
import { useMemo } from 'preact/hooks';

import { count, seconds, whole } from './format';
import type { Layer, Result, Test, Wait } from './model';
import { Badge, linkTo } from './parts';
import { line } from './text';

/** What makes it succeed, in words. */
function gates({ criteria }: Layer): string[] {
    const said: string[] = [];
    if (criteria.min_pass_rate !== undefined)
        said.push(`${criteria.min_pass_rate} % of its tests pass`);
    if (criteria.max_failures !== undefined)
        said.push(`at most ${count(criteria.max_failures, 'test fails', 'tests fail')}`);
    if (criteria.required_categories?.length)
        said.push(`these pass: ${criteria.required_categories.join(', ')}`);
    return said.length > 0 ? said : ['every category passes'];
}

function counted(tests: Record<string, number> | null): string {
    if (!tests) return '';
    return ['passed', 'failed', 'errors', 'skipped']
        .filter((name) => tests[name] > 0)
        .map((name) => `${whole(tests[name])} ${name}`)
        .join(', ');
}

interface Props {
    layer: Layer;
    tests: Map<string, Test>;
    waits: Map<string, Wait[]>;
}

function Categories({ layer, tests, waits }: Props) {
    return (
        <table aria-label={`Categories of ${layer.name}`}>
            <thead>
                <tr>
                    <th scope="col">Outcome</th>
                    <th scope="col">Category</th>
                    <th scope="col">Tests</th>
                    <th scope="col">Waited for</th>
                    <th scope="col" class="number">
                        Time
                    </th>
                </tr>
            </thead>
            <tbody>
                {layer.categories.map(({ id, tests: counts }) => {
                    const test = tests.get(id);
                    if (!test) return null;
                    const attempts = test.attempts.length;
                    return (
                        <tr key={id}>
                            <td>
                                <Badge outcome={test.outcome} />
                            </td>
                            <td class="name">
                                <a href={linkTo(test)}>{line(test.name)}</a>
                                {attempts > 1 && <small> {count(attempts, 'attempt')}</small>}
                            </td>
                            <td>{counted(counts)}</td>
                            <td>
                                {attempts === 0 && test.message && line(test.message)}
                                {attempts > 0 &&
                                    waits.get(id)?.map((wait, i) => (
                                        <div key={i}>
                                            {seconds(wait.duration)}: {line(wait.what)}
                                        </div>
                                    ))}
                            </td>
                            <td class="number">{attempts > 0 ? seconds(test.time) : '-'}</td>
                        </tr>
                    );
                })}
            </tbody>
        </table>
    );
}

export function Layers({ result }: { result: Result }) {
    const { lanes = {}, waits = [], layers = [] } = result.run;
    const tests = useMemo(() => new Map(result.tests.map((test) => [test.id, test])), [result]);
    const by = useMemo(() => {
        const found = new Map<string, Wait[]>();
        for (const wait of waits) {
            const id = lanes[wait.worker];
            found.set(id, [...(found.get(id) ?? []), wait]);
        }
        return found;
    }, [result]);
    return (
        <>
            <h2>{count(layers.length, 'layer')}</h2>
            {layers.map((layer) => (
                <section key={layer.name} class={`layer ${layer.success ? '' : 'lost'}`}>
                    <h3>
                        {line(layer.name)}{' '}
                        <span class={`verdict ${layer.success ? 'is-passed' : 'is-failed'}`}>
                            {layer.success ? 'succeeded' : 'failed'}
                        </span>
                    </h3>
                    <p>
                        It succeeds if {gates(layer).map(line).join(', and ')}.
                        {layer.pass_rate !== null && ` ${layer.pass_rate.toFixed(1)} % passed.`}
                    </p>
                    <p class="small">
                        {line(layer.mode)}
                        {layer.after.length > 0 && `, after ${layer.after.map(line).join(', ')}`}
                    </p>
                    {[...layer.errors, ...layer.suggestions].map((text, i) => (
                        <p key={i} class="message">
                            {line(text)}
                        </p>
                    ))}
                    {Object.keys(layer.services).length > 0 && (
                        <p class="small">
                            Services:{' '}
                            {Object.entries(layer.services)
                                .map(([name, state]) => `${line(name)} ${line(state)}`)
                                .join(', ')}
                        </p>
                    )}
                    <Categories layer={layer} tests={tests} waits={by} />
                </section>
            ))}
        </>
    );
}
