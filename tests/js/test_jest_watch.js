'use strict';

const { watching } = require('./watching');

watching('jest-watch-29', '^29');
watching('jest-watch-30', '^30');
