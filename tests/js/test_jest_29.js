'use strict';

require('./torture').torture('jest-29', '^29', 'https://goo.gl/fbAQLP');
