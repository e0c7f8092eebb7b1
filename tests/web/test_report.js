'use strict';
// The report of a real run, in a real browser.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { before, test } = require('node:test');

const { complaints, folder, launch, open, reportOf } = require('./reports');

const SUITE = `
import os, sys, time
import pytest

def test_diff():
    assert "one\\ntwo\\nthree" == "one\\n2\\nthree"

def test_prints():
    print("\\x1b[31mred words\\x1b[0m and \\x1b[2J\\x1b]0;title\\x07the rest")
    print("<script>alert('stdout')</script></script><img src=x onerror=alert(1)>")
    os.write(2, b"raw \\xff\\xfe bytes \\x00 and NUL")
    raise ValueError("<b>boom</b>")

def test_megabytes():
    for i in range(60_000): print("line", i, "x" * 40)
    assert 0

@pytest.mark.slow
def test_slow(): time.sleep(0.6)
def test_crashes(): os.abort()
def test_hangs(): time.sleep(600)

@pytest.fixture
def broken(): raise RuntimeError("set-up failed")
def test_error(broken): pass
@pytest.mark.qe(retries=2)
def test_flaky():
    with open("turn", "a") as file: file.write("x")
    assert os.path.getsize("turn") > 1
def test_skips(): pytest.skip("why")
@pytest.mark.xfail
def test_xfail(): assert 0
`;
const OTHER = `
import pytest
NAMES = ["<script>alert(1)</script>", "</script>", "\\x1b[31mred", "a\\nb", "\\udc80", "x" * 5000]
@pytest.mark.parametrize("value", NAMES, ids=NAMES[:1] + NAMES[1:])
def test_odd(value): assert not value
@pytest.mark.parametrize("i", range(40))
def test_many(i): pass
`;
const PAGES = ['summary', 'timeline', 'failures', 'tests', 'slowest', 'test/1'];

let browser;
let file;
before(async (t) => {
  const cwd = folder(t);
  browser = await launch(t);
  const files = { 'test_one.py': SUITE, 'test_two.py': OTHER, 'pytest.ini': '[pytest]\n' };
  file = await reportOf(cwd, files, ['--qe-parallel=2', '--qe-timeout=2']);
});

test('every page opens from disk, without a request or a word on the console', async () => {
  const page = await open(browser, file);
  for (const name of PAGES) {
    await page.show(name);
    await page.locator('h2').first().waitFor();
  }
  assert.deepEqual(page.troubles, []);
  const policy = /content="(default-src 'none'[^"]*)"/.exec(fs.readFileSync(file, 'utf8'))[1];
  assert.doesNotMatch(policy, /unsafe|\*|http/);
});

test('no other script could run in it', async (t) => {
  const evil = path.join(folder(t), 'evil.html');
  const text = fs.readFileSync(file, 'utf8');
  const added = '<img src="x" onerror="document.title = 1"><script>document.title = 1</script>';
  fs.writeFileSync(
    evil,
    text.replace('</body>', () => `${added}</body>`),
  );
  const page = await open(browser, evil);
  assert.match(await page.title(), /QE report/);
  assert.ok(
    page.troubles.some((said) => /Content Security Policy/.test(said)),
    page.troubles,
  );
});

