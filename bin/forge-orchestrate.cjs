#!/usr/bin/env node
// `forge orchestrate` by a name of its own, for where another program is called forge.
'use strict';

require('./forge.cjs').start(['orchestrate', ...process.argv.slice(2)]);
