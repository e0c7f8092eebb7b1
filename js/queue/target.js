'use strict';
// Which run is shared, and where its queue is, by options and the environment.

const { GoneError, UsageError } = require('../usage');
const { projectOf, runOf } = require('./names');
const { serverOf, takePassword } = require('./server');

/** What all keys on the server begin with. */
const PREFIX = 'qe';
/** These say that the server is not there, or will not have us; others, what is wrong here. */
const GONE = new Set(['QE_EGONE', 'QE_EUNSUPPORTED', 'QE_ESYS', 'QE_EBUSY']);

/**
 * An address, or a text with one in it, without its password: up to the last @ of the host's,
 * as the address is read, whatever else is in the password.
 */
const hidden = (text) =>
  text.replace(/(rediss?:\/\/[^\s:/]*):(?:[^/\n]*@|\S*@)+/g, (_, before) => `${before}:***@`);

/** An error of the addon's as one line for people, with an exit status. */
function told({ code, message }) {
  const Kind = GONE.has(code) ? GoneError : UsageError;
  return Object.assign(new Kind(hidden(message)), { code });
}

/** The runs of a project, and where they are. */
class Source {
  /**
   * @param {string} url of the server
   * @param {{queueProject?: string, queuePasswordFile?: string, queueCaFile?: string}} options
   *   instead of what the environment says
   * @param {string} folder the project's
   * @throws UsageError
   */
  constructor(url, options, folder) {
    this.server = serverOf(url, options);
    this.project = projectOf(options.queueProject, folder);
    this.addon = require('./addon').load();
  }

  /**
   * Connects as one who is no node of any run, for as long as `use` takes.
   *
   * @param {(reader: object) => Promise<T>} use is given the addon's reader
   * @param {number} [timeout] seconds for each command
   * @returns {Promise<T>}
   * @throws (rejects) UsageError, GoneError without a server
   */
  async read(use, timeout) {
    const { server, project } = this;
    try {
      const reader = new this.addon.Reader({ ...server, project, prefix: PREFIX, timeout });
      await reader.open();
      try {
        return await use(reader);
      } finally {
        reader.close();
      }
    } catch (error) {
      throw error.code?.startsWith('QE_') ? told(error) : error;
    }
  }
}

/** A run to be shared: a source, the run's name, and after how many seconds who is not heard
 * of loses what it has; 0: the default. */
class Target extends Source {
  constructor(url, options, folder) {
    super(url, options, folder);
    this.run = runOf(options.run);
    this.lease = options.queueLease ?? 0;
  }
}

/**
 * What the options of a command say of a queue.
 *
 * @param {object} options as parsed: `queue` is its address
 * @param {string} folder the project's
 * @returns {Target}
 * @throws UsageError
 */
function wantedOf(options, folder) {
  try {
    const target = new Target(options.queue, options, folder);
    takePassword();
    return target;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`--queue: ${hidden(error.message)}`);
  }
}

module.exports = { PREFIX, Source, Target, hidden, told, wantedOf };
