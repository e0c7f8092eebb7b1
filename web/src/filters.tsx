// Which tests are in sight: by words, outcome, file, mark and worker.
import { useEffect, useMemo, useState } from 'preact/hooks';

import { whole } from './format';
import { distinct, OUTCOMES, type Outcome, type Result, type Test, words } from './model';

/** A longer list of choices is no help; the search finds files, too. */
const MOST_CHOICES = 2000;

interface Chosen {
    words: string;
    outcomes: readonly Outcome[];
    file: string;
    mark: string;
    worker: string;
}

const ANY: Chosen = { words: '', outcomes: [], file: '', mark: '', worker: '' };

/** What was chosen on a page, for who comes back to it from a test. */
const last = new Map<string, Chosen>();

function matches(test: Test, words: string[], chosen: Chosen, deep: boolean): boolean {
    if (chosen.outcomes.length > 0 && !chosen.outcomes.includes(test.outcome)) return false;
    if (chosen.file !== '' && test.file !== chosen.file) return false;
    if (chosen.mark !== '' && !test.marks?.includes(chosen.mark)) return false;
    if (chosen.worker !== '' && !test.attempts.some((a) => a.worker === chosen.worker))
        return false;
    return words.every(
        (word) =>
            test.lower.includes(word) ||
            test.message?.toLowerCase().includes(word) ||
            (deep &&
                test.attempts.some((a) =>
                    a.texts?.some((t) => t.text.toLowerCase().includes(word)),
                )),
    );
}

/**
 * @param tests those to choose from
 * @param deep whether a search looks into tracebacks and output
 */
export function useFilters(result: Result, tests: Test[], deep: boolean, first: Outcome[] = []) {
    const { many, group } = words(result);
    const page = deep ? 'failures' : 'tests';
    const [chosen, choose] = useState<Chosen>(
        first.length > 0 ? { ...ANY, outcomes: first } : (last.get(page) ?? ANY),
    );
    useEffect(() => {
        last.set(page, chosen);
    }, [page, chosen]);
    const set = (part: Partial<Chosen>) => choose({ ...chosen, ...part });
    const found = useMemo(() => {
        const words = chosen.words.toLowerCase().split(/\s+/).filter(Boolean);
        return tests.filter((test) => matches(test, words, chosen, deep));
    }, [tests, chosen, deep]);
    const choices = useMemo(
        () => ({
            files: distinct(tests, (t) => [t.file]),
            marks: distinct(tests, (t) => t.marks ?? []),
            workers: distinct(tests, (t) => t.attempts.map((a) => a.worker)),
        }),
        [tests],
    );
    const counts = useMemo(() => {
        const by = new Map<Outcome, number>();
        for (const test of tests) by.set(test.outcome, (by.get(test.outcome) ?? 0) + 1);
        return by;
    }, [tests]);
    const select = (label: string, name: 'file' | 'mark' | 'worker', all: string[]) =>
        all.length > 1 && all.length <= MOST_CHOICES ? (
            <label>
                {label}
                <select
                    value={chosen[name]}
                    onChange={(e) => set({ [name]: e.currentTarget.value })}
                >
                    <option value="">any</option>
                    {all.map((value) => (
                        <option key={value} value={value}>
                            {value}
                        </option>
                    ))}
                </select>
            </label>
        ) : null;
    const form = (
        <form class="filters" role="search" onSubmit={(e) => e.preventDefault()}>
            <label class="words">
                Search
                <input
                    type="search"
                    value={chosen.words}
                    placeholder={deep ? 'name, message, traceback, output' : 'name or message'}
                    onInput={(e) => set({ words: e.currentTarget.value })}
                />
            </label>
            {select(group === 'layer' ? 'Layer' : 'File', 'file', choices.files)}
            {select('Mark', 'mark', choices.marks)}
            {!result.run.lanes && select('Worker', 'worker', choices.workers)}
            <fieldset>
                <legend>Outcome</legend>
                {OUTCOMES.filter((name) => counts.has(name)).map((name) => (
                    <button
                        key={name}
                        type="button"
                        class={`chip is-${name}`}
                        aria-pressed={chosen.outcomes.includes(name)}
                        onClick={() =>
                            set({
                                outcomes: chosen.outcomes.includes(name)
                                    ? chosen.outcomes.filter((other) => other !== name)
                                    : [...chosen.outcomes, name],
                            })
                        }
                    >
                        {name} {whole(counts.get(name) ?? 0)}
                    </button>
                ))}
            </fieldset>
            <output aria-live="polite">
                {whole(found.length)} of {whole(result.tests.length)} {many}
            </output>
        </form>
    );
    return { found, form };
}
