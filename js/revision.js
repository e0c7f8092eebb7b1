'use strict';
// What code is tested: git's HEAD, read from its files, without running git.

const fs = require('node:fs');
const path = require('node:path');

const SHA = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const MOST_BYTES = 10_000_000; // of packed-refs, in a repository with many tags
const BRANCHES = 'refs/heads/';

function read(file) {
  const fd = fs.openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(Math.min(fs.fstatSync(fd).size, MOST_BYTES));
    return buffer.toString('utf8', 0, fs.readSync(fd, buffer));
  } finally {
    fs.closeSync(fd);
  }
}

const isFile = (file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;

/** The folder of this work tree's HEAD, and that of the branches; null: there is none. */
function foldersOf(root) {
  for (let folder = root; ; folder = path.dirname(folder)) {
    let git = path.join(folder, '.git');
    if (isFile(git)) {
      // a work tree beside the repository, or a submodule
      const [, place] = /^gitdir: (.*)$/s.exec(read(git).trim()) ?? [];
      if (place === undefined) return null;
      git = path.resolve(folder, place);
    }
    if (isFile(path.join(git, 'HEAD'))) {
      const common = path.join(git, 'commondir');
      return [git, isFile(common) ? path.resolve(git, read(common).trim()) : git];
    }
    if (folder === path.dirname(folder)) return null;
  }
}

function shaOf(common, ref) {
  const loose = path.join(common, ref);
  if (isFile(loose)) {
    const text = read(loose).trim();
    return SHA.test(text) ? text : null;
  }
  const packed = path.join(common, 'packed-refs');
  for (const line of isFile(packed) ? read(packed).split('\n') : []) {
    const [sha, name] = line.split(' ');
    if (name === ref && SHA.test(sha)) return sha;
  }
  return null;
}

/**
 * The commit and the branch that are checked out where `root` lies; null where there is
 * none, or where that takes more than reading files.
 *
 * @returns {{revision: string | null, branch: string | null}}
 */
function head(root) {
  const none = { revision: null, branch: null };
  try {
    const [git, common] = foldersOf(path.resolve(root)) ?? [];
    if (git === undefined) return none;
    const text = read(path.join(git, 'HEAD')).trim();
    if (!text.startsWith('ref: ')) return SHA.test(text) ? { revision: text, branch: null } : none;
    const ref = text.slice('ref: '.length);
    // A repository of reftables keeps its branches elsewhere, and says so here.
    if (ref === `${BRANCHES}.invalid`) return none;
    // eslint-disable-next-line no-control-regex
    if (!ref.startsWith(BRANCHES) || ref.includes('..') || /[\u0000-\u001f\u007f]/.test(ref)) {
      return none;
    }
    return { revision: shaOf(common, ref), branch: ref.slice(BRANCHES.length) };
  } catch (error) {
    if (error.code === undefined) throw error;
    return none; // what may not be read is not known
  }
}

const SECTION = /^\[\s*([\w.-]+)\s*(?:"([^"]*)")?\s*\]/;

/** The address of the remote `origin` of the repository where `root` lies; null: there is none. */
function remote(root) {
  let text;
  try {
    const [, common] = foldersOf(path.resolve(root)) ?? [];
    text = common === undefined ? '' : read(path.join(common, 'config'));
  } catch (error) {
    if (error.code === undefined) throw error;
    return null;
  }
  let inside = false;
  for (const line of text.split('\n').map((each) => each.trim())) {
    const [whole, name, of] = SECTION.exec(line) ?? [];
    if (whole) inside = name.toLowerCase() === 'remote' && of === 'origin';
    const at = line.indexOf('=');
    if (inside && at >= 0 && line.slice(0, at).trim().toLowerCase() === 'url') {
      return line
        .slice(at + 1)
        .trim()
        .replace(/^"+|"+$/g, '');
    }
  }
  return null;
}

module.exports = { head, remote };
