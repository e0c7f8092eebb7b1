'use strict';
// What the agents have in common: memory, hooks, metrics, streams and tasks.

const { randomUUID } = require('node:crypto');

const { shown } = require('../frameworks');
const { MemoryStore } = require('../memory');
const { refuse } = require('../units');
const { WarmServers } = require('../warm');
const { camel, snake } = require('./keys');
const { Metrics } = require('./metrics');
const { checkNames, settingsOf } = require('./params');

const HOOKS = ['start', 'attempt', 'retry', 'timeout', 'result', 'cost'];
const METHODS = ['store', 'retrieve', 'delete', 'search'];
const TAIL = 4096; // characters of each stream that are remembered

const hookOf = (kind) => `on${kind[0].toUpperCase()}${kind.slice(1)}`;
const SETTINGS = ['args', 'cwd', 'env', 'template', 'warm', 'limits', 'grace', 'outputBytes'];
const OPTIONS = [
  'agentId',
  'model',
  'memory',
  ...SETTINGS,
  'pricePerCpuHour',
  'cases',
  'outputs',
  'shared',
  ...HOOKS.map(hookOf),
];
const TASK = ['taskId', 'taskType', 'context', 'status', 'createdAt', 'result', 'error'];

const rounded = (value) => Math.round(value * 100) / 100;

/** In percent, to two decimals. */
const share = (part, all) => (all === 0 ? 0 : rounded((100 * part) / all));
const secondsSince = (began) => (performance.now() - began) / 1000;
const each = (value, n) => (n === 0 ? 0 : value / n);

const LONG = ['stdout', 'stderr', 'failures']; // of attempts before the last

const without = (names, value) =>
  Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)));

/** A result with only the ends of what was printed, without a case for each test and without
 * what reports alone need. */
function shortened(result) {
  if (!result.results) return without(['runs'], result);
  const results = result.results.map((one) => {
    return {
      ...without(['cases'], one),
      history: one.history.map((attempt) => without(LONG, attempt)),
      stdout: one.stdout.slice(-TAIL),
      stderr: one.stderr.slice(-TAIL),
    };
  });
  return { ...result, results };
}

/** That a signal has ended a call; what was known by then is its `result`. */
function aborted(signal, result) {
  const error = new Error('the run was aborted', { cause: signal.reason });
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR', result });
}

function checkSignal(signal) {
  if (signal === undefined || signal === null || signal instanceof AbortSignal) return;
  throw refuse(`options.signal: takes an AbortSignal, not ${shown(signal)}`);
}

function checkMemory(memory) {
  const fits =
    memory !== null &&
    typeof memory === 'object' &&
    METHODS.every((name) => typeof memory[name] === 'function');
  if (fits) return memory;
  throw refuse(`options.memory: takes an object with ${METHODS.join(', ')}, not ${shown(memory)}`);
}

class Agent {
  #hooks = {};
  #calls = new Set(); // that are under way
  agentId;
  model;
  memory;
  metrics = new Metrics();
  lastResult = null;

  /** @param {object} more options that only one kind of agent has, by name */
  constructor(options, agentId, more = []) {
    checkNames('options', options, [...OPTIONS, ...more]);
    this.agentId = options.agentId ?? agentId;
    if (typeof this.agentId !== 'string' || this.agentId === '') {
      throw refuse(`options.agentId: takes a string, not ${shown(options.agentId)}`);
    }
    this.model = options.model ?? null;
    this.memory =
      options.memory === undefined || options.memory === null
        ? new MemoryStore()
        : checkMemory(options.memory);
    this.settings = settingsOf(options);
    for (const kind of HOOKS) {
      const hook = options[hookOf(kind)];
      if (hook === undefined || hook === null) continue;
      if (typeof hook !== 'function') {
        throw refuse(`options.${hookOf(kind)}: takes a function, not ${shown(hook)}`);
      }
      this.#hooks[kind] = hook;
    }
  }

  /**
   * Has what runs end: it is interrupted, given its grace, and what is known by then is
   * returned, with `interrupted` set.
   *
   * @param {boolean} [options.atOnce] without grace: it is killed
   */
  stop({ atOnce = false } = {}) {
    for (const call of this.#calls) call.stop({ atOnce });
  }

  /** Holds all that runs, or lets it go on: its time limits stand still meanwhile. */
  pause(on) {
    for (const call of this.#calls) call.run.pause(on);
  }

  /** What was found last, by any process of the project; null where it is not known. */
  async remembered() {
    const found = await this.memory.retrieve(this.constructor.KEY);
    return found === undefined || found === null ? null : camel(found);
  }

  /** Does a task: its `context` are the arguments of the method that its type names. */
  async execute(task) {
    if (task === null || typeof task !== 'object') {
      throw refuse(`task: takes an object, not ${shown(task)}`);
    }
    checkNames('task', task, TASK);
    const { taskId = randomUUID(), taskType, context = {} } = task;
    const told = { taskId, taskType, agentId: this.agentId };
    task.status = 'in_progress';
    try {
      if (!this.constructor.ROUTES.includes(taskType)) {
        const known = this.constructor.ROUTES.join(', ');
        throw refuse(`taskType: takes one of ${known}, not ${shown(taskType)}`);
      }
      if (context === null || typeof context !== 'object') {
        throw refuse(`context: takes an object, not ${shown(context)}`);
      }
      const { testFiles, ...options } = context;
      const result = await this._do(testFiles, options);
      Object.assign(task, { taskId, status: 'completed', result });
      return { ...told, status: 'completed', result, error: null };
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      Object.assign(task, { taskId, status: 'failed', error: error.message });
      return { ...told, status: 'failed', result: null, error: error.message };
    }
  }

  // ------------------------------------------------------------------ inside

  _servers(count = 1) {
    return this.settings.warm ? new WarmServers(count) : null;
  }

  /**
   * The events of a call, after hooks and metrics have had them; then "done" with its result.
   *
   * @param {Run | Hunt} run what goes on
   * @param {(interrupted: boolean) => Promise<object>} end ends what is left; the result
   */
  async *_stream(run, { signal, end, ttl }) {
    let interrupted = false;
    const stop = ({ atOnce = false } = {}) => {
      interrupted = true;
      run.stop({ atOnce });
    };
    const call = { run, stop };
    const onAbort = () => stop();
    this.#calls.add(call);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) stop();
    let result;
    let ended = false;
    try {
      for await (const event of run.events()) {
        await this.#tell(event);
        yield event;
      }
      ended = true;
    } finally {
      this.#calls.delete(call);
      signal?.removeEventListener('abort', onAbort);
      result = await end(interrupted || !ended);
      await this.#remember(result, ttl);
    }
    if (signal?.aborted) throw aborted(signal, result);
    yield { kind: 'done', result };
  }

  async #tell(event) {
    if (!HOOKS.includes(event.kind)) return;
    this.metrics.feed(event);
    await this.#hooks[event.kind]?.(event);
  }

  /** Keeps a result; that it cannot be kept is no reason to lose it. */
  async #remember(result, ttl) {
    this.lastResult = result;
    try {
      await this.memory.store(this.constructor.KEY, snake(shortened(result)), ttl);
    } catch (error) {
      result.warnings.push(`the result is not remembered: ${error.message}`);
    }
  }
}

/** The result of a stream, which is its last event. */
async function resultOf(stream) {
  let result;
  for await (const event of stream) if (event.kind === 'done') ({ result } = event);
  return result;
}

module.exports = { Agent, aborted, checkSignal, each, resultOf, secondsSince, share };
