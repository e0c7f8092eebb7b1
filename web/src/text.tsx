// What tests left to read: always text, whatever it holds.
import Anser from 'anser';
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';

/** Colours in a failure, or the legend of jest's diffs. */
const COLOURED = /\x1b\[[0-9;:]*m/;
const LEGEND = /^\s*- Expected.*\n\s*\+ Received/m;

const FOLDED_LINES = 40;
/** Beyond this a text is shown in parts: a browser lays out no ten megabytes at once. */
const PART = 200_000;

const ESCAPES = /\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]/g;

/** Without what a terminal would do rather than show. Colours remain where asked for. */
function tame(text: string, colours: boolean): string {
    return text
        .replace(ESCAPES, (found) => (colours && /^\x1b\[[0-9;:]*m$/.test(found) ? found : ''))
        .replace(/\r\n/g, '\n')
        .replace(/[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]/g, (c) =>
            c === '\x7f' ? '\u2421' : String.fromCharCode(0x2400 + c.charCodeAt(0)),
        );
}

function ansi(text: string): JSX.Element[] {
    return Anser.ansiToJson(tame(text, true), { use_classes: true, remove_empty: true }).map(
        (part, i) => {
            const names = [
                part.fg && (part.fg.startsWith('ansi') ? part.fg : 'ansi-other'),
                part.bg && part.bg.startsWith('ansi') && `${part.bg}-back`,
                ...part.decorations.map((name) => `ansi-${name}`),
            ].filter(Boolean);
            return (
                <span key={i} class={names.join(' ') || undefined}>
                    {part.content}
                </span>
            );
        },
    );
}

/** pytest marks what an assertion says with E, and in that diffs with -, + and ?. */
function kindOf(line: string, jest: boolean): string | undefined {
    if (jest && /^\s*\+ /.test(line)) return 'added';
    if (jest && /^\s*- /.test(line)) return 'removed';
    if (/^\s+at \S/.test(line)) return 'place'; // of a stack of JavaScript
    if (/^E\s+\+ +(where|and) /.test(line)) return 'told'; // an explanation, no diff
    if (/^E\s+\+ /.test(line) || /^E\s+\+$/.test(line)) return 'added';
    if (/^E\s+- /.test(line) || /^E\s+-$/.test(line)) return 'removed';
    if (/^E\s+\? /.test(line)) return 'hint';
    if (/^E(\s|$)/.test(line)) return 'told';
    if (/^>/.test(line)) return 'here';
    if (/^\S+:\d+: /.test(line)) return 'place';
    return undefined;
}

function failure(text: string): JSX.Element[] {
    if (COLOURED.test(text)) return ansi(text);
    const jest = LEGEND.test(text);
    return tame(text, false)
        .split('\n')
        .map((line, i) => (
            <span key={i} class={`line ${kindOf(line, jest) ?? ''}`}>
                {line + '\n'}
            </span>
        ));
}

interface Props {
    text: string;
    kind: 'failure' | 'output';
    label: string;
}

/** A long one is folded: its end, which says most, stays in sight. */
export function Block({ text, kind, label }: Props) {
    const [open, setOpen] = useState(false);
    const lines = useMemo(() => text.split('\n'), [text]);
    const long = lines.length > FOLDED_LINES || text.length > PART;
    let shown = text;
    if (long && !open) {
        shown = (
            kind === 'failure' ? lines.slice(-FOLDED_LINES) : lines.slice(0, FOLDED_LINES)
        ).join('\n');
        shown = kind === 'failure' ? shown.slice(-PART) : shown.slice(0, PART);
    }
    const parts = useMemo(() => (kind === 'failure' ? failure(shown) : ansi(shown)), [shown, kind]);
    return (
        <div class="block">
            {long && (
                <button
                    type="button"
                    class="fold"
                    aria-expanded={open}
                    onClick={() => setOpen(!open)}
                >
                    {open ? 'fold' : `show all ${lines.length.toLocaleString('en')} lines`}
                </button>
            )}
            {long && !open && (
                <p class="left-out">
                    {FOLDED_LINES} of {lines.length.toLocaleString('en')} lines, the{' '}
                    {kind === 'failure' ? 'last' : 'first'}:
                </p>
            )}
            <pre class={kind} tabIndex={0} role="group" aria-label={label}>
                {parts}
            </pre>
        </div>
    );
}

/** An id or a message as it can stand in a line. */
export const line = (text: string): string => tame(text, false).replace(/\n/g, '\u240a');
