/**
 * Runs the commands that are called most, in a project of its own, and writes V8's code cache beside every file of the
 * bundle that was loaded on the way: with the functions that V8 compiles only when they are called.
 *
 * usage: node scripts/warm-up.cjs FOLDER    FOLDER holds the bundle. Started by scripts/build.mjs. Prints what the commands print.
 */

'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { loader, version } = require('../bin/forge.cjs');

const PLAN = `project: warm-up
phases:
  - id: phase-1
    name: One
    tasks:
      - { id: a, title: A, run: "true" }
      - { id: b, title: B, depends_on: [a], timeout: 10s, retry: { max_attempts: 2, base: 1s } }
  - id: phase-2
    name: Two
    blocked_by: phase-1
    tasks:
      - { id: c, title: C, priority: P0 }
`;

async function warmUp(bundle) {
  const scripts = new Map();
  const { main } = loader(bundle, scripts)('./main.cjs');
  const forge = (...args) => main({ argv: ['orchestrate', ...args], version });
  await forge('init', '--json');
  fs.writeFileSync('plans/phases.yaml', PLAN);
  for (const format of [['--json'], []]) {
    await forge('claim', 'a', ...format);
    await workOn('a', (...args) => forge(...args, ...format));
    for (const verb of ['status', 'phases', 'doctor']) await forge(verb, ...format);
    for (const verb of ['why', 'show', 'logs']) await forge(verb, 'a', ...format);
    await forge('phases', '--ready', ...format);
    await forge(...format);
    for (const verb of ['cancel', 'retry']) await forge(verb, 'a', ...format);
    await forge('run', '--task', 'a', ...format);
    for (const verb of ['start', 'list']) await forge('run', verb, ...format);
    // As if there were a repository: then gc also loads what asks git.
    fs.mkdirSync('.git', { recursive: true });
    await forge('gc', '--dry-run', ...format);
    fs.rmdirSync('.git');
    fs.rmSync('.forge/orchestrator/tasks', { recursive: true });
  }
  const caches = cachesOf(scripts);
  // Its stdin has ended. What it compiles of files that others use too would only make those longer to read.
  await forge('mcp');
  return new Map([...cachesOf(scripts), ...caches]);
}

/** By the files of the scripts. */
function cachesOf(scripts) {
  return new Map([...scripts].map(([file, script]) => [file, script.createCachedData()]));
}

async function workOn(task, forge) {
  const lease = () => JSON.parse(fs.readFileSync(`.forge/orchestrator/tasks/${task}/lease.json`, 'utf8'));
  await forge('dispatch', task, '--claim', lease().claim_id, '--run', lease().owner_run_id);
  const attempt = ['--attempt', lease().attempt_id];
  await forge('heartbeat', task, ...attempt);
  await forge('event', task, ...attempt, '--type', 'tested', '--data', '{}');
  await forge('complete', task, ...attempt, '--failed', '--error-class', 'tests');
}

async function start() {
  // Every command adds a listener, which a process of its own would never notice.
  process.setMaxListeners(0);
  const bundle = path.resolve(process.argv[2]);
  const project = fs.mkdtempSync(path.join(os.tmpdir(), 'forge-warm-up-'));
  process.chdir(project);
  // What the commands keep goes with the project.
  process.env.XDG_CACHE_HOME = path.join(project, '.cache');
  try {
    for (const [file, cache] of await warmUp(bundle)) fs.writeFileSync(`${file}.cache`, cache);
    process.exitCode = 0;
  } finally {
    fs.rmSync(project, { recursive: true, force: true });
  }
}

void start();
