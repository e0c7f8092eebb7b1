'use strict';
// How the report looks, compared with what a person has looked at.
//
// References are kept as the mean colour of each cell of a grid, so that another version of a
// browser or of a font, which draws letters a little differently, makes no difference. After a
// change that is meant, `QE_LOOKS=write node --test tests/web/test_looks.js` makes new ones, and
// leaves pictures in build/looks: look at them before you commit.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');

const { folder, launch, open, synthetic } = require('./reports');

const FILE = path.join(__dirname, 'looks.json');
const PICTURES = path.join(__dirname, '..', '..', 'build', 'looks');
const WRITE = process.env.QE_LOOKS === 'write';
const GRID = { columns: 32, rows: 24 };
const FAR = 32; // of 255: a cell that shows something else
const MOST_FAR = 0.04; // of all cells
const MOST_MEAN = 4;

const looks = fs.existsSync(FILE) ? JSON.parse(fs.readFileSync(FILE, 'utf8')) : {};
let browser;
let report;
let easel; // a page that pictures are measured in
before(async (t) => {
  browser = await launch(t);
  report = await synthetic(folder(t), 300);
  easel = await browser.newPage();
});

/** The mean colours of a picture's cells, row by row: red, green, blue of each. */
async function cellsOf(picture) {
  const cells = await easel.evaluate(
    async ([data, { columns, rows }]) => {
      const { Image, document } = globalThis;
      const image = new Image();
      image.src = `data:image/png;base64,${data}`;
      await image.decode();
      const canvas = document.createElement('canvas');
      Object.assign(canvas, { width: image.width, height: image.height });
      const brush = canvas.getContext('2d', { willReadFrequently: true });
      brush.drawImage(image, 0, 0);
      const found = [];
      for (let cell = 0; cell < columns * rows; cell++) {
        const wide = Math.floor(image.width / columns);
        const high = Math.floor(image.height / rows);
        const [x, y] = [(cell % columns) * wide, Math.floor(cell / columns) * high];
        const { data: pixels } = brush.getImageData(x, y, wide, high);
        for (let colour = 0; colour < 3; colour++) {
          let sum = 0;
          for (let i = colour; i < pixels.length; i += 4) sum += pixels[i];
          found.push(Math.round((sum * 4) / pixels.length));
        }
      }
      return found;
    },
    [picture.toString('base64'), GRID],
  );
  return Buffer.from(cells);
}

/** How far two are apart: the mean of all differences, and the share of cells that are far. */
function apart(one, other) {
  assert.equal(one.length, other.length);
  let sum = 0;
  const far = new Set();
  for (let i = 0; i < one.length; i++) {
    const difference = Math.abs(one[i] - other[i]);
    sum += difference;
    if (difference > FAR) far.add(Math.floor(i / 3));
  }
  return { mean: sum / one.length, far: far.size / (one.length / 3) };
}

const isSame = ({ mean, far }) => mean <= MOST_MEAN && far <= MOST_FAR;

async function look(view, colorScheme, change = async () => {}) {
  const page = await open(browser, report, {
    viewport: { width: 1280, height: 960 },
    colorScheme,
    locale: 'en-US',
    timezoneId: 'UTC',
    reducedMotion: 'reduce',
  });
  await page.show(view);
  await change(page);
  await page.drawn();
  const picture = await page.screenshot({ animations: 'disabled' });
  assert.deepEqual(page.troubles, []);
  await page.context().close();
  return picture;
}

for (const view of ['summary', 'timeline', 'failures', 'tests', 'slowest']) {
  for (const scheme of ['light', 'dark']) {
    test(`${view} looks as it did, ${scheme}`, async () => {
      const name = `${view}, ${scheme}`;
      const picture = await look(view, scheme);
      const cells = await cellsOf(picture);
      if (WRITE) {
        fs.mkdirSync(PICTURES, { recursive: true });
        fs.writeFileSync(path.join(PICTURES, `${view}-${scheme}.png`), picture);
        looks[name] = cells.toString('base64');
        fs.writeFileSync(FILE, `${JSON.stringify(looks, null, 2)}\n`);
        return;
      }
      const difference = apart(cells, Buffer.from(looks[name], 'base64'));
      if (!isSame(difference)) {
        fs.mkdirSync(PICTURES, { recursive: true });
        const file = path.join(PICTURES, `${view}-${scheme}.png`);
        fs.writeFileSync(file, picture);
        assert.fail(`${JSON.stringify(difference)}: look at ${file}`);
      }
    });
  }
}

test('another look is seen', { skip: WRITE && 'references are being made' }, async () => {
  const changes = {
    'no style': (page) =>
      page.evaluate(() => {
        for (const sheet of globalThis.document.styleSheets) sheet.disabled = true;
      }),
    'no bars': (page) =>
      page.evaluate(() => globalThis.document.querySelector('main svg, main canvas').remove()),
  };
  for (const [name, change] of Object.entries(changes)) {
    const cells = await cellsOf(await look('timeline', 'light', change));
    const known = Buffer.from(looks['timeline, light'], 'base64');
    assert.ok(!isSame(apart(cells, known)), name);
  }
});
