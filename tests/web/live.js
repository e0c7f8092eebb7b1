'use strict';
// qe ui over a folder of real runs, and a browser for it.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { createInterface } = require('node:readline');

const { cleanEnv } = require('../js/helpers');

const PYTHON = path.join(__dirname, '..', '..', 'build', 'venv', 'bin', 'python');
const ENV = cleanEnv({ PYTEST_DISABLE_PLUGIN_AUTOLOAD: '1', PYTHONDONTWRITEBYTECODE: '1' });

/** A process that a test has started; it is gone when the test is. */
function start(t, cwd, args, stdout = 'ignore') {
  const child = spawn(PYTHON, args, { cwd, env: ENV, stdio: ['ignore', stdout, 'inherit'] });
  child.ended = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await child.ended;
  });
  return child;
}

const PYTEST = ['-m', 'pytest', '-p', 'pytest_qe.plugin', '-p', 'no:cacheprovider', '-q'];

/** A run of pytest in parallel that goes on beside the test. */
const startPytest = (t, cwd, ...args) => start(t, cwd, [...PYTEST, '--qe-parallel=2', ...args]);

/** A run of pytest, to its end. */
async function runPytest(t, cwd, ...args) {
  const [status] = await startPytest(t, cwd, ...args).ended;
  assert.ok([0, 1].includes(status), `pytest: ${status}`);
}

/** Starts qe ui; its page with the token, and without. */
async function startUi(t, cwd, ...args) {
  const child = start(t, cwd, ['-m', 'pytest_qe', 'ui', '--port=0', ...args], 'pipe');
  const [line] = await once(createInterface(child.stdout), 'line');
  const [, url, token] = /^qe ui: (\S+)#token=(\S+)$/.exec(line);
  return { child, url, token };
}

/** A page that knows the token; `page.troubles` is what must stay empty. */
async function openLive(browser, ui, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.troubles = [];
  page.on('console', (said) => page.troubles.push(`${said.type()}: ${said.text()}`));
  page.on('pageerror', (error) => page.troubles.push(String(error)));
  page.on('dialog', (dialog) => {
    page.troubles.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(ui.url)) page.troubles.push(`request: ${request.url()}`);
  });
  page.show = async (route) => {
    await page.evaluate((hash) => (location.hash = hash), `#/${route}`);
    await page.locator(`main.${route.split('/')[0]}`).waitFor();
    await page.waitForFunction(() => !document.querySelector('main').innerText.includes('Asking'));
  };
  await page.goto(`${ui.url}#token=${ui.token}`);
  await page.getByText('connected', { exact: true }).waitFor();
  return page;
}

function write(cwd, files) {
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(cwd, name), text);
}

module.exports = { openLive, runPytest, startPytest, startUi, write };
