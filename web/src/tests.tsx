// Every test, however many there are.
import { useFilters } from './filters';
import { seconds } from './format';
import { type Outcome, OUTCOMES, type Result, words } from './model';
import { Badge, linkTo } from './parts';
import { List } from './list';
import { line } from './text';

export function Tests({ result, outcome }: { result: Result; outcome?: string }) {
    const first = OUTCOMES.filter((name): name is Outcome => name === outcome);
    const { found, form } = useFilters(result, result.tests, false, first);
    const { one, many } = words(result);
    const capital = (word: string) => word[0].toUpperCase() + word.slice(1);
    return (
        <>
            <h2>All {many}</h2>
            {form}
            <List
                count={found.length}
                rowHeight={34}
                label={capital(many)}
                head={
                    <>
                        <span role="columnheader">Outcome</span>
                        <span role="columnheader">{capital(one)}</span>
                        <span role="columnheader" class="number">
                            Time
                        </span>
                    </>
                }
                row={(index) => {
                    const test = found[index];
                    return (
                        <>
                            <span role="cell">
                                <Badge outcome={test.outcome} />
                            </span>
                            <span role="cell" class="name">
                                <a href={linkTo(test)} title={line(test.id)}>
                                    <span class="file">
                                        {line(test.id.slice(0, test.id.length - test.name.length))}
                                    </span>
                                    {line(test.name)}
                                </a>
                            </span>
                            <span role="cell" class="number">
                                {test.attempts.length > 0 ? seconds(test.time) : '-'}
                            </span>
                        </>
                    );
                }}
            />
        </>
    );
}
