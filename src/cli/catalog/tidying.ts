/** The verbs that put a tree right again, and that take away what forge brought. */

import type { GcRowId } from '../../domain/gc/gc-plan.ts';
import { EXIT, ForgeError } from '../../lib/errors.ts';
import type { Input } from '../input.ts';
import type { VerbSpec } from '../spec.ts';

const GC: VerbSpec = {
  name: 'gc',
  about: 'Find where things disagree, and put them right',
  notes:
    'Compares records, leases, attempts, questions, worktrees, branches and the tracker, and applies what each divergence\n' +
    'calls for, only where it is still as it was seen. spec/ORCHESTRATOR.md has the table of rows. Exits with 1 when an\n' +
    'action failed, else with 0; with --detailed-exitcode with 10 when something is left to do.',
  options: [
    { name: 'dry-run', about: 'Only show what would be done' },
    { name: 'out', value: 'file', about: 'Only write the plan to a file, to apply it later' },
    { name: 'plan', value: 'file', about: 'Apply this plan; what has changed since is skipped' },
    { name: 'task', value: 'id', about: 'Only this task; may be repeated', many: true },
    { name: 'row', value: 'n', about: 'Only this row of the table, 1 to 14; may be repeated', many: true },
    { name: 'remove-orphan-worktrees', about: 'Also remove worktrees that belong to no task' },
    { name: 'detailed-exitcode', about: 'Exit with 10 when something is left to do' },
  ],
  examples: [
    ['gc --dry-run', 'what would be done, and why'],
    ['gc', 'do it'],
    ['gc --out plan.json', 'keep the plan'],
    ['gc --plan plan.json', 'apply exactly that'],
    ['gc --dry-run --detailed-exitcode --json', 'for CI: 10 when there is something to do'],
  ],
  async answer(input, { call }) {
    const { gc } = await import('../../commands/gc.ts');
    const dryRun = input.flag('dry-run') || input.text('out') !== undefined;
    const data = await gc(call, {
      dryRun,
      out: input.text('out'),
      plan: input.text('plan'),
      tasks: input.list('task'),
      rows: rowsOf(input),
      removeOrphanWorktrees: input.flag('remove-orphan-worktrees'),
    });
    const { divergent, ...shown } = data;
    const detailed = input.flag('detailed-exitcode') && divergent ? EXIT.divergences : EXIT.ok;
    return {
      data: shown,
      human: async (look) =>
        (await import('../render/gc.ts')).renderGc(shown, { dryRun, out: input.text('out') }, look),
      exitCode: data.failed.length > 0 ? EXIT.failed : detailed,
    };
  },
};

function rowsOf(input: Input): GcRowId[] {
  return input.list('row').map((text) => {
    const row = /^\d{1,2}$/.test(text) ? Number(text) : 0;
    if (row >= 1 && row <= 14) return row as GcRowId;
    throw new ForgeError('INVALID_ARGS', `--row ${JSON.stringify(text)}: expected a row of the table, 1 to 14`);
  });
}

const UNINIT: VerbSpec = {
  name: 'uninit',
  about: 'Take away what init wrote',
  notes:
    'Removes only what is still as `init` writes it, and the section of AGENTS.md. What somebody has changed, and the state of\n' +
    'tasks, stays and is named. `forge uninit` is the same.',
  options: [{ name: 'dry-run', about: 'Only show what would go' }],
  examples: [
    ['uninit --dry-run', 'what would go, and what would stay'],
    ['uninit', 'do it'],
  ],
  async answer(input, { call }) {
    const { uninit } = await import('../../commands/uninit.ts');
    const dryRun = input.flag('dry-run');
    const data = await uninit(call, { dryRun });
    return { data, human: async (look) => (await import('../render/init.ts')).renderUninit(data, dryRun, look) };
  },
};

export const TIDYING = [GC, UNINIT];
