'use strict';

const js = require('@eslint/js');
const globals = require('globals');

module.exports = [
  {
    ignores: [
      'python/pytest_qe/demo/',
      'python/pytest_qe/web/',
      'build/',
      'prebuilds/',
      'node_modules/',
    ],
  },
  js.configs.recommended,
  { files: ['tests/web/**'], languageOptions: { globals: globals.browser } }, // evaluated there
  {
    languageOptions: { ecmaVersion: 2023, sourceType: 'commonjs', globals: globals.node },
    rules: {
      eqeqeq: 'error',
      'no-unused-vars': ['error', { caughtErrors: 'none' }],
      'no-var': 'error',
      'prefer-const': 'error',
      strict: ['error', 'global'],
    },
  },
];
