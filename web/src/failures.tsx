// What failed, with all that is to be read of it, folded.
import { useState } from 'preact/hooks';

import { useFilters } from './filters';
import { count } from './format';
import { BAD, type Result, type Test, worstAttempt } from './model';
import { Badge, facts, linkTo, Texts } from './parts';
import { line } from './text';

const PAGE = 50;

function Failure({ test, first }: { test: Test; first: boolean }) {
    const [open, setOpen] = useState(first);
    const attempt = worstAttempt(test);
    return (
        <details class="failure" open={open} onToggle={(e) => setOpen(e.currentTarget.open)}>
            <summary>
                <Badge outcome={test.outcome} /> <span class="name">{line(test.id)}</span>
                {test.message && <span class="message">{line(test.message)}</span>}
            </summary>
            {open && (
                <div class="inside">
                    <p>
                        {attempt && facts(attempt)}
                        {test.attempts.length > 1 &&
                            `, the last failing of ${test.attempts.length} attempts`}
                        . <a href={linkTo(test)}>All of this test</a>
                    </p>
                    <Texts attempt={attempt} />
                </div>
            )}
        </details>
    );
}

export function Failures({ result }: { result: Result }) {
    const [bad] = useState(() => result.tests.filter((test) => BAD.includes(test.outcome)));
    const { found, form } = useFilters(result, bad, true);
    const [most, setMost] = useState(PAGE);
    if (bad.length === 0) return <p class="nothing">Nothing failed.</p>;
    return (
        <>
            <h2>{count(bad.length, 'test')} to look at</h2>
            {form}
            {found.slice(0, most).map((test) => (
                <Failure key={test.index} test={test} first={bad.length === 1} />
            ))}
            {found.length > most && (
                <button type="button" onClick={() => setMost(most + PAGE)}>
                    show {Math.min(PAGE, found.length - most)} more
                </button>
            )}
        </>
    );
}
