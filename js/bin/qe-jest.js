#!/usr/bin/env node
'use strict';

require('../jest/cli').main(process.argv.slice(2));
