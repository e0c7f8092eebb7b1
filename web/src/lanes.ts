// What the timeline draws: a lane for each worker, on a canvas.
import type { ScaleLinear } from 'd3-scale';

import { seconds } from './format';
import { type Attempt, OUTCOMES, type Result, type Test } from './model';
import { line } from './text';

/** Room for the times above. */
export const TOP = 26;
/** ... and for the names of tracks: as much as they take, up to this. */
const MOST_LEFT = 260;

export interface Slot {
  test: Test;
  attempt: Attempt;
  lane: number;
  /** Seconds since the run began. */
  from: number;
  to: number;
}

/** A time in which nothing ran, and why. */
export interface Pause {
  what: string;
  from: number;
  to: number;
}

export interface Lane {
  worker: string;
  name: string;
  slots: Slot[];
  pauses: Pause[];
}

export function lanesOf({ run, tests }: Result): { lanes: Lane[]; span: number; left: number } {
  const by = new Map<string, Lane>();
  let first = Infinity;
  for (const test of tests)
    for (const attempt of test.attempts)
      if (attempt.start > 0) first = Math.min(first, attempt.start);
  const waits = run.waits ?? [];
  const origin = waits.reduce(
    (least, wait) => Math.min(least, wait.start),
    Math.min(run.started ?? Infinity, first),
  );
  let span = 0;
  const laneOf = (worker: string): Lane => {
    let lane = by.get(worker);
    if (!lane) {
      lane = { worker, name: line(run.lanes?.[worker] ?? worker), slots: [], pauses: [] };
      by.set(worker, lane);
    }
    return lane;
  };
  for (const { worker, what, start, duration } of waits) {
    const from = start - origin;
    laneOf(worker).pauses.push({ what, from, to: from + duration });
    span = Math.max(span, from + duration);
  }
  for (const test of tests) {
    for (const attempt of test.attempts) {
      if (attempt.start <= 0) continue; // not known
      const lane = laneOf(attempt.worker);
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
  const longest = lanes.reduce((most, lane) => Math.max(most, lane.name.length), 0);
  const left = Math.min(MOST_LEFT, Math.max(56, 7.2 * longest + 16));
  return { lanes, span: span || 1, left };
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

export const pauseAt = (lanes: Lane[], time: number, row: number): Pause | undefined =>
  lanes[row < 0 ? lanes.length : Math.floor(row)]?.pauses.find(
    (one) => one.from <= time && time <= one.to,
  );

interface Picture {
  left: number;
  lanes: Lane[];
  scale: Scale;
  width: number;
  height: number;
  rowHeight: number;
  chosen: Slot | null;
}

type Colours = (name: string) => string;

function drawTimes(pen: CanvasRenderingContext2D, picture: Picture, colour: Colours): void {
  const { scale, width, height, left: begin } = picture;
  pen.textAlign = 'center';
  pen.textBaseline = 'middle';
  const ticks = Math.max(2, Math.floor(width / 110));
  const [from, to] = scale.domain();
  const short = scale.tickFormat(ticks);
  const told = (tick: number) => (to - from > 600 ? seconds(tick) : `${short(tick)} s`);
  for (const tick of scale.ticks(ticks)) {
    const x = Math.round(scale(tick)) + 0.5;
    if (x < begin || x > width - 8) continue;
    pen.strokeStyle = colour('--line');
    pen.beginPath();
    pen.moveTo(x, TOP - 4);
    pen.lineTo(x, height);
    pen.stroke();
    pen.fillStyle = colour('--soft');
    pen.fillText(told(Math.max(0, tick)), Math.min(Math.max(x, begin + 12), width - 26), TOP / 2);
  }
}

/** A thin line where a track waited. */
function drawPauses(
  pen: CanvasRenderingContext2D,
  { scale, rowHeight, left: begin, width }: Picture,
  lane: Lane,
  y: number,
  colour: Colours,
): void {
  pen.strokeStyle = colour('--soft');
  pen.setLineDash([2, 3]);
  for (const pause of lane.pauses) {
    const left = Math.max(begin, scale(pause.from));
    const right = Math.min(width - 8, scale(pause.to));
    if (right <= left) continue;
    pen.beginPath();
    pen.moveTo(left, y + rowHeight / 2);
    pen.lineTo(right, y + rowHeight / 2);
    pen.stroke();
  }
  pen.setLineDash([]);
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
    const left = Math.max(picture.left, scale(slot.from));
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
  const { lanes, scale, width, height, rowHeight, chosen, left: begin } = picture;
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
    if (rowHeight >= 12) pen.fillText(lane.name, begin - 8, y + rowHeight / 2, begin - 12);
    pen.textAlign = 'left';
    drawPauses(pen, picture, lane, y, colour);
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