test('where a server forbids its script, the page says what to do', async (t) => {
  const server = http.createServer((request, response) => {
    response.writeHead(200, {
      'content-type': 'text/html',
      'content-security-policy': "sandbox; default-src 'none'; img-src 'self'; style-src 'self'",
    });
    response.end(fs.readFileSync(file));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => server.close());
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.getByText('download the page, and open it from disk').waitFor();
});

test('a run that was cut short says so', async (t) => {
  const files = { 'test_it.py': 'def test_a(): assert 0\ndef test_b(): pass\n' };
  const page = await open(browser, await reportOf(folder(t), files, ['--qe-parallel=1', '-x']));
  await page.show('summary');
  const said = await page.locator('.bound').innerText();
  assert.match(said, /The run was cut short: stopping after 1 failures\./);
});

test('the summary counts outcomes and says what bounded the run', async () => {
  const page = await open(browser, file);
  await page.show('summary');
  const tiles = await page.locator('.tile').allInnerTexts();
  const counts = Object.fromEntries(tiles.map((text) => text.split(/\s+/).reverse()));
  assert.deepEqual(counts, {
    failed: '9',
    error: '1',
    crashed: '1',
    timeout: '1',
    flaky: '1',
    skipped: '2',
    passed: '41',
  });
  assert.match(await page.locator('.bound').innerText(), /What bounded the wall time\. \w+/);
  await page.getByRole('link', { name: '1 crashed' }).click();
  await page.getByRole('cell', { name: 'test_crashes' }).waitFor();
  assert.equal(await page.locator('.rows [role=row]').count(), 1);
});

test('failures are folded, searchable and coloured', async () => {
  const page = await open(browser, file);
  await page.show('failures');
  assert.equal(await page.locator('.failure').count(), 13);
  assert.equal(await page.locator('.failure pre').count(), 0);
  const search = page.getByRole('searchbox');
  await search.fill('red words'); // of the output alone
  await page.drawn();
  assert.match(await page.locator('output').innerText(), /^1 of 56/);
  await page.locator('.failure summary').click();
  const output = page.getByRole('group', { name: 'Captured stdout call' });
  await output.locator('.ansi-red').waitFor();
  assert.equal(await output.locator('.ansi-red').innerText(), 'red words');
  const text = await output.innerText();
  assert.match(text, /and the rest/);
  assert.ok(text.includes("<script>alert('stdout')</script></script><img src=x onerror=alert(1)>"));
  const raw = await page.getByRole('group', { name: 'Captured stderr call' }).innerText();
  assert.match(raw, /^raw .* bytes \\x00 and NUL/);
  assert.equal(await page.locator('pre img, pre script').count(), 0);

  await search.fill('test_diff');
  await page.drawn();
  await page.locator('.failure summary').click();
  assert.match(await page.locator('.removed').first().innerText(), /- 2/);
  assert.match(await page.locator('.added').first().innerText(), /\+ two/);

  await search.fill('');
  await page.getByRole('button', { name: 'timeout 1' }).click();
  assert.match(await page.locator('.failure').innerText(), /test_hangs[^]*Timeout: exceeded 2 s/);
  assert.deepEqual(page.troubles, []);
});

test('megabytes of output are folded and can be unfolded', async () => {
  const page = await open(browser, file);
  await page.show('failures');
  await page.getByRole('searchbox').fill('test_megabytes');
  await page.drawn();
  await page.locator('.failure summary').click();
  const output = page.getByRole('group', { name: 'Captured stdout call' });
  assert.ok((await output.innerText()).split('\n').length < 50);
  await page.getByRole('button', { name: /show all [\d,]+ lines/ }).click();
  assert.match(await output.innerText(), /line 59999/);
  assert.match(await output.innerText(), /characters left out/);
});

test('hostile names are text', async () => {
  const page = await open(browser, file);
  await page.show('tests');
  await page.getByRole('searchbox').fill('test_odd');
  await page.drawn();
  const names = await page.locator('.rows .name').allInnerTexts();
  assert.equal(names.length, 6);
  assert.ok(names.some((name) => name.includes('test_odd[<script>alert(1)</script>]')));
  assert.ok(names.some((name) => name.includes('</script>]')));
  await page.locator('.rows a').first().click();
  await page.locator('main.test').waitFor();
  assert.match(await page.title(), /alert/);
  assert.deepEqual(page.troubles, []);
});

test('a name of ten thousand letters leaves room for the other failures', async (t) => {
  const long = `
import pytest
@pytest.mark.parametrize("x", ["a" * 10_000, "b" * 10_000])
def test_long(x): assert 0, x
`.replace('10_000])', '10_000], ids=str)');
  const page = await open(browser, await reportOf(folder(t), { 'test_it.py': long }, []));
  await page.show('failures');
  const [first, last] = await page.locator('details.failure').all();
  const { y, height } = await last.boundingBox();
  assert.ok(y + height < 800, `${y + height}`);
  await first.locator('summary').click();
  await page.drawn();
  assert.ok((await first.boundingBox()).height > 800, 'all of it');
  assert.deepEqual(page.troubles, []);
});

test('the list of tests filters by outcome, file, mark and worker', async () => {
  const page = await open(browser, file);
  await page.show('tests');
  const shown = async () => {
    await page.drawn();
    return /^([\d,]+) of/.exec(await page.locator('output').innerText())[1];
  };
  assert.equal(await shown(), '56');
  await page.getByLabel('File').selectOption('test_one.py');
  assert.equal(await shown(), '10');
  await page.getByLabel('Mark').selectOption('slow');
  assert.equal(await shown(), '1');
  assert.match(await page.locator('.rows').innerText(), /test_slow/);
  await page.getByLabel('Mark').selectOption('');
  await page.getByLabel('File').selectOption('');
  await page.getByRole('button', { name: 'passed 41' }).click();
  assert.equal(await shown(), '41');
  await page.getByLabel('Worker').selectOption('gw0');
  const here = Number(await shown());
  await page.getByLabel('Worker').selectOption('gw1');
  assert.ok(here > 0 && here + Number(await shown()) <= 42);
  await page.locator('.rows a').first().click();
  await page.locator('main.test').waitFor();
  await page.goBack();
  await page.locator('main.tests').waitFor();
  assert.equal(await page.getByLabel('Worker').inputValue(), 'gw1', 'as it was left');
  await page.getByRole('searchbox').fill('no such test');
  assert.equal(await shown(), '0');
  assert.equal(await page.locator('.rows [role=row]').count(), 0);
});

test('the timeline is zoomed and read by keyboard, and a click opens a test', async () => {
  const page = await open(browser, file);
  await page.show('timeline');
  const canvas = page.getByRole('application');
  const press = async (key) => {
    await page.keyboard.press(key);
    await page.drawn();
  };
  const range = () => page.locator('.range').innerText();
  const all = await range();
  await canvas.focus();
  await press('ArrowRight');
  await page.locator('.chosen:not(:empty)').waitFor();
  const first = await page.locator('.chosen').innerText();
  assert.match(first, /^\w+: test_\w+\.py::.*, .* on gw0, \d+ MiB/);
  await press('ArrowRight');
  assert.notEqual(await page.locator('.chosen').innerText(), first);
  await press('ArrowDown');
  assert.match(await page.locator('.chosen').innerText(), / on gw1/);
  for (let i = 0; i < 3; i++) await press('+');
  await page.waitForFunction((old) => document.querySelector('.range').innerText !== old, all);
  await press('0');
  await page.waitForFunction((old) => document.querySelector('.range').innerText === old, all);
  const chosen = /::(\S+?)[,[]/.exec(await page.locator('.chosen').innerText())[1];
  await press('Enter');
  await page.locator('main.test').waitFor();
  assert.match(await page.locator('h2').innerText(), new RegExp(`^${chosen}`));

  await page.show('timeline');
  const box = await canvas.boundingBox();
  // It took most of the run: one of the lanes has it, where depends on the machine.
  const tip = page.locator('.tip', { hasText: 'test_hangs' });
  const lanes = Math.ceil((box.height - 26) / 30);
  for (let n = 0; n < 9 * lanes && (await tip.count()) === 0; n++) {
    const [tenths, lane] = [1 + Math.floor(n / lanes), n % lanes];
    await page.mouse.move(box.x + (box.width * tenths) / 10, box.y + 26 + 30 * lane + 15);
    await page.drawn();
  }
  assert.match(await tip.innerText(), /^timeout: .*test_hangs, \d+\.\d+ s on gw/);
  await page.mouse.down();
  await page.mouse.up();
  await page.locator('main.test').waitFor();
  assert.equal(await page.locator('h2').innerText(), 'test_hangs');
  assert.deepEqual(page.troubles, []);
});

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing serious in ${colorScheme} colours`, async () => {
    const page = await open(browser, file, { colorScheme });
    for (const name of PAGES) {
      await page.evaluate((hash) => (location.hash = hash), `#/${name}`);
      await page.locator(`main.${name.split('/')[0]}`).waitFor();
      for (const one of (await page.locator('summary').all()).slice(0, 4)) await one.click();
      assert.deepEqual(await complaints(page), [], name);
    }
  });
}

test('files that cannot be collected make no run that passed', async (t) => {
  const cwd = folder(t);
  const broken = {
    'test_bad.py': 'raise ValueError("</script><b>bad</b>")\n',
    'test_good.py': 'def test_good(): pass\n',
  };
  for (const [args, one] of [
    [['--qe-parallel=2'], '1 none'],
    [['--continue-on-collection-errors'], '1 passed'],
  ]) {
    const page = await open(browser, await reportOf(cwd, broken, args));
    assert.match(await page.locator('h1').innerText(), /1 collection error$/);
    assert.equal((await page.locator('.tile').innerText()).replace(/\s+/, ' '), one);
    const why = page.getByRole('group', { name: 'Why test_bad.py failed' });
    assert.match(await why.innerText(), /ValueError: <\/script><b>bad<\/b>/);
    assert.deepEqual(await complaints(page), []);
    assert.deepEqual(page.troubles, []);
  }
});
