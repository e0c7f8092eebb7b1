'use strict';
// What code a run has tested: read from git's files, as git itself says it.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const { head } = require('../../js/revision');

function repository(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-revision-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  const env = { PATH: process.env.PATH, HOME: folder };
  const git = (...words) => {
    const own = ['-c', 'user.name=n', '-c', 'user.email=n@example.org', ...words];
    return execFileSync('git', own, { cwd: folder, env, encoding: 'utf8', stdio: 'pipe' }).trim();
  };
  git('init', '-b', 'a/main');
  return { folder, git };
}

test('a branch without a commit has no revision, one with a commit its own', (t) => {
  const { folder, git } = repository(t);
  assert.deepEqual(head(folder), { revision: null, branch: 'a/main' });
  git('commit', '--allow-empty', '-m', 'one');
  fs.mkdirSync(path.join(folder, 'below/it'), { recursive: true });
  const revision = git('rev-parse', 'HEAD');
  for (const place of [folder, path.join(folder, 'below/it')]) {
    assert.deepEqual(head(place), { revision, branch: 'a/main' });
  }
});

test('packed branches, detached heads and other work trees are read', (t) => {
  const { folder, git } = repository(t);
  git('commit', '--allow-empty', '-m', 'one');
  const revision = git('rev-parse', 'HEAD');
  git('worktree', 'add', '-b', 'other', 'tree');
  git('pack-refs', '--all');
  assert.deepEqual(head(folder), { revision, branch: 'a/main' });
  assert.deepEqual(head(path.join(folder, 'tree')), { revision, branch: 'other' });
  git('checkout', '--detach');
  assert.deepEqual(head(folder), { revision, branch: null });
});

test('what is no repository, or none that can be read so, has neither', (t) => {
  const { folder } = repository(t);
  const none = { revision: null, branch: null };
  for (const text of ['ref: refs/heads/.invalid', 'ref: refs/heads/../../x', 'nonsense', '']) {
    fs.writeFileSync(path.join(folder, '.git/HEAD'), `${text}\n`);
    assert.deepEqual(head(folder), none, text);
  }
  fs.rmSync(path.join(folder, '.git'), { recursive: true });
  fs.writeFileSync(path.join(folder, '.git'), 'gitdir: /nowhere\n');
  assert.deepEqual(head(folder), none);
});
