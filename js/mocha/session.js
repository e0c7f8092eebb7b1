'use strict';
// A run in the parent: starts workers, hears of the tree, and sorts what they send into
// what is to be played, file by file. No spec file is ever loaded in this process.

const fs = require('node:fs');
const path = require('node:path');
const v8 = require('node:v8');

const qe = require('../addon');
const { describe } = require('../ending');
const { decode } = require('../plain');
const { begunLast } = require('../progress');
const { scratch } = require('../scratch');
const { LOOK, hangText, readStack, stackFile } = require('../watchdog');
const { plainError, unloadable, unpack } = require('./errors');
const { Growth } = require('./growth');
const messages = require('./messages');
const { sendable } = require('./modules');
const { ROOT, digest } = require('./tree');
const { STAGES, UnitEvents, toldOf } = require('./unit-events');
const { thingOf } = require('./unit-runner');

const WORKER = path.join(__dirname, 'worker.js');
const MOST_ATTEMPTS = 1000; // at one file: each goes on behind a test that ended its worker
const PATIENCE_MS = 1000; // with tests that run when the run is to end
const MOST_EARLY = 20; // workers that end before they run a test
const MOST_EXITS = 3; // of these, such that nothing has killed
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const print = ({ printed, error }) => (error ? process.stderr : process.stdout).write(printed);

class Session {
  /**
   * @param {string} root mocha's folder
   * @param {Set<number> | null} mine which of the files run: all are loaded
   * @param {object[] | null} passes over all of these, as of `planPasses`
   * @param {object | null} hunt which says what passes follow the first
   * @param {object | null} node this node's part, where a run has several
   */
  constructor(root, files, mochaOptions, options, reports, mine, passes, hunt, node) {
    this.hunt = hunt;
    this.node = node;
    this.files = files;
    this.timeout = options.timeout;
    this.reports = reports;
    this.folder = scratch('qe-mocha');
    this.passes = passes;
    this.events = passes
      ? passes.map(({ pass }) => new UnitEvents(pass, `pass ${pass + 1}`))
      : files.map((file, index) => new UnitEvents(index, file));
    this.turns = node ? [] : this.events; // in the order in which they are played
    this.passOf = new Map(); // by worker: each has one
    this.last = []; // what they print when they exit
    this.leaving = new Set(); // workers that do
    this.atEnd = []; // what workers tell when no file is left
    this.printed = new Map(); // by worker, before the tree is known
    this.environment = { ...process.env };
    this.endings = new Map(); // the last hook that a worker without files has begun
    this.ready = new Set(); // workers that have loaded all
    this.begun = new Set(); // workers that have told of a test or hook
    this.early = { all: 0, exits: 0 }; // workers that ended before that
    this.bad = new Map(); // why a file could not be loaded
    this.done = false;
    this.running = new Set(); // units
    this.changed = () => {};
    this.tree = new Promise((resolve, reject) => {
      this.loaded = resolve;
      this.failed = reject;
    });
    if (mine && !passes) for (const file of this.events) if (!mine.has(file.index)) file.close();
    this.#start(root, mochaOptions, options, mine);
  }

