// Durations against history.
import { seconds } from './format';
import type { Test } from './model';

/** Less than this, or than a fifth of it, is no change that means something. */
const LEAST_SECONDS = 0.01;
const LEAST_RATIO = 1.2;

export interface Changed {
    /** More or fewer seconds than the history knew. */
    more: number;
    ratio: number;
    told: boolean;
}

export function changeOf({ took, expected }: Pick<Test, 'took' | 'expected'>): Changed | undefined {
    if (took === undefined || expected === undefined || expected <= 0) return undefined;
    const ratio = took / expected;
    const more = took - expected;
    const much = ratio >= LEAST_RATIO || ratio <= 1 / LEAST_RATIO;
    return { more, ratio, told: much && Math.abs(more) >= LEAST_SECONDS };
}

function times(ratio: number): string {
    return `${ratio >= 9.95 ? Math.round(ratio) : ratio.toFixed(1)}×`;
}

export function Change({ change }: { change: Changed | undefined }) {
    if (!change) return <>-</>;
    if (!change.told) return <>as before</>;
    const size = seconds(Math.abs(change.more));
    return change.more > 0 ? (
        <span class="slower">
            {size} slower ({times(change.ratio)})
        </span>
    ) : (
        <span class="faster">
            {size} faster ({times(1 / change.ratio)})
        </span>
    );
}
