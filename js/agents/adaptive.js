'use strict';
// How many commands at once, by how loaded the machine is: the core's policy, with a memory.

const { Adapt } = require('../addon');

const rounded = (value) => Math.round(value * 1000) / 1000;
const known = (value) => (value >= 0 ? rounded(value) : null);

class Adaptive {
  #adapt;
  #began = performance.now();
  changes = [];

  constructor(running, most, throttle) {
    this.#adapt = new Adapt(running, most, throttle);
    this.#adapt.next(false); // stalls are counted from here on
    Object.assign(this, { running, most, throttle });
  }

  /**
   * Looks at the machine; what has changed by it, or null.
   *
   * @param {boolean} full as many run as may: only then are more of use
   */
  look(full) {
    const found = this.#adapt.next(full);
    const { running, throttle } = found;
    if (running === this.running && throttle === this.throttle) return null;
    Object.assign(this, { running, throttle });
    const change = {
      after: rounded((performance.now() - this.#began) / 1000),
      running,
      throttle,
      why: found.why,
      cpu: known(found.cpu),
      memory: known(found.memory),
      freeMemory: known(found.freeMemory),
      load: known(found.load),
    };
    this.changes.push(change);
    return change;
  }
}

module.exports = { Adaptive };
