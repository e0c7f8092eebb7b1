// One test: what it did, each time it ran.
import { Change, changeOf } from './change';
import { seconds } from './format';
import { type Result, type Test, worstAttempt } from './model';
import { Badge, Command, facts, Texts } from './parts';
import { line } from './text';

/** Of a hunt's thousands of passes: those that failed, and so many others. */
const MOST_ATTEMPTS = 200;

/** How long it took, held against what the history knew before the run. */
function Against({ test }: { test: Test }) {
    const change = changeOf(test);
    if (!change || test.expected === undefined) return null;
    return (
        <p class="against">
            {seconds(test.took ?? 0)}, where the history had {seconds(test.expected)}:{' '}
            <Change change={change} />
        </p>
    );
}

export function Detail({ test, result }: { test: Test; result: Result }) {
    const command = result.run.commands?.[test.id];
    const shown =
        test.attempts.length <= MOST_ATTEMPTS
            ? test.attempts
            : [
                  ...test.attempts.filter((a) => a.outcome !== 'passed').slice(0, MOST_ATTEMPTS),
                  ...test.attempts.filter((a) => a.outcome === 'passed').slice(0, 20),
              ];
    const worst = worstAttempt(test);
    return (
        <article class="detail">
            <h2 tabIndex={-1}>{line(test.name)}</h2>
            <p>
                <Badge outcome={test.outcome} /> {line(test.file)}
                {test.marks?.map((mark) => (
                    <span key={mark} class="mark">
                        {line(mark)}
                    </span>
                ))}
                {test.quarantined && <span class="mark">quarantined</span>}
            </p>
            {test.message && <p class="message">{line(test.message)}</p>}
            <Against test={test} />
            {command && <Command text={command} />}
            <h3>
                {test.attempts.length === 1
                    ? '1 attempt'
                    : `${test.attempts.length} attempts, ${seconds(test.time)} together`}
            </h3>
            {shown.map((attempt, i) => (
                <details key={i} open={attempt === worst}>
                    <summary>
                        <Badge outcome={attempt.outcome} />{' '}
                        {attempt.pass === undefined
                            ? `attempt ${attempt.attempt}`
                            : `pass ${attempt.pass + 1}, attempt ${attempt.attempt}`}
                        : {facts(attempt)}
                    </summary>
                    <Texts attempt={attempt} />
                </details>
            ))}
            {shown.length < test.attempts.length && (
                <p>{test.attempts.length - shown.length} more passed.</p>
            )}
        </article>
    );
}
