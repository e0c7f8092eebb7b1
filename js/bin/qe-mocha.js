#!/usr/bin/env node
'use strict';

require('../mocha/cli').main(process.argv.slice(2));
