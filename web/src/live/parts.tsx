// Small parts of the live page.
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

import { percent, seconds, whole } from '../format';
import { OUTCOMES, type Outcome } from '../model';
import { line } from '../text';
import { act, linkToTest, setToken, useToken } from './ask';

export type Counts = Partial<Record<Outcome, number>>;

export const sum = (counts: Counts): number =>
    Object.values(counts).reduce((total, n) => total + n, 0);

/** The worst that happened in a run. */
export const worst = (counts: Counts): Outcome =>
    OUTCOMES.find((name) => (counts[name] ?? 0) > 0) ?? 'none';

/** `2 failed, 10 passed`. */
export const told = (counts: Counts): string =>
    OUTCOMES.filter((name) => (counts[name] ?? 0) > 0)
        .map((name) => `${whole(counts[name] ?? 0)} ${name}`)
        .join(', ') || 'no tests';

export const when = (time: number): string =>
    new Date(time * 1000).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export function ago(time: number): string {
    const passed = Math.max(0, Date.now() / 1000 - time);
    if (passed < 60) return 'just now';
    if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
    if (passed < 86_400) return `${Math.floor(passed / 3600)} h ago`;
    return `${Math.floor(passed / 86_400)} d ago`;
}

export const code = (revision: string): string => line(revision.slice(0, 10)) || 'unknown';

export const rateTold = (rate: number, low: number, high: number): string =>
    `${percent(rate)} (${percent(low)} to ${percent(high)})`;

/** The outcomes of tests as parts of a bar, with what is still to come. */
export function OutcomeBar({ counts, all = 0 }: { counts: Counts; all?: number }) {
    const left = Math.max(0, all - sum(counts));
    return (
        <div class="bar" aria-hidden="true">
            {OUTCOMES.filter((name) => (counts[name] ?? 0) > 0).map((name) => (
                <span
                    key={name}
                    class={`fill is-${name}`}
                    style={{ flexGrow: `${counts[name]}` }}
                />
            ))}
            {left > 0 && <span class="open" style={{ flexGrow: `${left}` }} />}
        </div>
    );
}

export function TestLink({ id }: { id: string }) {
    const at = id.indexOf('::') + 2;
    return (
        <a href={linkToTest(id)}>
            {at > 1 && <span class="file">{line(id.slice(0, at))}</span>}
            {line(at > 1 ? id.slice(at) : id) || '(no name)'}
        </a>
    );
}

/** A table that may be wider than its page: it is scrolled by keyboard, too. */
export function Wide({ label, children }: { label: string; children: ComponentChildren }) {
    return (
        <div class="wide" role="group" aria-label={label} tabIndex={0}>
            {children}
        </div>
    );
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
    return (
        <div>
            <dt>{name}</dt>
            <dd>{children}</dd>
        </div>
    );
}

export function Problem({ text }: { text: string }) {
    return (
        <p class="problem" role="alert">
            {line(text)}
        </p>
    );
}

/** What is shown of an answer: what is wrong with it, or itself once it is there. */
export function Answered<T>({
    of,
    children,
}: {
    of: { value?: T; error?: string };
    children: (value: T) => ComponentChildren;
}) {
    if (of.error !== undefined) return <Problem text={of.error} />;
    if (of.value === undefined) return <p class="nothing">Asking ...</p>;
    return <>{children(of.value)}</>;
}

interface ActionProps {
    name: string;
    asked: () => object;
    /** What it does, for those who hear it: names the thing. */
    label: string;
    children: string;
    /** Asks once more before it is done. */
    sure?: boolean;
    done?: () => void;
}

/** A button for what needs the token; without one it says so. */
export function Action({ name, asked, label, children, sure, done }: ActionProps) {
    const token = useToken();
    const [said, say] = useState('');
    const [asking, ask] = useState(false);
    const [busy, setBusy] = useState(false);
    const own = useRef<HTMLSpanElement>(null);
    // What it was for may be gone with it: the keyboard goes on from the page then.
    useLayoutEffect(() => {
        const span = own.current;
        return () => {
            if (span?.contains(document.activeElement)) document.querySelector('main')?.focus();
        };
    }, []);
    const go = async () => {
        if (busy) return undefined;
        if (sure && !asking) return ask(true);
        setBusy(true);
        try {
            await act(name, asked());
            say('done');
            done?.();
        } catch (error) {
            say((error as Error).message);
        }
        setBusy(false);
        return ask(false);
    };
    return (
        <span class="action" ref={own}>
            <button
                type="button"
                aria-label={asking ? `Yes: ${label}` : label}
                aria-disabled={busy}
                disabled={token === ''}
                title={token === '' ? 'Needs the token: see below' : undefined}
                onClick={go}
            >
                {asking ? 'really?' : children}
            </button>
            {asking && (
                <button type="button" onClick={() => ask(false)}>
                    no
                </button>
            )}
            <span role="status">{line(said)}</span>
        </span>
    );
}

/** Where the token goes that was not in the address. */
export function TokenForm() {
    const token = useToken();
    const [typed, type] = useState('');
    const [said, say] = useState('');
    if (token !== '') return null;
    return (
        <form
            class="token"
            onSubmit={async (event) => {
                event.preventDefault();
                setToken(typed.trim());
                try {
                    await act('check', {});
                } catch (error) {
                    setToken('');
                    say((error as Error).message);
                }
            }}
        >
            <label>
                Actions need the token that <code>qe ui</code> has printed, behind{' '}
                <code>#token=</code>{' '}
                <input
                    type="password"
                    autocomplete="off"
                    value={typed}
                    onInput={(event) => type(event.currentTarget.value)}
                />
            </label>
            <button type="submit" disabled={typed.trim() === ''}>
                use it
            </button>
            <span role="status">{line(said)}</span>
        </form>
    );
}

export const timeOrNone = (value: number | null | undefined): string =>
    value === null || value === undefined ? '-' : seconds(value);
