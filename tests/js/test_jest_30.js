'use strict';

require('./torture').torture('jest-30', '^30', 'https://jestjs.io/docs/snapshot-testing');
