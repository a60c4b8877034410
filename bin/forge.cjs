#!/usr/bin/env node
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const START = path.join(__dirname, '../dist/cli/start.cjs');

/** Why forge can't be started here; null when it can. */
function obstacle() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    return `forge needs Node.js 20.19 or newer; this is ${process.versions.node}.`;
  }
  if (process.platform === 'win32') return 'forge does not support Windows yet. It runs in WSL 2.';
  if (!fs.existsSync(START)) return 'forge is not built. Run `npm run build` in its folder.';
  return null;
}

function start(argv) {
  const why = obstacle();
  if (why === null) void require(START).start(argv, version);
  else {
    process.stderr.write(`${why}\n`);
    process.exitCode = 1;
  }
}

function version() {
  return require('../package.json').version;
}

if (require.main === module) start(process.argv.slice(2));

module.exports = { start };
