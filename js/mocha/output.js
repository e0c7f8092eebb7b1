'use strict';
// What tests print, in a worker.

const natives = require('../natives');
const messages = require('./messages');

/**
 * What tests print comes out where it does serially: between their events.
 *
 * @param {{open: boolean, core: object}} worker `open`: what is printed is sent
 */
function captureOutput(worker) {
  const streams = [
    [process.stdout, messages.STDOUT],
    [process.stderr, messages.STDERR],
  ];
  for (const [stream, kind] of streams) {
    const write = stream.write.bind(stream);
    stream.write = (chunk, encoding, callback) => {
      if (!worker.open) return write(chunk, encoding, callback);
      const done = typeof encoding === 'function' ? encoding : callback;
      const text = typeof chunk === 'string';
      worker.core.send(
        kind,
        text
          ? natives.bufferFrom(chunk, typeof encoding === 'string' ? encoding : 'utf8')
          : natives.bufferFrom(chunk),
      );
      if (done) natives.nextTick(done);
      return true;
    };
  }
}

module.exports = { captureOutput };
