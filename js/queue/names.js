'use strict';
// What a run across machines, its project and its nodes are called: the same on all nodes,
// whatever each runs: pytest has the same rules.

const crypto = require('node:crypto');
const os = require('node:os');
const path = require('node:path');

const { remote } = require('../revision');
const { UsageError } = require('../usage');

const LONGEST_PROJECT = 100;
const LONGEST_RUN = 200;
const NO_NAME = /[^\p{L}\p{N}_.-]/gu;

/** What tells one run from another in each CI, and what its job is called. */
const CI = [
  ['GITHUB_RUN_ID', 'GITHUB_RUN_ATTEMPT', 'GITHUB_JOB'],
  ['CI_PIPELINE_ID', 'CI_JOB_NAME'],
  ['BUILDKITE_BUILD_ID'],
  ['CIRCLE_WORKFLOW_ID', 'CIRCLE_JOB'],
  ['BUILD_TAG'],
];
const NO_RUN =
  'no run is given: --run names it, where the CI does not say so (GitHub, GitLab, ' +
  'Buildkite, CircleCI, Jenkins)';

function clean(name, most, other) {
  const kept = [...name.replace(other, '-')].slice(0, most).join('');
  return kept.replace(/^[-.]+|[-.]+$/g, '');
}

/** A name that can stand in a key of the server. */
function checked(name, flag, most, withSlash) {
  const bad = withSlash ? /[{}]|\p{C}|(?! )\p{Z}/u : /[{}/]|\p{C}|(?! )\p{Z}/u;
  if (bad.test(name) || Buffer.byteLength(name) > most) {
    const signs = withSlash ? 'no braces' : 'no braces and no slash';
    const shown = JSON.stringify([...name].slice(0, 80).join(''));
    throw new UsageError(`${flag}: takes at most ${most} letters, ${signs}, not ${shown}`);
  }
  return name;
}

/** `owner.name` of a repository's address, however it is reached; of a path its last word. */
function ofRemote(url) {
  const address = url.trim().replace(/\/+$/, '');
  const found = /^[\w][\w+.-]*:\/\/[^/]*\/(.*)|^(?:[^/:]+@)?[^/:]+:(.*)/.exec(address);
  const words = found ? (found[1] ?? found[2] ?? '') : path.posix.basename(address);
  const last = words
    .replace(/\/+$/, '')
    .replace(/\.git$/, '')
    .split('/')
    .filter(Boolean)
    .slice(-2);
  return clean(last.join('.'), LONGEST_PROJECT, NO_NAME);
}

/** The project: as given, or of git's remote `origin`, or the name of the folder. */
function projectOf(given, folder, environ = process.env) {
  const name = given || environ.QE_QUEUE_PROJECT;
  if (name) return checked(name, '--queue-project', LONGEST_PROJECT, false);
  const url = remote(folder);
  const own = () => clean(path.basename(path.resolve(folder)), LONGEST_PROJECT, NO_NAME);
  return (url !== null && ofRemote(url)) || own() || 'project';
}

/** The run: as given, or what the CI calls what runs. */
function runOf(given, environ = process.env) {
  const name = given || environ.QE_QUEUE_RUN;
  if (name) return checked(name, '--run', LONGEST_RUN, true);
  const known = CI.find(([first]) => environ[first]);
  if (!known) throw Object.assign(new UsageError(NO_RUN), { code: 'QE_ENOTFOUND' });
  const words = known.map((each) => environ[each] ?? '');
  // The jobs of one `parallel` differ in this alone.
  if (known[0] === 'CI_PIPELINE_ID') words[1] = words[1].replace(/\s+\d+\/\d+$/, '');
  return clean(words.filter(Boolean).join('/'), LONGEST_RUN, /[\s{}]|[^ -~]/gu);
}

/** A name for this node, one of a kind in its run. */
function nodeName() {
  const host = clean(os.hostname().split('.', 1)[0], 40, /[^A-Za-z0-9_-]/g) || 'node';
  return `${host}-${process.pid}-${crypto.randomBytes(3).toString('hex')}`;
}

module.exports = { nodeName, projectOf, runOf };
