'use strict';

const { before } = require('node:test');

const { project, testConsole } = require('./outputs');
const { npm } = require('./projects');

const NAME = 'output-29';

before(async () => {
  const folder = project(NAME, {});
  await npm(folder, 'install', '--prefer-offline', '--no-audit', '--no-fund', 'jest@29');
});

testConsole(NAME);
