'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { before } = require('node:test');

const { ROOT } = require('./helpers');
const { testHunts } = require('./jest-hunts');
const { npm } = require('./projects');

const folder = path.join(ROOT, 'build', 'js-projects', 'jest-hunt-29');

before(async () => {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'package.json'), '{ "name": "project", "private": true }');
  await npm(folder, 'install', '--prefer-offline', '--no-audit', '--no-fund', 'jest@29');
});

testHunts(folder);
