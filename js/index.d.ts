/**
 * QE's core for programs: runs units of work in processes of their own, judges them,
 * and remembers them. Linux only; `require` and `import` both work.
 *
 * A wrong argument throws a `TypeError` that names it, with `code` "QE_EINVAL". What the
 * core or the system refuses throws an `Error` whose `code` is the core's ("QE_EBUSY").
 */

/** The version of the core. */
export const VERSION: string;

/** What can become of an attempt, or of a unit. */
export type OutcomeName =
  'none' | 'passed' | 'failed' | 'skipped' | 'error' | 'timeout' | 'crashed' | 'flaky';

/** The core's numbers of outcomes, as {@link Record} takes them. */
export const Outcome: Readonly<{ [Name in OutcomeName]: number }>;

/**
 * The processors that this process may use: its affinity mask, then the quota of its
 * cgroup (`cpu.max`, or `cpu.cfs_quota_us`), rounded up; at least 1.
 */
export function cpuCount(): number;

// ------------------------------------------------------------------ flakiness

/** How flaky a sequence of results is. */
export interface Flakiness {
  /** How many results passed. */
  passes: number;
  /** How many failed. */
  failures: number;
  /** 2 * min(passes, failures) / (passes + failures): 0 is stable, 1 a coin's toss. */
  score: number;
  /** True where some passed and some failed. */
  isFlaky: boolean;
  /** "INTERMITTENT": more than 70 % of neighbouring results are equal. */
  pattern: 'STABLE_PASS' | 'STABLE_FAIL' | 'INTERMITTENT' | 'RANDOM';
}

/**
 * Judges a test by its results, the oldest first: `true` or "passed", `false` or
 * "failed", "error", "timeout", "crashed"; other outcomes are not counted.
 *
 * @throws TypeError where one is something else, or none counts
 */
export function analyze(outcomes: ReadonlyArray<boolean | OutcomeName>): Flakiness;

// ------------------------------------------------------------------------ runs

/** Something to run. */
export interface Unit {
  /** Unique in the run (with `pass`); UTF-8 without NUL. */
  id: string;
  /** The caller's number for it, 0 to 2^32 - 1; its index by default. */
  item?: number;
  /** Units of one scope are kept together where possible; each has its own by default. */
  scope?: string | null;
  /** Which pass over the same units, from 0. */
  pass?: number;
  /** Attempts after the first, 0 to 65535; default 0. */
  retries?: number;
  /** Seconds after which its worker is killed, 0 (default): none; at most 1e9. */
  timeout?: number;
  /** Seconds that it is expected to take: the longest start first. 0: not known. */
  expected?: number;
  /** Runs when all others are done, while nothing else runs. */
  serial?: boolean;
}

/** How units are run. */
export interface RunOptions {
  /** What a worker executes: a program that calls {@link work}. At least one word. */
  argv: readonly string[];
  /** How many attempts run at once, 1 (default) to 1024. */
  workers?: number;
  /** A fresh worker for every unit. */
  isolate?: boolean;
  /** The time limit covers what `work` is given to run alone; always so by default. */
  callOnly?: boolean;
  /** Units start in their order, not the longest first. */
  inOrder?: boolean;
  /** Measure each attempt's own peak of memory, not its worker's so far. */
  peakMemory?: boolean;
  /** The run is given up after more than so many crashed workers; default: no limit. */
  maxRestarts?: number;
  /** Seconds before a unit's first retry; doubles with each. */
  backoff?: number;
  /** Seconds that a worker may take to leave; 0 (default): no limit. */
  endTimeout?: number;
  /** From which each worker's own seed is made, 0 to 2^32 - 1. */
  seed?: number;
}

interface WorkerEvent {
  /** Which of the workers that run at once, from 0. */
  worker: number;
  /** Its process; 0 where there is none. */
  pid: number;
}

interface UnitEvent<U extends Unit> extends WorkerEvent {
  /** The very object that was given. */
  unit: U;
  /** From 1. */
  attempt: number;
}

interface AttemptEnd<U extends Unit> extends UnitEvent<U> {
  /** The attempt's outcome; "none": it is void, and runs as if it had never begun. */
  outcome: OutcomeName;
  /** Whether another attempt follows. */
  again: boolean;
  /** The unit's outcome, where none follows; otherwise null. */
  final: OutcomeName | null;
  /** As `wait(2)` gives it, where the process died; otherwise 0. */
  status: number;
  /** Seconds by the clock. */
  duration: number;
  /** Seconds of processor time; 0 where its process died. */
  cpu: number;
  /** The most memory that was resident. */
  peakBytes: number;
}

