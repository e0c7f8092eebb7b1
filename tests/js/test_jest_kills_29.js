'use strict';

require('./kills').kills('jest-kills-29', '^29', 60, 60);
