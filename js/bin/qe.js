#!/usr/bin/env node
'use strict';

require('../cli/main')
  .main(process.argv.slice(2))
  .then((status) => (process.exitCode = status));
