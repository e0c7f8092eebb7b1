'use strict';

require('./parity').parity('jest-parity-29', '^29', 'https://goo.gl/fbAQLP');