  /** What workers claim, in the order in which that begins; and how many begin at once. */
  #plan(workers, mine) {
    const { files, passes, timeout } = this;
    const count = this.hunt ? Infinity : (passes?.length ?? mine?.size ?? files.length);
    this.workers = Math.max(1, Math.min(workers ?? qe.cpuCount(), count));
    this.limit = timeout && timeout + LOOK; // of a test, from where its worker is killed
    const limits = { retries: MOST_ATTEMPTS, timeout: this.limit };
    if (passes) {
      const units = passes.map(({ pass }) => ({ id: `pass ${pass}`, item: pass, pass, ...limits }));
      return { units, first: this.workers };
    }
    if (this.node) {
      const units = this.reports.shared(files).map((unit) => ({ ...unit, ...limits }));
      return { units, first: this.workers };
    }
    const { order, first } = this.reports.plan(files, this.workers);
    const items = mine ? order.filter((item) => mine.has(item)) : order;
    return {
      units: items.map((item) => ({ id: `${item}:${files[item]}`, item, ...limits })),
      first,
    };
  }

  #start(root, mochaOptions, { workers, maxWorkerRss }, mine) {
    const { files, folder, passes } = this;
    const run = {
      root,
      files,
      folder,
      argv: process.argv,
      options: sendable(passes ? { ...mochaOptions, bail: false } : mochaOptions),
      timeout: this.timeout,
      maxWorkerRss,
      last: mine ? Math.max(...mine) : files.length - 1,
      passes,
      hunts: Boolean(this.hunt),
      mine: mine ? [...mine] : [...files.keys()],
    };
    const file = path.join(folder, 'run');
    fs.writeFileSync(file, v8.serialize(run), { mode: 0o600 });
    process.env.QE_MOCHA_RUN = file;
    const { units, first } = this.#plan(workers, mine);
    const inherited = process.execArgv.filter((arg) => !arg.startsWith('--inspect'));
    this.core = new qe.Session(
      units,
      {
        argv: [process.execPath, ...inherited, WORKER],
        workers: this.workers,
        firstWorkers: first,
        callOnly: true,
        isolate: Boolean(passes),
        inOrder: true, // that of the plan
        lazyEvents: true, // nobody sees some milliseconds
        endTimeout: this.limit,
        source: this.node?.source,
        spare: this.hunt?.spare,
        spareRetries: MOST_ATTEMPTS,
        spareTimeout: this.limit,
        publish: this.reports.publishing(passes ? [] : files),
      },
      (events, end) => this.#take(events, end),
    );
    delete process.env.QE_MOCHA_RUN;
    this.node?.start();
    if (passes?.length === 0) this.hunt.feed(this); // none begins with the run
    this.growth = new Growth(first, this.workers, (wanted) => this.core.grow(wanted));
    this.onSignal = (name) => {
      this.close();
      this.interrupted?.();
      if (this.node) this.node.die(name);
      else process.kill(process.pid, name);
    };
    for (const name of SIGNALS) process.on(name, this.onSignal);
    this.onExit = () => this.close();
    process.on('exit', this.onExit);
  }

  /** One more pass; false: there is no room for it. */
  addPass(spec) {
    const { number, condition, seed, serial, clock, partner } = spec;
    const file = path.join(this.folder, `pass.${number}`);
    fs.writeFileSync(file, v8.serialize(spec), { mode: 0o600 });
    const around = [...(spec.around ?? []), ...(partner === undefined ? [] : ['partner'])];
    const more = { serial, around, partner, clock };
    if (!this.core.pass(number, [number], this.limit, more)) return false;
    this.passes[number] = { pass: number, seed, order: condition };
    this.events[number] = new UnitEvents(number, `pass ${number + 1}`);
    return true;
  }

  noMorePasses() {
    this.core.noMore();
  }

  /** Tests may run: what the parent has set in its environment since is the workers'. */
  go(tree) {
    const environment = {};
    for (const name of new Set([...Object.keys(this.environment), ...Object.keys(process.env)])) {
      const value = process.env[name];
      if (value !== this.environment[name]) environment[name] = value ?? null;
    }
    const file = path.join(this.folder, 'go');
    const text = JSON.stringify({ environment, digests: tree.files.map(digest) });
    fs.writeFileSync(`${file}.new`, text, { mode: 0o600 });
    fs.renameSync(`${file}.new`, file);
  }

  /** No test begins any more; workers leave, for which hooks at the root run. */
  stop() {
    if (this.closed) return;
    fs.writeFileSync(path.join(this.folder, 'stop'), '');
    this.node?.stop();
    this.core.stop();
    this.patience = setInterval(() => {
      if (this.running.size === 0) return;
      this.close();
      this.#over();
    }, PATIENCE_MS);
  }

  /** Writes what the run leaves behind. */
  report(interrupted = false) {
    this.reports.finish({ workers: this.workers, interrupted }, this.growth.cost);
  }

  /** Ends whatever still runs. */
  close() {
    if (this.closed) return;
    this.closed = true;
    for (const name of SIGNALS) process.off(name, this.onSignal);
    process.off('exit', this.onExit);
    this.growth.end();
    if (process.stderr.isTTY && this.hunt) process.stderr.write(this.hunt.told());
    clearInterval(this.patience);
    this.core.close();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  /** Nothing comes any more; other nodes have heard all, too. */
  #over() {
    const over = () => {
      this.done = true;
      if (this.node) this.loaded(null); // unless a worker has loaded something
      this.changed();
    };
    // What has failed has done so, though it might have gone on.
    for (const file of this.node ? this.turns : []) {
      if (file.untold && file.counts.failures.length > 0) this.#tell(file, file.untold);
    }
    if (this.node) this.node.finish().then(over);
    else over();
  }

  #take(events, end) {
    if (this.closed) return;
    try {
      for (const event of events) this.#handle(event);
    } catch (error) {
      this.failed(error);
      this.close();
      throw error;
    }
    if (end) {
      for (const file of this.events) file.close();
      if (!this.node) this.failed(plainError('no worker has loaded the spec files'));
      this.close();
      this.#over();
    }
    this.changed();
  }

  #handle(event) {
    const file = this.#eventsOf(event);
    switch (event.kind) {
      case qe.EV_DATA:
        this.#data(event, file);
        break;
      case qe.EV_START:
        this.running.add(event.unit);
        if (this.node && !this.turns.includes(file)) this.#begin(event, file);
        if (this.passes) this.passOf.set(this.#worker(event), file);
        break;
      case qe.EV_FINISH:
        this.running.delete(event.unit);
        if (!this.passes) {
          this.reports.took(this.files[event.item], Number(event.data.toString()) || 0);
        } else if (process.stderr.isTTY) {
          const told = `qe-mocha: ${file.title} of ${this.passes.length} is over\n`;
          process.stderr.write(this.hunt?.told(file.title) ?? told);
        }
        file.close();
        this.#tell(file, event);
        break;
      case qe.EV_LOST:
        this.running.delete(event.unit);
        if (this.node && !this.turns.includes(file)) this.#begin(event, file);
        this.#lost(event, file);
        if (this.node && !event.again) {
          file.close();
          this.#tell(file, event);
        }
        if (this.hunt && !event.again && event.outcome !== qe.NONE) file.close();
        break;
      case qe.EV_EXIT:
        if (this.ready.has(this.#worker(event))) this.growth.gone();
        if (event.phase === qe.SESSION && event.outcome !== qe.NONE) this.#lostAtEnd(event);
        break;
      case qe.EV_GIVE_UP:
        this.failed(plainError('qe-mocha: no worker can be started'));
        this.atEnd.push({ file: 'the run', lost: 'no worker can be started' });
        break;
      default:
    }
  }

  /** A file is this node's: it is played behind those that are already. */
  #begin(event, file) {
    file.started = event.start || Date.now() / 1000;
    file.untold = event;
    this.turns.push(file);
  }

  /** Other nodes are told of a file. */
  #tell(file, event) {
    this.node?.tell(event, toldOf(file));
    file.untold = null;
  }

  #data(event, file) {
    const target = (item, stage) => (file ? file.push(item, stage) : this.atEnd.push(item));
    const kind = event.dataKind;
    if (kind === messages.STDOUT || kind === messages.STDERR) {
      const worker = this.#worker(event);
      const item = { printed: event.data, error: kind === messages.STDERR, worker };
      // What files print when they are loaded is printed once, not by each worker.
      if (this.treeFrom === undefined) this.#printed(event).push(item);
      else if (this.leaving.has(worker)) this.#printedLast(item);
      else if (this.ready.has(worker)) target(item);
      return;
    }
    const value = decode(event.data);
    switch (kind) {
      case messages.TREE:
        this.#treeFrom(event, value);
        break;
      case messages.LOAD_ERROR:
        this.#unloaded(event, value, file);
        break;
      case messages.READY:
        this.ready.add(this.#worker(event));
        this.growth.ready(value);
        break;
      case messages.EVENT:
        if (value.id) this.begun.add(this.#worker(event));
        if (file) file.note(value);
        else if (value.name === 'hook')
          this.endings.set(this.#worker(event), { ...value, since: Date.now() });
        target({ event: value, worker: this.#worker(event), slot: event.slot }, value.stage);
        break;
      case messages.STAGE:
        file.stages[0].over = true;
        file.stage = 1;
        break;
      case messages.REFUSED:
        this.hunt.refuse(file.index, value);
        break;
      case messages.LEAVING:
        this.leaving.add(this.#worker(event));
        break;
      case messages.STOP:
        target({ stop: true });
        break;
      case messages.UNLOADABLE:
        target({ file: this.files[value], ...this.bad.get(value) });
        break;
      case messages.FILE:
        target({ of: value[0], described: value[1] });
        break;
      case messages.OPEN:
        this.#warn(`${path.relative('', value[0])} left open: ${value[1].join(', ')}`);
        break;
      default:
        throw new Error(`unknown message ${kind}`);
    }
  }

  /**
   * A worker cannot load the files: the run ends with that as it would serially. Where
   * another one can, what this one has claimed is not run, so the run fails with it.
   */
  #unloaded(event, packed, unit) {
    const error = unpack(packed);
    if (this.treeFrom === undefined) {
      this.#playNow(this.#printed(event));
      this.failed(error);
      return;
    }
    const { lost, stack } = unloadable(error, packed);
    unit.push({ file: packed.file ?? unit.title, lost, stack, outcome: qe.ERROR });
    unit.push({ stop: true });
  }

  #worker = (event) => `${event.slot}.${event.epoch}`;

  /** Where an event belongs; null: to no unit, as the worker has left. */
  #eventsOf(event) {
    if (event.unit !== undefined) return this.events[event.item];
    return this.passOf.get(this.#worker(event)) ?? null;
  }

  #printed(event) {
    const worker = this.#worker(event);
    if (!this.printed.has(worker)) this.printed.set(worker, []);
    return this.printed.get(worker);
  }

  /** What listeners of "exit" print: in passes that of the first. */
  #printedLast(item) {
    if (!this.passes || this.passOf.get(item.worker) === this.events[0]) this.last.push(item);
  }

  #treeFrom(event, value) {
    if (this.treeFrom !== undefined) return;
    this.treeFrom = this.#worker(event);
    this.#playNow(this.#printed(event));
    this.printed.clear();
    this.loaded(value);
  }

  #playNow(items) {
    for (const item of items) print(item);
  }

  #warn(text) {
    (this.warnings ??= []).push(text);
  }

  /** What ended a worker, and where it was as far as its watchdog has seen that. */
  #why(event, what) {
    const { outcome } = event;
    if (outcome !== qe.TIMEOUT) {
      return { lost: `Crashed: its worker ${describe(event.status)}${what}`, outcome };
    }
    const stack = readStack(stackFile(this.folder, event.slot));
    return { lost: hangText(this.timeout, stack, what), outcome, stack };
  }

  /** The attempt ended with its process; another one goes on behind what it ran. */
  #lost(event, file) {
    if (event.outcome === qe.NONE) return;
    const marker = path.join(this.folder, `loading.${event.slot}.${event.epoch}`);
    if (fs.existsSync(marker)) {
      const index = Number(fs.readFileSync(marker, 'utf8'));
      if (!this.bad.has(index)) {
        this.bad.set(index, this.#why(event, ' while it loaded this file'));
      }
      this.#playNow(this.#printed(event));
      return;
    }
    const running =
      file.running.get('hook') ?? file.running.get('test') ?? this.#untold(event, file);
    if (!running && !this.begun.has(this.#worker(event))) {
      this.#lostEarly(event);
      return;
    }
    const hook = file.running.has('hook');
    const why = this.#why(event, running ? '' : ' between its tests');
    if (!running) file.push({ file: file.title, ...why });
    else if (running.told) this.#endOf(running, event, file);
    else file.push({ running, hook, ...why, worker: this.#worker(event), slot: event.slot });
    if (running?.id?.[0] === ROOT) file.push({ stop: true }); // a root hook: as in mocha
    file.running.clear();
  }

  /** A test's result had been told, its end not. */
  #endOf({ id, patch }, event, file) {
    const value = { name: 'test end', id, stage: file.stage, patch };
    file.push({ event: value, worker: this.#worker(event), slot: event.slot });
  }

  /**
   * What a worker has noted that it begins, and told nobody, as it was killed between the two:
   * the one behind it does not run that again.
   */
  #untold(event, file) {
    const worker = this.#worker(event);
    const progress = path.join(this.folder, `${event.unit}.progress`);
    const key = begunLast(progress, (name) => /^a\d+\./.test(name) && name.endsWith(`.${worker}`));
    const thing = key && thingOf(key);
    if (!thing || file.ended === thing.id.join()) return undefined;
    const value = { ...thing, stage: file.stage, patch: {}, at: Date.now() };
    file.note(value);
    file.push({ event: value, worker, slot: event.slot });
    return file.running.get(thing.name);
  }

  /**
   * A worker has run nothing. Another one begins, but not for ever: what it requires, or
   * what the files have left to the event loop, would end each.
   */
  #lostEarly(event) {
    this.early.all += 1;
    if (event.outcome === qe.CRASHED && !(event.status & 0x7f)) this.early.exits += 1;
    if (this.early.all <= MOST_EARLY && this.early.exits < MOST_EXITS) return;
    if (this.treeFrom === undefined) {
      this.failed(plainError(this.#why(event, ' before the spec files were loaded').lost));
      return;
    }
    const why = this.#why(event, ' before its tests');
    for (const file of this.events) {
      if (file.isOver) continue;
      // The run stops at the first of them, in serial order.
      file.push({ file: file.title, ...why });
      file.push({ stop: true });
      file.close();
    }
  }

  #lostAtEnd(event) {
    const why = this.#why(event, '');
    const worker = this.#worker(event);
    const pass = this.passOf.get(worker);
    const running = pass ? pass.running.get('hook') : this.endings.get(worker);
    const item = running ? { running, hook: true, worker } : { file: 'the end of a worker' };
    if (pass) pass.push({ ...item, ...why });
    else this.atEnd.push({ ...item, ...why });
  }
}

module.exports = { STAGES, Session, print };
