// What qe ui sends: each topic whole, whenever it has changed.
import { useEffect, useReducer } from 'preact/hooks';

import type { Outcome } from '../model';

export interface Running {
  id: string;
  worker: number;
  pid: number;
  pass: number;
  attempt: number;
  phase: string;
  seconds: number;
  expected_s: number | null;
}

export interface LiveRun {
  id: string;
  state: 'running' | 'silent' | 'dead';
  kind: string;
  name: string;
  folder: string;
  command: string[];
  pid: number;
  workers: number;
  started: number;
  told: number;
  done: number;
  all: number;
  outcomes: Partial<Record<Outcome, number>>;
  running: Running[];
  left_s: number | null;
}

/** A file that cannot be read. */
export interface Unreadable {
  id: string;
  state: 'unreadable';
  trouble: string;
}

export interface RunRow {
  id: number;
  started: number;
  wall: number;
  workers: number;
  revision: string;
  branch: string;
  outcomes: Partial<Record<Outcome, number>>;
}

export interface HistoryState {
  state: 'ok' | 'absent' | 'unusable';
  path: string;
  says?: string;
  latest?: RunRow | null;
}

export interface BackgroundRun {
  id: string;
  state: string;
  layers: string[];
  started: number;
  ended: number | null;
  pid: number;
}

export interface Machine {
  cpus: number;
  busy: number;
  load: number[];
  memory: number;
  used: number;
  processes: Record<string, number>;
}

export interface Topics {
  live?: (LiveRun | Unreadable)[];
  history?: HistoryState;
  background?: { runs: BackgroundRun[]; says: string };
  machine?: Machine;
}

const NAMES = ['live', 'history', 'background', 'machine'] as const;
const AGAIN_MS = 3000;

const topics: Topics = {};
let connected = false;
let lost = false;
let reconnections = 0;
let source: EventSource | undefined;
let again: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();

function tell(): void {
  for (const listener of listeners) listener();
}

function close(): void {
  clearTimeout(again);
  source?.close();
  source = undefined;
}

function open(): void {
  close();
  const made = new EventSource('events');
  source = made;
  made.onopen = () => {
    connected = true;
    if (lost) reconnections += 1;
    lost = false;
    tell();
  };
  made.onerror = () => {
    connected = false;
    lost = true;
    // A browser gives up where the answer was no stream, as when there are too many.
    if (made.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_MS);
    tell();
  };
  for (const name of NAMES) {
    made.addEventListener(name, (event) => {
      topics[name] = JSON.parse((event as MessageEvent<string>).data);
      tell();
    });
  }
}

/** A browser allows few connections to one server: a page that nobody sees needs none. */
export function listen(): void {
  const look = () => (document.hidden ? close() : open());
  document.addEventListener('visibilitychange', look);
  addEventListener('pagehide', close);
  look();
}

/** How often the server was lost and found: it may know something else then. */
export const timesFound = (): number => reconnections;

export function useFeed(): Topics & { connected: boolean } {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    const listener = () => redraw(null);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }, []);
  return { ...topics, connected };
}
