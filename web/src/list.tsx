// A list of which only what is in sight exists.
import {
    elementScroll,
    observeElementOffset,
    observeElementRect,
    Virtualizer,
} from '@tanstack/virtual-core';
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useReducer, useRef, useState } from 'preact/hooks';

import { whole } from './format';
import { MOST_PRINTED, usePrinting } from './print';

interface Props {
    count: number;
    rowHeight: number;
    label: string;
    head: ComponentChildren;
    row: (index: number) => ComponentChildren;
}

export function List({ count, rowHeight, label, head, row }: Props) {
    const box = useRef<HTMLDivElement>(null);
    const [, redraw] = useReducer((n: number) => n + 1, 0);
    const options = {
        count,
        getScrollElement: () => box.current,
        estimateSize: () => rowHeight,
        overscan: 10,
        scrollToFn: elementScroll,
        observeElementRect,
        observeElementOffset,
        onChange: () => redraw(null),
    };
    const [virtual] = useState(() => new Virtualizer<HTMLDivElement, HTMLElement>(options));
    virtual.setOptions(options);
    useEffect(() => virtual._didMount(), [virtual]);
    useLayoutEffect(() => virtual._willUpdate());
    const printing = usePrinting();
    const printed = printing ? Math.min(count, MOST_PRINTED) : 0;
    // A filter leaves other rows: one begins at their top.
    useEffect(() => box.current?.scrollTo({ top: 0 }), [count]);
    return (
        <div class="list" role="table" aria-label={label} aria-rowcount={count + 1}>
            <div class="head" role="row" aria-rowindex={1}>
                {head}
            </div>
            <div class="rows" ref={box} tabIndex={0} role="rowgroup" aria-label={label}>
                {printing ? (
                    Array.from({ length: printed }, (_, index) => (
                        <div key={index} class="row" role="row">
                            {row(index)}
                        </div>
                    ))
                ) : (
                    <div
                        role="presentation"
                        style={{ height: `${virtual.getTotalSize()}px`, position: 'relative' }}
                    >
                        {virtual.getVirtualItems().map((item) => (
                            <div
                                key={item.index}
                                class="row"
                                role="row"
                                aria-rowindex={item.index + 2}
                                style={{
                                    transform: `translateY(${item.start}px)`,
                                    height: `${rowHeight}px`,
                                }}
                            >
                                {row(item.index)}
                            </div>
                        ))}
                    </div>
                )}
            </div>
            {printing && printed < count && (
                <p class="left-out">
                    {whole(count - printed)} of {whole(count)} rows are left out: filter, then print
                    again.
                </p>
            )}
        </div>
    );
}
