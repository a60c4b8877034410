#!/usr/bin/env node
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const CLI = path.join(__dirname, '../dist/cli');

/**
 * Loads files of the bundle in `dir`, each with the code cache that the build has put beside it. Compiling would take a
 * third of what a start takes beyond Node's own; a cache that another version of V8 has written is rejected by V8, which
 * then compiles as usual. `scripts` collects what was compiled, by file. `keep` reads all that may still be loaded, for
 * commands that go on for long: meanwhile the files may be replaced by those of another version, or removed.
 */
function loader(dir, scripts = new Map()) {
  const loaded = new Map();
  const kept = new Map();
  load.keep = () => {
    if (kept.size > 0) return;
    for (const name of fs.readdirSync(dir)) {
      const filename = path.join(dir, name);
      if (name.endsWith('.cjs')) kept.set(filename, textOf(filename));
    }
  };
  return load;

  function load(name) {
    const known = loaded.get(name);
    if (known !== undefined) return known.exports;
    const filename = path.join(dir, name);
    const source = kept.get(filename) ?? textOf(filename);
    const script = new vm.Script(source, { filename, cachedData: readOptional(`${filename}.cache`) });
    const module = { exports: {} };
    loaded.set(name, module);
    scripts.set(filename, script);
    const requireFrom = (id) => {
      if (id === 'node:child_process') return CHILD_PROCESS;
      return id.startsWith('./') ? load(id) : require(id);
    };
    script.runInThisContext()(module.exports, requireFrom, module, filename, dir);
    return module.exports;
  }
}

function textOf(filename) {
  try {
    // All of it is ASCII; of the encodings that hold for it, Node reads this one quickest.
    return fs.readFileSync(filename, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT')
      error.message = `${filename}, a file of forge itself, is gone: forge was replaced or removed while it ran. Start the command again.`;
    throw error;
  }
}

/**
 * commander loads node:child_process with itself, and uses it for a kind of subcommand that forge has none of. Loading it
 * takes a fifth of what a start takes beyond Node's own, so that waits until something is started.
 */
const CHILD_PROCESS = new Proxy({}, { get: (_, name) => require('node:child_process')[name] });

function readOptional(file) {
  try {
    return fs.readFileSync(file);
  } catch {
    return undefined;
  }
}

/** Why forge can't be started here; null when it can. */
function obstacle() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    return `forge needs Node.js 20.19 or newer; this is ${process.versions.node}.`;
  }
  if (process.platform === 'win32') return 'forge does not support Windows yet. It runs in WSL 2.';
  if (!fs.existsSync(path.join(CLI, 'main.cjs'))) return 'forge is not built. Run `npm run build` in its folder.';
  return null;
}

function start(argv) {
  const why = obstacle();
  if (why === null) {
    const load = loader(CLI);
    load('./main.cjs').main({ argv, version, keep: load.keep });
  } else {
    process.stderr.write(`${why}\n`);
    process.exitCode = 1;
  }
}

if (require.main === module) start(process.argv.slice(2));

function version() {
  return require('../package.json').version;
}

module.exports = { loader, start, version };
