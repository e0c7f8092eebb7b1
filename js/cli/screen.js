'use strict';
// What is shown while files run: a bar on a terminal, plain lines elsewhere.

const colours = require('picocolors');

const { fixed } = require('../rounding');

// eslint-disable-next-line no-control-regex
const COLOUR = /\u001b\[[0-9;:]*m/g;
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** One line of text, with escapes for what a terminal would obey or not show. */
const shown = (text) =>
  String(text).replace(HIDDEN, (c) => {
    const known = { '\n': '\\n', '\t': '\\t', '\r': '\\r' }[c];
    if (known) return known;
    const code = c.codePointAt(0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u${code.padStart(4, '0')}`;
  });

/** The last lines of what a program printed that are not empty. */
function lastLines(text, most, width = 400) {
  return linesOf(text, width).slice(-most);
}

/** ... and the first ones. */
function firstLines(text, most, width = 400) {
  return linesOf(text, width).slice(0, most);
}

function linesOf(text, width) {
  const lines = text.replace(COLOUR, '').replaceAll('\r\n', '\n').replaceAll('\t', '    ');
  return lines
    .split('\n')
    .map(shown)
    .filter((line) => line.trim() !== '')
    .map((line) => (line.length <= width ? line : `${line.slice(0, width)}…`));
}

const isDumb = () => ['dumb', 'unknown', '', undefined].includes(process.env.TERM);

/** NO_COLOR is for none, FORCE_COLOR for colours anywhere; otherwise terminals have them. */
function coloured(stream) {
  if (process.env.NO_COLOR) return false;
  if (process.env.FORCE_COLOR) return process.env.FORCE_COLOR !== '0';
  return Boolean(stream.isTTY) && !isDumb();
}

/** Text on a stream, in a style such as "bold red" where it has colours. */
function painted(stream, text, style) {
  const paint = colours.createColors(coloured(stream));
  return style
    .split(' ')
    .filter(Boolean)
    .reduce((said, name) => paint[name](said), text);
}

/** How many columns there are for standard output. */
function width() {
  const { COLUMNS = '' } = process.env;
  if (/^[1-9]\d*$/.test(COLUMNS)) return Number(COLUMNS);
  if (process.stdout.isTTY && isDumb()) return 80;
  return process.stdout.columns ?? process.stderr.columns ?? 80;
}

/** A time for people. */
function seconds(value) {
  if (value < 60) return `${fixed(value, value < 10 ? 2 : 1)} s`;
  const whole = Number(fixed(value, 0));
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A number with its noun. */
const many = (count, one, more = `${one}s`) => `${count} ${count === 1 ? one : more}`;

const REDRAW_MS = 200;

class Screen {
  #stream;
  #bars = null;
  #bar = null;
  #drawing; // again and again
  #bad = 0;
  #quiet;
  #title; // not before something happens: what was asked for may make no sense

  /**
   * @param {number} total how many ends there will be
   * @param {string} title
   * @param {() => string} left what is said of the time that is left
   */
  constructor(stream, total, { title, quiet, left = () => '' }) {
    this.#stream = stream;
    this.#quiet = quiet;
    this.#title = quiet ? null : title;
    if (stream.isTTY && !isDumb() && !process.env.CI && !quiet) {
      const { MultiBar, Presets } = require('cli-progress');
      const format = '{bar} {value} of {total}{failed}, {duration_formatted}{left}';
      const options = { stream, format, hideCursor: true, clearOnComplete: true, barsize: 30 };
      this.#bars = new MultiBar(options, Presets.shades_classic);
      this.#bar = this.#bars.create(total, 0, { failed: '', left: left() });
      this.#drawing = setInterval(() => this.#bar.update({ left: left() }), REDRAW_MS).unref();
    }
  }

  /** Shows what happened: a line of it, and what has ended. */
  take(event, line) {
    if (this.#title !== null) {
      const title = this.#title;
      this.#title = null;
      this.say(title, 'dim');
    }
    if (event.kind === 'result') {
      if (!event.passed) this.#bad += 1;
      this.#bar?.increment(1, { failed: this.#bad ? `, ${this.#bad} failed` : '' });
    }
    if (line === null || this.#quiet) return;
    const { text, style, important } = line;
    if (this.#bars === null || important) this.say(text, style);
  }

  /** A line of its own. */
  say(text, style = '') {
    const said = painted(this.#stream, shown(text), style);
    if (this.#bars) this.#bars.log(`${said}\n`);
    else this.#stream.write(`${said}\n`);
  }

  close() {
    clearInterval(this.#drawing);
    this.#bars?.stop();
    this.#bars = null;
  }
}

module.exports = { Screen, coloured, firstLines, lastLines, many, painted, seconds, shown, width };
