// What failed, with all that is to be read of it, folded.
import { useState } from 'preact/hooks';

import { useFilters } from './filters';
import { count, whole } from './format';
import { BAD, type Result, type Test, words, worstAttempt } from './model';
import { Badge, Command, facts, linkTo, Texts } from './parts';
import { MOST_PRINTED, usePrinting } from './print';
import { line } from './text';

const PAGE = 50;

function Failure({ test, first, command }: { test: Test; first: boolean; command?: string }) {
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
                        . <a href={linkTo(test)}>All of it</a>
                    </p>
                    {command && <Command text={command} />}
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
    const { one, many } = words(result);
    const shown = Math.min(found.length, usePrinting() ? MOST_PRINTED : most);
    if (bad.length === 0) return <p class="nothing">Nothing failed.</p>;
    return (
        <>
            <h2>{count(bad.length, one, many)} to look at</h2>
            {form}
            <p class="left-out">
                Texts that are folded are left out
                {found.length > shown && `, and so are ${whole(found.length - shown)} ${many}`}.
            </p>
            {found.slice(0, shown).map((test) => (
                <Failure
                    key={test.index}
                    test={test}
                    first={bad.length === 1}
                    command={result.run.commands?.[test.id]}
                />
            ))}
            {found.length > shown && (
                <button type="button" onClick={() => setMost(most + PAGE)}>
                    show {Math.min(PAGE, found.length - most)} more
                </button>
            )}
        </>
    );
}
