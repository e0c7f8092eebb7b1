'use strict';
// The server of a queue, and who we are there. A password comes from the environment or
// from a file that nobody else can read; one in the address works, and is never shown.

const fs = require('node:fs');

const { UsageError } = require('../usage');

const LONGEST_PASSWORD = 511;
const MOST_BYTES = 1 << 16; // of a password's file

const wrongFile = (file, why) => new UsageError(`the queue's password file ${file}: ${why}`);

function readFile(file) {
  let fd;
  try {
    fd = fs.openSync(file, 'r');
    const status = fs.fstatSync(fd);
    if (!status.isFile() && !status.isFIFO()) throw wrongFile(file, 'is no file');
    if (status.isFile() && status.mode & 0o077) {
      const mode = (status.mode & 0o7777).toString(8).padStart(4, '0');
      throw wrongFile(file, `others may read it (mode ${mode}): chmod 600 it`);
    }
    const buffer = Buffer.alloc(MOST_BYTES);
    let size = 0;
    for (let got; size < MOST_BYTES; size += got) {
      got = fs.readSync(fd, buffer, size, MOST_BYTES - size, null);
      if (got === 0) break;
    }
    return buffer.subarray(0, size);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw wrongFile(file, error.message);
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}

/** The first line of a file that is ours alone. */
function passwordOf(file) {
  const data = readFile(file);
  const end = data.indexOf('\n');
  const line = end < 0 ? data : data.subarray(0, end);
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line);
  } catch {
    throw wrongFile(file, 'is no UTF-8');
  }
  text = text.replace(/\r+$/, '');
  if (text === '' || Buffer.byteLength(text) > LONGEST_PASSWORD || text.includes('\0')) {
    throw wrongFile(
      file,
      `its first line is empty, or no password of at most ${LONGEST_PASSWORD} bytes`,
    );
  }
  return text;
}

function checkPlain(name, value, most) {
  if (value !== undefined && (value.includes('\0') || Buffer.byteLength(value) > most)) {
    throw new UsageError(`${name}: takes at most ${most} bytes, and no NUL`);
  }
}

let taken; // QE_QUEUE_PASSWORD, once it is not in the environment any more

/** Takes the password out of the environment, as no test needs it; `serverOf` knows it still. */
function takePassword() {
  taken = process.env.QE_QUEUE_PASSWORD || taken;
  delete process.env.QE_QUEUE_PASSWORD;
}

/**
 * @param {string} url redis://HOST[:PORT][/DATABASE], or rediss:// for TLS
 * @param {{queuePasswordFile?: string, queueCaFile?: string}} options instead of what the
 *   environment has
 * @returns {{url: string, user?: string, password?: string, caFile?: string}}
 * @throws UsageError
 */
function serverOf(url, options, environ = process.env) {
  const user = environ.QE_QUEUE_USER || undefined;
  let file = options.queuePasswordFile;
  let password;
  if (file === undefined) {
    const known = environ === process.env ? taken : undefined;
    password = environ.QE_QUEUE_PASSWORD || known;
    file = environ.QE_QUEUE_PASSWORD_FILE || undefined;
  }
  if (password === undefined && file !== undefined) password = passwordOf(file);
  checkPlain("the queue's address", url, 4096);
  checkPlain('QE_QUEUE_USER', user, 127);
  checkPlain('QE_QUEUE_PASSWORD', password, LONGEST_PASSWORD);
  const caFile = options.queueCaFile ?? (environ.QE_QUEUE_CA_FILE || undefined);
  if (caFile !== undefined && !fs.statSync(caFile, { throwIfNoEntry: false })?.isFile()) {
    throw new UsageError(`the queue's CA file: there is no file ${caFile}`);
  }
  return { url, user, password, caFile };
}

module.exports = { serverOf, takePassword };
