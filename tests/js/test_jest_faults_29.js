'use strict';

require('./faults').faults('jest-faults-29', '^29');
