// What the timeline draws: a lane for each worker, on a canvas.
import type { ScaleLinear } from 'd3-scale';

import { seconds } from './format';
import { type Attempt, OUTCOMES, type Result, type Test } from './model';

/** Room for the names of workers, and for the times above. */
export const LEFT = 56;
export const TOP = 26;

export interface Slot {
  test: Test;
  attempt: Attempt;
  lane: number;
  /** Seconds since the run began. */
  from: number;
  to: number;
}

export interface Lane {
  worker: string;
  slots: Slot[];
}

export function lanesOf({ run, tests }: Result): { lanes: Lane[]; span: number } {
  const by = new Map<string, Lane>();
  let first = Infinity;
  for (const test of tests)
    for (const attempt of test.attempts)
      if (attempt.start > 0) first = Math.min(first, attempt.start);
  const origin = Math.min(run.started ?? Infinity, first);
  let span = 0;
  for (const test of tests) {
    for (const attempt of test.attempts) {
      if (attempt.start <= 0) continue; // not known
      let lane = by.get(attempt.worker);
      if (!lane) by.set(attempt.worker, (lane = { worker: attempt.worker, slots: [] }));
      const from = attempt.start - origin;
      const to = from + attempt.duration;
      span = Math.max(span, to);
      lane.slots.push({ test, attempt, lane: 0, from, to });
    }
  }
  const lanes = [...by.values()].sort((a, b) =>
    a.worker.localeCompare(b.worker, 'en', { numeric: true }),
  );
  lanes.forEach((lane, number) => {
    lane.slots.sort((a, b) => a.from - b.from);
    for (const slot of lane.slots) slot.lane = number;
  });
  return { lanes, span: span || 1 };
}

/** The first of a lane's slots that ends at or after a time. */
function firstFrom(slots: Slot[], time: number): number {
  let low = 0;
  let high = slots.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (slots[middle].to < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

type Scale = ScaleLinear<number, number>;

export function slotAt(lanes: Lane[], time: number, row: number, scale: Scale): Slot | undefined {
  const lane = row < 0 ? undefined : lanes[Math.floor(row)];
  if (!lane) return undefined;
  const near = Math.abs(scale.invert(2) - scale.invert(0)); // two pixels, for the shortest
  const slot = lane.slots[firstFrom(lane.slots, time - near)];
  return slot && slot.from <= time + near ? slot : undefined;
}

interface Picture {
  lanes: Lane[];
  scale: Scale;
  width: number;
  height: number;
  rowHeight: number;
  chosen: Slot | null;
}

type Colours = (name: string) => string;

function drawTimes(pen: CanvasRenderingContext2D, picture: Picture, colour: Colours): void {
  const { scale, width, height } = picture;
  pen.textAlign = 'center';
  pen.textBaseline = 'middle';
  const ticks = Math.max(2, Math.floor(width / 110));
  const [from, to] = scale.domain();
  const short = scale.tickFormat(ticks);
  const told = (tick: number) => (to - from > 600 ? seconds(tick) : `${short(tick)} s`);
  for (const tick of scale.ticks(ticks)) {
    const x = Math.round(scale(tick)) + 0.5;
    if (x < LEFT || x > width - 8) continue;
    pen.strokeStyle = colour('--line');
    pen.beginPath();
    pen.moveTo(x, TOP - 4);
    pen.lineTo(x, height);
    pen.stroke();
    pen.fillStyle = colour('--soft');
    pen.fillText(told(Math.max(0, tick)), Math.min(Math.max(x, LEFT + 12), width - 26), TOP / 2);
  }
}

function drawLane(
  pen: CanvasRenderingContext2D,
  picture: Picture,
  lane: Lane,
  number: number,
  fills: Map<string, string>,
): void {
  const { scale, rowHeight } = picture;
  const [from, to] = scale.domain();
  const y = TOP + number * rowHeight + 1;
  const tall = Math.max(2, rowHeight - 3);
  const weights = new Map<string, number>(OUTCOMES.map((name, i) => [name, i]));
  let covered = -1;
  let weight = Infinity;
  for (let i = firstFrom(lane.slots, from); i < lane.slots.length; i++) {
    const slot = lane.slots[i];
    if (slot.from > to) break;
    const left = Math.max(LEFT, scale(slot.from));
    const right = Math.max(left + 1, scale(slot.to) - (scale(slot.to) - left > 4 ? 1 : 0));
    // Of those that share a pixel the worst is seen.
    const own = weights.get(slot.attempt.outcome) ?? OUTCOMES.length;
    if (right <= covered && own >= weight) continue;
    pen.fillStyle = fills.get(slot.attempt.outcome) ?? '';
    pen.fillRect(left, y, right - left, tall);
    covered = Math.ceil(right);
    weight = own;
    if (slot === picture.chosen) continue;
    if (right - left > 60 && tall >= 14) {
      pen.save();
      pen.beginPath();
      pen.rect(left, y, right - left - 4, tall);
      pen.clip();
      pen.fillStyle = fills.get('text') ?? '';
      pen.fillText(slot.test.name.slice(0, 200), left + 5, y + tall / 2);
      pen.restore();
    }
  }
}

export function draw(canvas: HTMLCanvasElement, picture: Picture): void {
  const { lanes, scale, width, height, rowHeight, chosen } = picture;
  const dots = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * dots);
  canvas.height = Math.round(height * dots);
  const pen = canvas.getContext('2d');
  if (!pen) return;
  const style = getComputedStyle(canvas);
  const colour: Colours = (name) => style.getPropertyValue(name).trim();
  pen.scale(dots, dots);
  pen.font = `12px ${style.fontFamily}`;
  drawTimes(pen, picture, colour);
  const fills = new Map<string, string>(OUTCOMES.map((name) => [name, colour(`--${name}-fill`)]));
  fills.set('text', colour('--on-fill'));
  pen.textBaseline = 'middle';
  lanes.forEach((lane, number) => {
    const y = TOP + number * rowHeight;
    pen.textAlign = 'right';
    pen.fillStyle = colour('--soft');
    if (rowHeight >= 12) pen.fillText(lane.worker, LEFT - 8, y + rowHeight / 2);
    pen.textAlign = 'left';
    drawLane(pen, picture, lane, number, fills);
  });
  if (chosen) {
    const left = scale(chosen.from);
    pen.strokeStyle = colour('--text');
    pen.lineWidth = 2;
    pen.strokeRect(
      left - 1,
      TOP + chosen.lane * rowHeight,
      Math.max(4, scale(chosen.to) - left + 2),
      Math.max(4, rowHeight - 1),
    );
  }
}
