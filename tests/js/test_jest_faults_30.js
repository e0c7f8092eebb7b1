'use strict';

require('./faults').faults('jest-faults-30', '^30');
