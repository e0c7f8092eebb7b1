'use strict';
// A history that several machines share: a log of runs on a server, followed by a replica here.
// As pytest_qe/sharedhistory.py, with which it shares the replica. Calls to the server block: they
// are made before anything runs, and when all has run.

const crypto = require('node:crypto');
const path = require('node:path');

const qe = require('./addon');
const { FOLDER, HISTORY, historyOfProject, makeQeFolder } = require('./places');
const { PREFIX, Source } = require('./queue/target');
const { UsageError } = require('./usage');

const ANSWER_S = 5; // for each answer
const TAKE_MS = 30_000; // for all that is taken in at once
const MOST_ENTRIES = 1000; // likewise: ours have 200 at most
const MOST_RUNS = 200; // that a history keeps
const LEAST_RUNS = 10;
const KEEP_ATTEMPTS = 1_000_000;
const SERVER = new Set(['QE_EGONE', 'QE_EUNSUPPORTED', 'QE_EFORMAT', 'QE_ESTATE']);

/** An error of the server, or of what it has. */
class ServerError extends Error {}

/** How many runs a history keeps, where each has so many tests. */
const runsKept = (tests) =>
  Math.min(MOST_RUNS, Math.max(LEAST_RUNS, Math.floor(KEEP_ATTEMPTS / Math.max(1, tests))));

/** Whether a history is on a server. Throws UsageError for the address of something else. */
function isShared(given) {
  const [scheme, rest] = (given ?? '').split('://', 2);
  if (rest === undefined) return false;
  if (scheme !== 'redis' && scheme !== 'rediss') {
    throw new UsageError(`--history=${scheme}://…: takes a file, redis://HOST, or rediss://HOST`);
  }
  return true;
}

class SharedHistory {
  #source;
  #above;
  /** What went wrong, each in a line. */
  warnings = [];

  /**
   * Connects to nothing yet.
   *
   * @param {Source} source where it is
   * @param {string} root the project's folder, in whose .qe the replica is
   */
  constructor(source, root) {
    this.#source = source;
    const { url } = source.server;
    const [scheme, rest] = url.split(/:\/\/(.*)/s);
    const at = `${scheme}://${rest.slice(rest.lastIndexOf('@') + 1).replace(/\/+$/, '')}`;
    const text = [at, PREFIX, this.#source.project].join('\0');
    const digest = crypto.createHash('sha256').update(text).digest('hex');
    this.#above = path.join(root, FOLDER);
    this.file = path.join(this.#above, `shared-${digest.slice(0, 12)}`, HISTORY);
  }

  /** Takes in what is new on the server, and appends what it does not have yet. */
  pull() {
    this.#contact('what is known here is used', (replica, log) => {
      this.#take(replica, log);
      this.#send(replica, log);
    });
  }

  /** Appends what was saved here. */
  push() {
    this.#contact('this run is appended at the next contact', (replica, log) =>
      this.#send(replica, log),
    );
  }

  /** Does something with the replica and the server; trouble is a warning. */
  #contact(lost, what) {
    let replica, log;
    try {
      makeQeFolder(this.#above);
      makeQeFolder(path.dirname(this.file));
      replica = new qe.Replica(this.file);
      log = this.#asked(() => {
        const { addon, project, server } = this.#source;
        return new addon.Log({ ...server, project, prefix: PREFIX, timeout: ANSWER_S });
      });
      what(replica, log);
    } catch (error) {
      if (error instanceof UsageError) throw error;
      const { message } = error;
      const says = message.replace('is no run of ours', 'is no history of ours');
      const line = `the shared history: ${says}: ${lost}`;
      const own = `history ${this.file} is not used: ${message}`;
      this.warnings.push(error instanceof ServerError ? line : own);
    } finally {
      log?.close();
      replica?.close();
    }
  }

  /** Asks the server. */
  #asked(call) {
    try {
      return call();
    } catch (error) {
      if (error.code === 'QE_EINVAL') {
        throw new UsageError(`the history's address: ${error.message}`);
      }
      throw SERVER.has(error.code) ? new ServerError(error.message) : error;
    }
  }

  #take(replica, log) {
    const until = Date.now() + TAKE_MS;
    let seen = 0;
    let taken = 0;
    let odd = 0;
    for (;;) {
      const [name, entries] = this.#asked(() => log.read(...replica.followed()));
      if (entries.length === 0) break;
      const found = replica.take(name, entries);
      seen += entries.length;
      taken += found.taken;
      odd += found.odd;
      if (seen >= MOST_ENTRIES || Date.now() > until) {
        this.warnings.push(
          'the shared history: has more than can be taken in at once: the rest comes with the ' +
            'next run',
        );
        break;
      }
    }
    if (odd > 0) {
      this.warnings.push(`the shared history: ${odd} of its entries are no runs: passed over`);
    }
    if (taken > 0) replica.gc(MOST_RUNS);
  }

  #send(replica, log) {
    for (const [name, run] of replica.unsent()) {
      const made = this.#exported(replica, run);
      if (made) this.#asked(() => log.append(name, made[0], runsKept(made[1])));
      replica.sent(name);
    }
  }

  /** null: the run was dropped meanwhile, or is too large. */
  #exported(replica, run) {
    try {
      return replica.export(run);
    } catch (error) {
      if (error.code !== 'QE_ETOOBIG') throw error;
      this.warnings.push('the shared history: takes no run as large as this one');
      return null;
    }
  }
}

/**
 * What a command reads by its option, or by QE_HISTORY: a file, that of the replica where the
 * history is on a server, after a look at that; undefined: nothing says where.
 *
 * @param {string | undefined} given the option's
 * @throws UsageError
 */
function historyFile(given) {
  const asked = given ?? (process.env.QE_HISTORY || undefined);
  if (!isShared(asked)) return asked;
  const root = path.dirname(path.dirname(historyOfProject()));
  const shared = new SharedHistory(new Source(asked, {}, root), root);
  shared.pull();
  for (const text of shared.warnings) process.stderr.write(`qe: warning: ${text}\n`);
  return shared.file;
}

module.exports = { SharedHistory, historyFile, isShared, runsKept };