export type RunEvent<U extends Unit = Unit> =
  /** A worker began. */
  | ({ kind: 'worker' } & WorkerEvent)
  /** An attempt began, at `start` (seconds since the epoch). */
  | ({ kind: 'start'; start: number } & UnitEvent<U>)
  /** Something that the unit sent. */
  | ({ kind: 'data'; dataKind: number; data: Buffer } & Partial<UnitEvent<U>> & WorkerEvent)
  /** An attempt ended by itself; `message` says what it threw, "" where nothing. */
  | ({ kind: 'finish'; message: string } & AttemptEnd<U>)
  /** An attempt ended with its process: killed at its limit, or crashed. */
  | ({ kind: 'lost' } & AttemptEnd<U>)
  /** A worker ended; `status` is as `wait(2)` gives it. */
  | ({ kind: 'exit'; status: number } & WorkerEvent)
  /** The system would start no worker (`status` is errno); told once, the run goes on. */
  | ({ kind: 'refused'; status: number } & WorkerEvent)
  /** The run ends: too many workers crashed, or none can be started. */
  | ({ kind: 'giveUp' } & WorkerEvent);

/** A run's events, in their order. Leaving its loop early ends all that runs, at once. */
export interface Run<U extends Unit = Unit> extends AsyncIterableIterator<RunEvent<U>> {
  return(value?: unknown): Promise<IteratorResult<RunEvent<U>>>;
  /** Nothing new starts; what runs is let finish, and its events still come. */
  stop(): void;
}

/**
 * Runs units in worker processes; starts at once. Nothing is left running once the
 * iterator is done, left, or collected, or this process ends, however it ends.
 *
 * Events wait in memory until they are read.
 *
 * @example
 * for await (const event of runUnits([{ id: 'a' }], { argv: [process.execPath, 'worker.js'] })) {
 *   if (event.kind === 'finish') console.log(event.unit.id, event.outcome);
 * }
 * @throws TypeError where an argument is wrong; Error where no run can be started
 */
export function runUnits<U extends Unit>(units: readonly U[], options: RunOptions): Run<U>;

/** An attempt, as the function given to {@link work} sees it. */
export interface Attempt {
  /** The unit's index. */
  unit: number;
  /** The caller's number for the unit. */
  item: number;
  pass: number;
  /** From 1. */
  attempt: number;
  /** As in the events. */
  worker: number;
  /** For random generators: by the run's seed and this worker. */
  seed: bigint;
  /** Sends a "data" event; `kind` is the caller's own number, at most 256 MiB of data. */
  send(kind: number, data: Uint8Array): void;
}

/**
 * The worker's side: runs `run` for each unit that it claims, until none is left.
 * What that throws makes the unit fail; its result names the outcome ("passed" where
 * there is none). To be called once, in a process that {@link runUnits} started.
 *
 * @throws Error (rejects) elsewhere
 */
export function work(run: (attempt: Attempt) => Promise<Result | undefined>): Promise<void>;
export function work(run: (attempt: Attempt) => Result | undefined): Promise<void>;
export function work(run: (attempt: Attempt) => void | Promise<void>): Promise<void>;

/** What a unit may make of itself. */
export type Result = Exclude<OutcomeName, 'none'>;

// --------------------------------------------------------------------- results

/** An attempt, as it is remembered. */
export interface RecordedAttempt {
  /** What `addTest` returned. */
  item: number;
  /** Of {@link Outcome}. */
  outcome: number;
  pass?: number;
  /** From 1, the default. */
  attempt?: number;
  worker?: number;
  /** Seconds since the epoch. */
  start?: number;
  /** Seconds by the clock. */
  duration?: number;
  /** Seconds of processor time. */
  cpu?: number;
  peakBytes?: number;
  /** As `wait(2)` gives it. */
  status?: number;
  /** One line. */
  message?: string | null;
}

/** What happened in a run, by test. A NUL in a name or a message becomes U+FFFD. */
export class Record {
  /** Adds a test; returns its number. */
  addTest(id: string): number;
  addAttempt(attempt: RecordedAttempt): void;
  /** The test's outcome, of {@link Outcome}, and what failed in it. */
  setOutcome(item: number, outcome: number, message?: string | null): void;
  /**
   * Writes the result as JSON, whole or not at all.
   *
   * @param run a JSON object as text, what the result has as "run"
   * @param flaky whether each test gets its flakiness
   */
  writeJson(path: string, run?: string | null, flaky?: boolean): void;
}

/** What happened in earlier runs: a database in one file, which several may hold open. */
export class History {
  /**
   * Opens the file, or makes it.
   *
   * @throws Error QE_ECORRUPT: no database of ours; QE_EUNSUPPORTED: a newer version's;
   *   QE_EBUSY: held by another process for 2 seconds; QE_EREADONLY: not to be written
   */
  constructor(path: string);
  /** Expected seconds of each id, by the last passed attempts; 0 where not known. */
  durations(ids: readonly string[]): number[];
  /**
   * Saves a run, whole or not at all.
   *
   * @param started seconds since the epoch
   * @param wall seconds by the clock
   */
  save(record: Record, started: number, wall: number, workers: number): void;
  /** Drops what has expired, and runs but the newest `keep`. */
  gc(keep: number): void;
  /** Keeps a value for `ttl` seconds; 0 (default): for ever. */
  put(key: string, value: string, ttl?: number): void;
  /** The value of a key; null where there is none, or it has expired. */
  get(key: string): string | null;
  /** Closes the file. What is called after it throws (QE_ESTATE), but for this. */
  close(): void;
}
