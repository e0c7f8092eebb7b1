// Which tests stand out: flaky, failing, slow.
import { count, seconds, whole } from '../format';
import { useAnswer } from './ask';
import { Interval } from './charts';
import { Answered, rateTold, TestLink, Wide } from './parts';

interface TopTest {
    id: string;
    runs: number;
    failures: number;
    rate: number;
    low: number;
    high: number;
    median_s: number | null;
}

interface Top {
    known: number;
    found: number;
    tests: TopTest[];
}

interface Props {
    by: 'flakiest' | 'failing' | 'slowest';
    title: string;
    none: string;
    version: unknown;
}

function Table({ by, title, none, version }: Props) {
    const asked = useAnswer<Top>(`${by}?most=100`, version);
    const slow = by === 'slowest';
    return (
        <section aria-label={title}>
            <h2>{title}</h2>
            <Answered of={asked}>
                {({ known, found, tests }) => {
                    if (tests.length === 0) return <p class="nothing">{none}</p>;
                    const longest = tests[0].median_s || 1;
                    return (
                        <Wide label={title}>
                            <table>
                                <caption>
                                    {whole(tests.length)} of {whole(found)}, of{' '}
                                    {count(known, 'known test')}
                                </caption>
                                <thead>
                                    <tr>
                                        <th scope="col">Test</th>
                                        <th scope="col" class="number">
                                            Median time
                                        </th>
                                        {!slow && <th scope="col">Failure rate, 95 % interval</th>}
                                        <th scope="col" class="number">
                                            Failures
                                        </th>
                                        <th scope="col" class="number">
                                            Executions
                                        </th>
                                    </tr>
                                </thead>
                                <tbody>
                                    {tests.map((test) => (
                                        <tr key={test.id}>
                                            <td class="name">
                                                {slow && (
                                                    <span
                                                        class="length"
                                                        aria-hidden="true"
                                                        style={{
                                                            width: `${(100 * (test.median_s ?? 0)) / longest}%`,
                                                        }}
                                                    />
                                                )}
                                                <TestLink id={test.id} />
                                            </td>
                                            <td class="number">
                                                {test.median_s === null
                                                    ? '-'
                                                    : seconds(test.median_s)}
                                            </td>
                                            {!slow && (
                                                <td class="rated">
                                                    <Interval {...test} />{' '}
                                                    {rateTold(test.rate, test.low, test.high)}
                                                </td>
                                            )}
                                            <td class="number">{whole(test.failures)}</td>
                                            <td class="number">{whole(test.runs)}</td>
                                        </tr>
                                    ))}
                                </tbody>
                            </table>
                        </Wide>
                    );
                }}
            </Answered>
        </section>
    );
}

export function FlakiestPage({ version }: { version: unknown }) {
    return (
        <>
            <Table
                by="flakiest"
                title="Flakiest"
                none="No test has both failed and passed, as far as is remembered."
                version={version}
            />
            <Table
                by="failing"
                title="Most often failing"
                none="No test has failed, as far as is remembered."
                version={version}
            />
        </>
    );
}

export function SlowestPage({ version }: { version: unknown }) {
    return (
        <Table
            by="slowest"
            title="Slowest"
            none="It is not known yet how long any test takes."
            version={version}
        />
    );
}
