// Charts, each with a sentence that says what it shows; tables beside them have the numbers.
import { scaleLinear } from 'd3-scale';
import type { ComponentChildren } from 'preact';
import { useRef } from 'preact/hooks';

import { percent, seconds } from '../format';
import { hasFailed, type Outcome } from '../model';
import { useSize } from '../timeline';

const HEIGHT = 190;
const LEFT = 62;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 26;

interface Frame {
    width: number;
    y: (value: number) => number;
}

interface ChartProps {
    label: string;
    /** Values from 0 to the highest on the left. */
    most: number;
    told: (value: number) => string;
    children: (frame: Frame) => ComponentChildren;
}

function Chart({ label, most, told, children }: ChartProps) {
    const box = useRef<HTMLDivElement>(null);
    const width = useSize(box);
    const y = scaleLinear([0, most || 1], [HEIGHT - BOTTOM, TOP]);
    return (
        <div class="chart" ref={box}>
            <svg role="img" aria-label={label} width={width} height={HEIGHT}>
                {y.ticks(4).map((tick) => (
                    <g key={tick}>
                        <line
                            class="grid"
                            x1={LEFT}
                            x2={width - RIGHT}
                            y1={Math.round(y(tick)) + 0.5}
                            y2={Math.round(y(tick)) + 0.5}
                        />
                        <text class="tick" x={LEFT - 6} y={y(tick) + 4} text-anchor="end">
                            {told(tick)}
                        </text>
                    </g>
                ))}
                {children({ width, y })}
            </svg>
        </div>
    );
}

export interface Bar {
    key: string | number;
    value: number;
    outcome: Outcome;
    title: string;
    href: string;
    name: string;
}

/** A bar each, the oldest on the left; a click opens it, as does its row of the table. */
export function Bars({ bars, label }: { bars: Bar[]; label: string }) {
    const most = Math.max(...bars.map((bar) => bar.value), 0);
    return (
        <Chart label={label} most={most} told={seconds}>
            {({ width, y }) => {
                const step = (width - LEFT - RIGHT) / Math.max(bars.length, 12);
                const every = Math.ceil(44 / step);
                return bars.map((bar, i) => (
                    <g key={bar.key}>
                        <rect
                            class={`mark is-${bar.outcome}`}
                            x={LEFT + i * step + 1}
                            width={Math.max(1, step - 2)}
                            y={Math.min(y(bar.value), HEIGHT - BOTTOM - 2)}
                            height={Math.max(2, HEIGHT - BOTTOM - y(bar.value))}
                            onClick={() => location.assign(bar.href)}
                        >
                            <title>{bar.title}</title>
                        </rect>
                        {(bars.length - 1 - i) % every === 0 && (
                            <text
                                class="tick"
                                x={LEFT + (i + 0.5) * step}
                                y={HEIGHT - 8}
                                text-anchor="middle"
                            >
                                {bar.name}
                            </text>
                        )}
                    </g>
                ));
            }}
        </Chart>
    );
}

export interface Dot {
    key: string;
    value: number;
    outcome: Outcome;
    title: string;
}

/** A dot each, in order, the oldest on the left; what failed is square, not only red. */
export function Dots({ dots, label }: { dots: Dot[]; label: string }) {
    const most = Math.max(...dots.map((dot) => dot.value), 0);
    return (
        <Chart label={label} most={most} told={seconds}>
            {({ width, y }) => {
                const step = (width - LEFT - RIGHT) / Math.max(dots.length, 12);
                return (
                    <>
                        {dots.map((dot, i) => {
                            const x = LEFT + (i + 0.5) * step;
                            const title = <title>{dot.title}</title>;
                            return hasFailed(dot.outcome) ? (
                                <rect
                                    key={dot.key}
                                    class={`mark is-${dot.outcome}`}
                                    x={x - 4}
                                    y={y(dot.value) - 4}
                                    width={8}
                                    height={8}
                                >
                                    {title}
                                </rect>
                            ) : (
                                <circle
                                    key={dot.key}
                                    class={`mark is-${dot.outcome}`}
                                    cx={x}
                                    cy={y(dot.value)}
                                    r={4}
                                >
                                    {title}
                                </circle>
                            );
                        })}
                        <text class="tick" x={LEFT} y={HEIGHT - 8}>
                            older
                        </text>
                        <text class="tick" x={width - RIGHT} y={HEIGHT - 8} text-anchor="end">
                            newer
                        </text>
                    </>
                );
            }}
        </Chart>
    );
}

export interface Rate {
    name: string;
    rate: number;
    low: number;
    high: number;
    title: string;
}

/** Failure rates, each with its interval, in order, the oldest on the left. */
export function Rates({ rates, label }: { rates: Rate[]; label: string }) {
    const most = Math.max(...rates.map((one) => one.high), 0.05);
    return (
        <Chart label={label} most={Math.min(1, most)} told={percent}>
            {({ width, y }) => {
                const step = (width - LEFT - RIGHT) / Math.max(rates.length, 6);
                const every = Math.ceil(84 / step);
                return rates.map((one, i) => {
                    const x = LEFT + (i + 0.5) * step;
                    return (
                        <g key={one.name} class="rate">
                            <line x1={x} x2={x} y1={y(one.low)} y2={y(one.high)} />
                            <circle cx={x} cy={y(one.rate)} r={4} />
                            <title>{one.title}</title>
                            {(rates.length - 1 - i) % every === 0 && (
                                <text class="tick" x={x} y={HEIGHT - 8} text-anchor="middle">
                                    {one.name}
                                </text>
                            )}
                        </g>
                    );
                });
            }}
        </Chart>
    );
}

/** A rate and its interval, as a cell shows them; the words stand beside it. */
export function Interval({ rate, low, high }: { rate: number; low: number; high: number }) {
    return (
        <svg class="interval" width={120} height={14} aria-hidden="true">
            <line class="grid" x1={0} x2={120} y1={7.5} y2={7.5} />
            <rect x={120 * low} width={Math.max(2, 120 * (high - low))} y={4} height={7} rx={2} />
            <circle cx={Math.min(116, Math.max(4, 120 * rate))} cy={7.5} r={4} />
        </svg>
    );
}
