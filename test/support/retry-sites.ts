/** Every place where a failure is tried again by a policy, with the same failures: for tests that hold at each of them. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { dataOf, orchestrate, project } from './cli.ts';
import { LiveForge } from './faults/forge.ts';

/** A try: the class that it fails with, and when it says to be tried again, in ms for a program and as text else; or one that is killed in the middle. */
export type Failure = { class: string; retry_after?: string } | 'killed';

/** `own`: at the site itself: in its task's plan, its flag, its code. */
export type Level = 'own' | 'plan' | 'settings';

export interface Standing {
  /** Of the budget. */
  tries: number;
  counts: Record<string, number> | undefined;
  /** Of the last failure; null: there is none any more. */
  error: string | null;
  message: string | null;
}

export interface RetrySite {
  name: string;
  levels: readonly Level[];
  /** The task's `run`. */
  run: string;
  /** What it takes; `retry`: the policy as JSON; null: it has none of its own. */
  files(retry: string | null): Record<string, string>;
  standing(cwd: string): Promise<Standing>;
}

/** Fails as `failures.json` says, one entry a try; then it succeeds. */
const FAIL = `
const fs = require('node:fs');
const next = () => {
  const made = fs.existsSync('ledger') ? fs.readFileSync('ledger', 'utf8').split('\\n').length - 1 : 0;
  fs.appendFileSync('ledger', Date.now() + '\\n');
  return JSON.parse(fs.readFileSync('failures.json', 'utf8'))[made];
};
const hang = () => { console.log('hangs'); return new Promise((resolve) => setTimeout(resolve, 600000)); };
module.exports = { next, hang };
if (require.main === module) {
  const failure = next();
  if (failure === 'killed') hang();
  else if (failure !== undefined) {
    if (failure.retry_after !== undefined) fs.writeFileSync(process.env.FORGE_RETRY_AFTER_FILE, failure.retry_after);
    console.error('class: ' + failure.class);
    process.exitCode = 9;
  }
}
`;

const LIBRARY = pathToFileURL(join(import.meta.dirname, '../../dist/lib/worker.js')).href;

const told = (error: { class: string; message: string } | null) => ({
  error: error?.class ?? null,
  message: error?.message ?? null,
});

async function ofStep(cwd: string): Promise<Standing> {
  const [step] = (await dataOf(cwd, 'steps', 'a')).steps;
  return { tries: step.tries, counts: step.retry_counts, ...told(step.last_error) };
}

/** A body in shell that comes to the site by this verb. */
const inShell =
  (verb: string, options = '') =>
  (retry: string | null) => ({
    'body.sh': `"$FORGE_CLI" orchestrate ${verb} pay ${options} ${retry === null ? '' : `--retry '${retry}'`} -- node fail.cjs || true\n`,
  });

/** A module that comes to the site by this method. */
const inTypeScript =
  (method: string, options = '') =>
  (retry: string | null) => ({
    'body.mjs': `
import { worker } from '${LIBRARY}';
import fail from './fail.cjs';
const pay = async () => {
  const failure = fail.next();
  if (failure === 'killed') await fail.hang();
  else if (failure !== undefined) throw Object.assign(new Error(failure.class), { class: failure.class, retryAfter: failure.retry_after });
  return true;
};
await worker.${method}('pay', pay, { retry: ${retry ?? 'undefined'}, ${options} }).catch(() => {});
`,
  });

/** Where the step fails, its task goes on: the step alone is looked at. */
export const RETRY_SITES: readonly RetrySite[] = [
  {
    name: 'a task',
    levels: ['plan', 'settings'],
    run: 'node fail.cjs',
    files: () => ({}),
    standing: async (cwd) => {
      const { failure_count: tries, retry_counts: counts, last_error } = (await dataOf(cwd, 'show', 'a')).state;
      return { tries, counts, ...told(last_error) };
    },
  },
  {
    name: 'a step in shell',
    levels: ['own', 'plan', 'settings'],
    run: 'sh body.sh',
    files: inShell('step'),
    standing: ofStep,
  },
  {
    name: 'a step in TypeScript',
    levels: ['own', 'plan', 'settings'],
    run: 'node body.mjs',
    files: inTypeScript('step'),
    standing: ofStep,
  },
  {
    name: 'a wait for a condition in shell',
    levels: ['own'],
    run: 'sh body.sh',
    files: inShell('wait-until'),
    standing: ofStep,
  },
  {
    name: 'a wait for a condition in TypeScript',
    levels: ['own'],
    run: 'node body.mjs',
    files: inTypeScript('waitUntil'),
    standing: ofStep,
  },
  {
    name: 'a repeat in shell',
    levels: ['own', 'plan', 'settings'],
    run: 'sh body.sh',
    files: inShell('repeat', '--every 1h --times 1 --on-error fail'),
    standing: ofStep,
  },
  {
    name: 'a repeat in TypeScript',
    levels: ['own', 'plan', 'settings'],
    run: 'node body.mjs',
    files: inTypeScript('repeat', "every: '1h', times: 1, onError: 'fail'"),
    standing: ofStep,
  },
];

interface Fails {
  retry: unknown;
  failures: readonly Failure[];
  /** Default: the first of the site. */
  level?: Level;
  /** The policy after the try that is killed. Default: the same. */
  reordered?: unknown;
}

/** Runs a task that fails at the site; how the site stands then, and when its tries began, milliseconds. */
export async function failAt(
  site: RetrySite,
  { retry, failures, level = site.levels[0] ?? 'own', reordered = retry }: Fails,
): Promise<Standing & { times: number[] }> {
  const own = (policy: unknown) => site.files(level === 'own' ? JSON.stringify(policy) : null);
  const task = (policy: unknown) => {
    const planned =
      level === 'settings' ? '' : `, retry: ${JSON.stringify(level === 'plan' ? policy : { max_attempts: 1 })}`;
    return `id: a, title: A, run: ${site.run}${planned}`;
  };
  const classes = new Set(failures.flatMap((failure) => (failure === 'killed' ? [] : [failure.class])));
  const errors = [...classes].map((name) => ({ class: name, output: `class: ${name}$` }));
  const settings = (policy: unknown) => JSON.stringify({ errors, ...(level === 'settings' ? { retry: policy } : {}) });
  const files = (policy: unknown) => ({ ...own(policy), '.forge/settings.yaml': settings(policy) });
  const cwd = project([task(retry)], {
    ...files(retry),
    'fail.cjs': FAIL,
    'failures.json': JSON.stringify(failures),
  });
  if (failures.includes('killed')) {
    const first = new LiveForge(cwd, ['run']);
    await first.event('the try', (event) => event.type === 'task_output' && String(event['text']).includes('hangs'));
    first.signal('SIGKILL');
    await first.ended;
    const plan = join(cwd, 'plans/phases.yaml');
    writeFileSync(plan, readFileSync(plan, 'utf8').replace(task(retry), task(reordered)));
    for (const [name, text] of Object.entries(files(reordered))) writeFileSync(join(cwd, name), text);
  }
  await orchestrate(['run'], { cwd });
  const times = readFileSync(join(cwd, 'ledger'), 'utf8').trimEnd().split('\n').map(Number);
  return { ...(await site.standing(cwd)), times };
}
