'use strict';

require('./kills').kills('jest-kills-30', '^30', 100, 0);
