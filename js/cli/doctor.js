'use strict';
// `qe doctor`: what is here, what is missing, and how to get it.

const colours = require('picocolors');
const { Command } = require('commander');

const { checks } = require('./checks');
const { print } = require('./driving');
const { FAILED, OK } = require('./ends');
const { coloured, shown } = require('./screen');

const MARKS = {
  ok: ['ok', 'green'],
  none: ['-', 'dim'],
  poor: ['!', 'yellow'],
  broken: ['BROKEN', 'red'],
};

function doctor({ json }) {
  const found = checks();
  const broken = found.filter(({ state }) => state === 'broken');
  const status = broken.length > 0 ? FAILED : OK;
  if (json) {
    print(`${JSON.stringify({ ok: broken.length === 0, checks: found }, null, 2)}\n`);
    return status;
  }
  const paint = colours.createColors(coloured(process.stdout));
  const width = Math.max(...found.map(({ name }) => name.length));
  for (const { name, state, says, remedy } of found) {
    const [word, style] = MARKS[state];
    const more = remedy && state === 'none' ? paint.dim(`: ${shown(remedy)}`) : '';
    print(`${paint[style](word.padStart(6))}  ${name.padEnd(width)}  ${shown(says)}${more}\n`);
    if (remedy && state !== 'none')
      print(`${' '.repeat(width + 10)}${paint[style](shown(remedy))}\n`);
  }
  const many = `${broken.length} of these must be mended`;
  print(`${broken.length > 0 ? paint.red(many) : paint.green('all that qe needs is here')}\n`);
  return status;
}

/** @param {(status: number) => void} onEnd */
function command(onEnd) {
  return new Command('doctor')
    .description(
      'look for the tools of all frameworks, the limits of this machine, and what is missing',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExit status: 0; 1: something that qe needs is broken.')
    .action((given) => onEnd(doctor(given)));
}

module.exports = { command };
