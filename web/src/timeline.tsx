// Workers over time, with every attempt.
import { scaleLinear } from 'd3-scale';
import { select } from 'd3-selection';
import { zoom, type ZoomBehavior, zoomIdentity, type ZoomTransform } from 'd3-zoom';
import { useEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks';

import { count, seconds } from './format';
import { draw, type Lane, lanesOf, pauseAt, type Slot, slotAt, TOP } from './lanes';
import { OUTCOMES, type Result, type Test } from './model';
import { facts, linkTo } from './parts';
import { line } from './text';

const MOST_ZOOM = 1e6;

function told(slot: Slot): string {
    const again = slot.attempt.attempt > 1 ? `, attempt ${slot.attempt.attempt}` : '';
    const pass = slot.attempt.pass === undefined ? '' : `, pass ${slot.attempt.pass + 1}`;
    return `${slot.attempt.outcome}: ${line(slot.test.id)}${pass}${again}, ${facts(slot.attempt)}`;
}

export function useSize(box: { current: HTMLElement | null }): number {
    const [width, setWidth] = useState(800);
    useEffect(() => {
        if (!box.current) return undefined;
        const watcher = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
        watcher.observe(box.current);
        return () => watcher.disconnect();
    }, [box]);
    return width;
}

interface Props {
    result: Result;
    /** Where a click on an attempt leads. */
    link?: (test: Test) => string;
}

export function Timeline({ result, link = linkTo }: Props) {
    const box = useRef<HTMLDivElement>(null);
    const canvas = useRef<HTMLCanvasElement>(null);
    const behaviour = useRef<ZoomBehavior<HTMLCanvasElement, unknown>>(null);
    const { lanes, span, left } = useMemo(() => lanesOf(result), [result]);
    const seen = useMemo(
        () => new Set(lanes.flatMap((lane) => lane.slots.map((slot) => slot.attempt.outcome))),
        [lanes],
    );
    const [view, setView] = useState<ZoomTransform>(zoomIdentity);
    const [chosen, choose] = useState<Slot>();
    const [hovered, hover] = useState<{ text: string; x: number; y: number }>();
    const [scheme, dark] = useReducer((n: number) => n + 1, 0);
    const width = useSize(box);
    const rowHeight = Math.max(6, Math.min(30, 900 / Math.max(1, lanes.length)));
    const height = TOP + lanes.length * rowHeight + 4;
    const base = scaleLinear([0, span], [left, width - 8]);
    const scale = view.rescaleX(base);

    useEffect(() => {
        const media = matchMedia('(prefers-color-scheme: dark)');
        media.addEventListener('change', dark);
        return () => media.removeEventListener('change', dark);
    }, []);

    useEffect(() => {
        if (!canvas.current) return;
        behaviour.current = zoom<HTMLCanvasElement, unknown>()
            .scaleExtent([1, MOST_ZOOM])
            .extent([
                [left, 0],
                [width - 8, height],
            ])
            .translateExtent([
                [left, 0],
                [width - 8, height],
            ])
            .on('zoom', (event: { transform: ZoomTransform }) => setView(event.transform));
        select(canvas.current).call(behaviour.current).on('dblclick.zoom', null);
    }, [width, height, left]);

    useEffect(() => {
        if (canvas.current)
            draw(canvas.current, {
                lanes,
                scale,
                width,
                height,
                rowHeight,
                left,
                chosen: chosen ?? null,
            });
    }, [lanes, view, width, height, rowHeight, left, chosen, scheme]);

    const zoomBy = (factor: number) => {
        if (!canvas.current || !behaviour.current) return;
        const at: [number, number] | undefined = chosen && [scale(chosen.from), 0];
        behaviour.current.scaleBy(select(canvas.current), factor, at);
    };
    const reset = () => {
        if (canvas.current) behaviour.current?.transform(select(canvas.current), zoomIdentity);
    };
    const pan = (share: number) => {
        if (canvas.current)
            behaviour.current?.translateBy(select(canvas.current), (share * width) / view.k, 0);
    };
    const show = (slot: Slot | undefined) => {
        if (!slot) return;
        choose(slot);
        const [from, to] = scale.domain();
        if (canvas.current && (slot.from < from || slot.from > to))
            behaviour.current?.translateTo(select(canvas.current), base(slot.from), 0);
    };
    const step = (lanesOn: number, slotsOn: number) => {
        if (!chosen) return show(lanes.find((one) => one.slots.length > 0)?.slots[0]);
        const lane = lanes[chosen.lane];
        if (lanesOn !== 0) {
            // One in which nothing ran is passed over.
            let next = chosen.lane + lanesOn;
            while (lanes[next]?.slots.length === 0) next += lanesOn;
            return show(lanes[next] && nearest(lanes[next], chosen.from));
        }
        return show(lane.slots[lane.slots.indexOf(chosen) + slotsOn]);
    };
    const keys: Record<string, () => void> = {
        '+': () => zoomBy(2),
        '=': () => zoomBy(2),
        '-': () => zoomBy(0.5),
        0: reset,
        ArrowLeft: () => step(0, -1),
        ArrowRight: () => step(0, 1),
        ArrowUp: () => step(-1, 0),
        ArrowDown: () => step(1, 0),
        Enter: () => chosen && location.assign(link(chosen.test)),
        PageUp: () => pan(0.5),
        PageDown: () => pan(-0.5),
    };
    const at = (event: MouseEvent) =>
        slotAt(lanes, scale.invert(event.offsetX), (event.offsetY - TOP) / rowHeight, scale);
    const saidAt = (event: MouseEvent) => {
        const slot = at(event);
        if (slot) return told(slot);
        const row = (event.offsetY - TOP) / rowHeight;
        const pause = pauseAt(lanes, scale.invert(event.offsetX), row);
        return pause && `waits ${seconds(pause.to - pause.from)}: ${line(pause.what)}`;
    };
    const [from, to] = scale.domain();
    const tracks = result.run.lanes ? 'track' : 'worker';
    return (
        <>
            <h2>Timeline</h2>
            <div class="tools">
                <button type="button" onClick={() => zoomBy(2)} aria-label="Zoom in">
                    +
                </button>
                <button type="button" onClick={() => zoomBy(0.5)} aria-label="Zoom out">
                    −
                </button>
                <button type="button" onClick={reset}>
                    all
                </button>
                <span class="range">
                    {seconds(Math.max(0, from))} to {seconds(Math.min(span, to))}
                </span>
                <span class="small" id="timeline-keys">
                    Wheel or + − zoom, drag pans; arrow keys choose an attempt, Enter opens it.
                </span>
            </div>
            <div class="canvas" ref={box}>
                <canvas
                    ref={canvas}
                    tabIndex={0}
                    role="application"
                    aria-label={`Timeline of ${count(lanes.length, tracks)} over ${seconds(span)}`}
                    aria-describedby="timeline-keys"
                    style={{ width: `${width}px`, height: `${height}px` }}
                    onKeyDown={(event) => {
                        const act = keys[event.key];
                        if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
                        event.preventDefault();
                        act();
                    }}
                    onMouseMove={(event) => {
                        const text = saidAt(event);
                        hover(text ? { text, x: event.offsetX, y: event.offsetY } : undefined);
                    }}
                    onMouseLeave={() => hover(undefined)}
                    onClick={(event) => {
                        const slot = at(event);
                        if (slot) location.assign(link(slot.test));
                    }}
                />
                {hovered && (
                    <div
                        class="tip"
                        style={{
                            left: `${Math.min(hovered.x + 12, width - 320)}px`,
                            top: `${hovered.y + 16}px`,
                        }}
                    >
                        {hovered.text}
                    </div>
                )}
            </div>
            <ul class="legend" aria-label="Colours">
                {OUTCOMES.filter((name) => seen.has(name) && name !== 'none').map((name) => (
                    <li key={name} class={`is-${name}`}>
                        {name}
                    </li>
                ))}
            </ul>
            <p class="chosen" role="status">
                {chosen ? told(chosen) : ''}
            </p>
        </>
    );
}

/** The attempt of a lane that runs, or begins next, at a time; otherwise its last. */
function nearest(lane: Lane, time: number): Slot | undefined {
    return lane.slots.find((slot) => slot.to >= time) ?? lane.slots.at(-1);
}
