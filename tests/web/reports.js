'use strict';
// Reports to look at, made by real runs or by the real writer, and a browser for them.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const axe = require('axe-core');
const { chromium } = require('playwright-core');

const { cleanEnv, run } = require('../js/helpers');

const ROOT = path.join(__dirname, '..', '..');
const PYTHON = path.join(ROOT, 'build', 'venv', 'bin', 'python');

/** A new folder, removed when the tests of a file have ended. */
function folder(t) {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-web-'));
  t.after(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

/** Runs pytest over files, and returns the path of its report. */
async function reportOf(cwd, files, args) {
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(cwd, name), text);
  const argv = [PYTHON, '-m', 'pytest', '-p', 'pytest_qe.plugin', '-p', 'no:cacheprovider'];
  const out = await run([...argv, '--qe-html=report.html', ...args], {
    cwd,
    env: cleanEnv({ PYTEST_DISABLE_PLUGIN_AUTOLOAD: '1' }),
    timeout: 100_000,
  });
  assert.ok([0, 1, 2].includes(out.status), out.stdout + out.stderr);
  return path.join(cwd, 'report.html');
}

/** Runs `qe` in a folder, and returns the path of its report. */
async function reportOfCommand(cwd, files, words) {
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(cwd, name), text);
  const argv = [PYTHON, '-m', 'pytest_qe', ...words, '--html=report.html'];
  const out = await run(argv, { cwd, env: cleanEnv(), timeout: 100_000 });
  assert.ok([0, 1].includes(out.status), out.stdout + out.stderr);
  return path.join(cwd, 'report.html');
}

/** What axe has to say of the page as it is. */
async function complaints(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => globalThis.axe.run());
  return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html)}`);
}

/** A report of many tests, by the writer that runs use. */
async function synthetic(cwd, tests) {
  const file = path.join(cwd, `${tests}.html`);
  const argv = [PYTHON, path.join(__dirname, 'synthetic.py'), `${tests}`, file];
  const out = await run(argv, { timeout: 100_000 });
  assert.equal(out.status, 0, out.stderr);
  return file;
}

async function launch(t) {
  const executablePath = execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' });
  // As root, as in containers, Chromium refuses its sandbox.
  const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
  const browser = await chromium.launch({ executablePath: executablePath.trim(), args });
  t.after(() => browser.close());
  return browser;
}

/** Opens a report from disk; `page.troubles` is what must stay empty. */
async function open(browser, file, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    permissions: ['clipboard-read', 'clipboard-write'],
    ...options,
  });
  const page = await context.newPage();
  page.troubles = [];
  page.on('console', (said) => page.troubles.push(`${said.type()}: ${said.text()}`));
  page.on('pageerror', (error) => page.troubles.push(String(error)));
  page.on('dialog', (dialog) => {
    page.troubles.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  const url = pathToFileURL(file).href;
  page.on('request', (request) => {
    if (request.url().split('#')[0] !== url) page.troubles.push(`request: ${request.url()}`);
  });
  page.show = async (route) => {
    await page.goto(`${url}#/${route}`);
    await page.locator(`main.${route.split('/')[0]}`).waitFor();
  };
  /** What was done before has been drawn. */
  page.drawn = () =>
    page.evaluate(
      () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
    );
  await page.goto(url);
  await page.locator('main').waitFor();
  return page;
}

module.exports = { complaints, folder, launch, open, reportOf, reportOfCommand, synthetic };
