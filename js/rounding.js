'use strict';
// Numbers for people, as Python writes them.

/** A number with so many decimals; what lies between two goes to the even one, as in Python. */
function fixed(value, digits) {
  if (Math.abs((value * 2 ** (digits + 1)) % 2) !== 1) return value.toFixed(digits);
  const below = Math.floor(value * 10 ** digits);
  return ((below + (below % 2)) / 10 ** digits).toFixed(digits);
}

module.exports = { fixed };
