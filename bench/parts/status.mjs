/** What looking at a large tree costs, against a bare loop over the same files: time and memory. */

import fs from 'node:fs';
import path from 'node:path';
import { program } from '../lib/bundle.mjs';
import { askForge, forgeArgs } from '../lib/forge.mjs';
import { execute, inTurns, median, timed } from '../lib/measure.mjs';
import { plainPlan, taskId } from '../lib/plans.mjs';
import { figure, heading, times } from '../lib/report.mjs';
import { cleanEnv, scratchFolder, scratchProject, tasksFolder } from '../lib/scratch.mjs';

const LIMITS = { first: 3, later: 1.4 };
/** Of one task. */
const CHILDREN = 10_000;
/** After which what was changed counts as settled, milliseconds. */
const SETTLED_MS = 2500;
const bare = path.join(import.meta.dirname, '..', 'programs', 'bare-read.mjs');
const floor = path.join(import.meta.dirname, '..', 'programs', 'floor-look.mjs');
const later = path.join(import.meta.dirname, '..', 'programs', 'floor-later.mjs');
const peak = path.join(import.meta.dirname, '..', 'programs', 'report-peak.cjs');

export async function status({ full }) {
  const grow = await program('grow-tree');
  for (const size of full ? [1000, 10_000, 100_000] : [1000, 10_000]) {
    for (const kind of ['hand', 'run']) {
      heading(`status: ${size} tasks, ${kind === 'hand' ? 'written by hand' : 'as `run` made them'}`);
      const project = scratchProject(`status-${kind}`, plainPlan(size));
      execute(process.execPath, [grow, project, String(size), kind]);
      await measure(project, size);
      fs.rmSync(project, { recursive: true });
    }
  }
  heading(`status: ${CHILDREN} children of one task, as \`run\` made them`);
  const project = scratchProject('status-children', plainPlan(1));
  execute(process.execPath, [grow, project, String(CHILDREN), 'run', fannedOut(project)]);
  const cache = await againstBareRead(project, 'status --json', forgeArgs(project, 'status', '--json'), CHILDREN);
  await leastLater(project, cache);
  fs.rmSync(project, { recursive: true });
}

/** Has the only task of `project` fan out. Returns what its children are named below. */
function fannedOut(project) {
  const task = taskId(0);
  const { claim_id, run_id } = askForge(project, 'claim', task);
  const { attempt_id } = askForge(project, 'dispatch', task, '--claim', claim_id, '--run', run_id);
  const lines = path.join(project, 'children.jsonl');
  const children = Array.from({ length: CHILDREN }, (_, index) => ({ name: taskId(index), run: 'true' }));
  fs.writeFileSync(lines, children.map((child) => `${JSON.stringify(child)}\n`).join(''));
  askForge(project, 'fan-out', 'each', '--task', task, '--attempt', attempt_id, '--from', lines);
  return `${task}/each`;
}

async function measure(project, size) {
  const cache = await againstBareRead(project, 'status --json', forgeArgs(project, 'status', '--json'), size);
  await leastLater(project, cache);
  await againstBareRead(project, 'phases --ready --json', forgeArgs(project, 'phases', '--ready', '--json'), size);
  const tasks = tasksFolder(project);
  const run = (args) => () => void execute(process.execPath, args, { env: cleanEnv() });
  const least = run([floor, tasks, path.join(project, 'plans', 'phases.yaml')]);
  const took = await inTurns(least, run([bare, tasks]), 5);
  figure('the least that a first look can be', took.ratio, { detail: times(took) });
  // The files without a plan: what the tree alone costs.
  fs.rmSync(path.join(project, 'plans'), { recursive: true });
  await againstBareRead(project, 'status --json, without a plan', forgeArgs(project, 'status', '--json'), size);
}

/**
 * Time and memory of `ours`, a command that looks at the tree of `project`, against the bare loop: of a first look, for which
 * nothing was kept, and of the looks after it. Returns the folder of what they keep.
 */
export async function againstBareRead(project, what, ours, size) {
  const base = [bare, tasksFolder(project)];
  const cache = scratchFolder('cache');
  const env = cleanEnv({ XDG_CACHE_HOME: cache });
  const run = (args) => () => void execute(process.execPath, args, { env });
  const rounds = size >= 100_000 ? 3 : size >= 10_000 ? 15 : 25;
  await settled(project);
  const first = await inTurns(
    () => {
      fs.rmSync(path.join(cache, 'forge'), { recursive: true, force: true });
      return timed(run(ours));
    },
    run(base),
    Math.min(rounds, 5),
  );
  const later = await inTurns(run(ours), run(base), rounds);
  const memory = { ours: peakOf(ours, env), base: peakOf(base, env) };
  const peaks = `peak memory ${mib(memory.ours)} / ${mib(memory.base)}`;
  figure(what, later.ratio, { limit: LIMITS.later, detail: `${times(later)}; ${peaks}` });
  figure(`${what}, a first look`, first.ratio, { limit: LIMITS.first, detail: times(first) });
  return path.join(cache, 'forge');
}

/** `kept`: by an earlier look. */
async function leastLater(project, kept) {
  const file = fs.readdirSync(kept, { recursive: true }).find((name) => path.basename(name) === 'tree');
  const tasks = tasksFolder(project);
  const run = (args) => () => void execute(process.execPath, args, { env: cleanEnv() });
  const took = await inTurns(run([later, path.join(kept, file), tasks]), run([bare, tasks]), 15);
  figure('the least that a later look can be', took.ratio, { detail: times(took) });
}

/** What has only just been made is not kept; see src/store/file/snapshot-cache.ts. */
async function settled(project) {
  const newest = path.join(tasksFolder(project), fs.readdirSync(tasksFolder(project)).sort().at(-1));
  const left = fs.statSync(newest).ctimeMs + SETTLED_MS - Date.now();
  if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
}

/** Peak resident memory of a node process, KiB: the median of so many calls. */
export function peakOf(args, env, calls = 3) {
  const file = path.join(scratchFolder('peak'), 'kib');
  const peaks = Array.from({ length: calls }, () => {
    execute(process.execPath, ['--require', peak, ...args], { env: { ...env, BENCH_PEAK_FILE: file } });
    return Number(fs.readFileSync(file, 'utf8'));
  });
  return median(peaks);
}

function mib(kib) {
  return `${Math.round(kib / 1024)} MiB`;
}
