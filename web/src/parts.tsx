// Small parts that several pages use.
import { useState } from 'preact/hooks';

import { bytes, seconds } from './format';
import type { Attempt, Outcome, Test } from './model';
import { Block, line } from './text';

const MARKS: Record<Outcome, string> = {
    passed: '✓',
    failed: '✗',
    error: '!',
    crashed: '☠',
    timeout: '◷',
    flaky: '≈',
    skipped: '↷',
    none: '·',
};

export function Badge({ outcome }: { outcome: Outcome }) {
    return (
        <span class={`badge is-${outcome}`}>
            <span aria-hidden="true">{MARKS[outcome]}</span> {outcome}
        </span>
    );
}

/** Links to all pages, by name and words. */
export function Pages({
    pages,
    shown,
}: {
    pages: readonly (readonly [string, string])[];
    shown: string;
}) {
    return (
        <nav aria-label="Pages">
            {pages.map(([name, text]) => (
                <a key={name} href={`#/${name}`} aria-current={name === shown ? 'page' : undefined}>
                    {text}
                </a>
            ))}
        </nav>
    );
}

export const linkTo = (test: Test): string => `#/test/${test.index}`;

/** Writes to the clipboard; where that is closed to a page, the older way. */
async function copy(text: string): Promise<boolean> {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        const area = document.createElement('textarea');
        area.value = text;
        document.body.append(area);
        area.select();
        const done = document.execCommand('copy');
        area.remove();
        return done;
    }
}

export function Command({ text }: { text: string }) {
    const [said, say] = useState('');
    return (
        <div class="command">
            <code>{line(text)}</code>
            <button
                type="button"
                aria-label={`Copy: ${line(text)}`}
                onClick={async () => say((await copy(text)) ? 'copied' : 'select it and copy')}
            >
                copy
            </button>
            <span role="status">{said}</span>
        </div>
    );
}

export function ending(attempt: Attempt): string {
    if (attempt.signal) return `, died by ${attempt.signal}`;
    return attempt.exit_status === undefined ? '' : `, left with status ${attempt.exit_status}`;
}

export function facts(attempt: Attempt): string {
    const memory = attempt.peak_memory > 0 ? `, ${bytes(attempt.peak_memory)}` : '';
    return `${seconds(attempt.duration)} on ${attempt.worker}${memory}${ending(attempt)}`;
}

export function Texts({ attempt }: { attempt: Attempt | undefined }) {
    if (attempt === undefined) return <p>It was never run.</p>;
    if (!attempt.texts?.length)
        return <p>{attempt.message ? line(attempt.message) : 'It left nothing to read.'}</p>;
    return (
        <>
            {attempt.texts.map((text, i) => (
                <section key={i} class="left">
                    <h3>{text.kind === 'failure' ? `Failure in ${text.name}` : line(text.name)}</h3>
                    <Block
                        text={text.text}
                        kind={text.kind}
                        label={`${text.name}, attempt ${attempt.attempt}`}
                    />
                </section>
            ))}
        </>
    );
}
