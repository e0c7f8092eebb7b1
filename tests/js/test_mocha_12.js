'use strict';

require('./mocha-version').testMocha('^12');
