'use strict';
// A run's temporary folder. Its name says whose it is: what a parent that was killed has
// left is removed when the next one starts.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { UsageError } = require('./usage');

/** Which numbers of processes mean the same: containers may share a temporary folder. */
function namespace() {
  try {
    return /\d+/.exec(fs.readlinkSync('/proc/self/ns/pid'))[0];
  } catch {
    return '0';
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== 'ESRCH';
  }
}

/** Removes what dead parents have left. */
function sweep(program, mine) {
  const form = new RegExp(`^${program}-${mine}-(\\d+)-[^-]+$`);
  for (const name of fs.readdirSync(os.tmpdir())) {
    const [, pid] = form.exec(name) ?? [];
    if (pid === undefined || isAlive(Number(pid))) continue;
    try {
      fs.rmSync(path.join(os.tmpdir(), name), { recursive: true, force: true });
    } catch {
      // another user's
    }
  }
}

/** Makes the folder, for this process alone. */
function scratch(program) {
  const mine = namespace();
  try {
    sweep(program, mine);
  } catch {
    // a folder that cannot be listed
  }
  const folder = os.tmpdir();
  try {
    return fs.mkdtempSync(path.join(folder, `${program}-${mine}-${process.pid}-`));
  } catch (error) {
    throw new UsageError(`TMPDIR: ${folder}: no folder can be made there (${error.code})`);
  }
}

/**
 * Gives this process, and what it starts, a folder for temporary files that those have
 * which ask with the same number; it goes with the run's folder. The home is left: what
 * programs need may lie there.
 */
function ownTemporary(folder, number) {
  const own = path.join(folder, `tmp.${number}`);
  fs.mkdirSync(own, { recursive: true, mode: 0o700 });
  process.env.TMPDIR = own;
}

module.exports = { isAlive, ownTemporary, scratch };
