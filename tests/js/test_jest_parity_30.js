'use strict';

require('./parity').parity('jest-parity-30', '^30', 'https://jestjs.io/docs/snapshot-testing');
