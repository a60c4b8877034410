/**
 * `npm run agents`: takes the real programs of coding agents through the situations of `spec/AGENTS.md`, with a scripted model on the
 * loopback, and prints what forge made of each. Exits with 1 when one of them is not what the page says.
 *
 * --programs  a folder with their programs, such as node_modules/.bin, before PATH
 * --keep      leaves project, home and output of every try, and says where
 *
 * An agent that is not installed is left out, with a word. Each try has a HOME of its own; nothing of the user is read.
 */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { optionsOf } from '../../scripts/options.mjs';
import { PROGRAMS } from './programs.mjs';
import { startServer } from './server.mjs';
import { SITUATIONS } from './situations.mjs';
import { Try } from './try.mjs';

/** Where nothing listens: a port that only root may have, and that is for discarding. */
const NOWHERE = 'http://127.0.0.1:9';

const USAGE = 'npm run agents -- [--programs DIR]... [--agent NAME]... [--situation NAME]... [--jobs N] [--keep]';
const { values } = optionsOf(USAGE, {
  options: {
    programs: { type: 'string', multiple: true, default: [] },
    agent: { type: 'string', multiple: true, default: Object.keys(PROGRAMS) },
    situation: { type: 'string', multiple: true, default: Object.keys(SITUATIONS) },
    jobs: { type: 'string', default: String(os.availableParallelism()) },
    keep: { type: 'boolean', default: false },
  },
});
for (const [asked, known] of [
  [values.agent, PROGRAMS],
  [values.situation, SITUATIONS],
]) {
  const unknown = asked.filter((name) => !Object.hasOwn(known, name));
  if (unknown.length === 0) continue;
  console.error(`there is no ${unknown.join(', ')}; known are ${Object.keys(known).join(', ')}`);
  process.exit(2);
}

if (!/^[1-9]\d*$/.test(values.jobs)) {
  console.error(`--jobs ${values.jobs}: expected a number from 1 on`);
  process.exit(2);
}

const folders = values.programs.map((dir) => path.resolve(dir));
const onPath = (process.env.PATH ?? '').split(':').filter((dir) => dir !== '');
const folderOf = (agent) => [...folders, ...onPath].find((dir) => fs.existsSync(path.join(dir, agent)));

const home = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'forge-agents-'));
const waitingForKill = new Map();
const server = await startServer((name) => {
  waitingForKill.get(name)?.killWorker();
  waitingForKill.delete(name);
});

const tries = [];
for (const agent of values.agent) {
  const bin = folderOf(agent);
  if (bin === undefined) console.log(`${agent} is not installed, and is left out`);
  else for (const situation of values.situation) tries.push({ agent, situation, bin });
}

const rows = [];
async function lane() {
  for (let next = tries.shift(); next !== undefined; next = tries.shift()) rows.push(await tried(next));
}

async function tried({ agent, situation: name, bin }) {
  const situation = SITUATIONS[name];
  const id = `${agent}-${name}`;
  const place = path.join(home, id);
  fs.mkdirSync(place);
  const base = `${situation.unreachable ? NOWHERE : `http://127.0.0.1:${server.port}`}/${id}`;
  const one = new Try(agent, situation, { place, bins: [bin], set: PROGRAMS[agent](base) });
  if (situation.killed === true) waitingForKill.set(id, one);
  const { state, class: errorClass, seconds } = await one.outcome();
  const wanted = situation.except?.[agent] ?? situation.outcome;
  const isRight = state === wanted.state && errorClass === wanted.class;
  const due = isRight ? '' : `  should be ${wanted.state} ${wanted.class ?? ''}`;
  const line = [
    agent.padEnd(9),
    name.padEnd(11),
    state.padEnd(18),
    (errorClass ?? '').padEnd(26),
    `${seconds.toFixed(1)} s`,
  ];
  console.log(`${isRight ? '✓' : '✗'} ${line.join(' ')}${due}`);
  return { id, isRight };
}

await Promise.all(Array.from({ length: Number(values.jobs) }, lane));
server.stop();
const wrong = rows.filter(({ isRight }) => !isRight);
console.log(`\n${rows.length - wrong.length} of ${rows.length} as spec/AGENTS.md says`);
if (values.keep || wrong.length > 0) console.log(`what they wrote is in ${home}`);
else fs.rmSync(home, { recursive: true, force: true });
process.exitCode = wrong.length === 0 ? 0 : 1;
