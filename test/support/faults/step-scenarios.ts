/** The commands of a worker that keeps a journal, under faults. */

import { context } from '../../../src/commands/context.ts';
import { step } from '../../../src/commands/step.ts';
import { callOn } from './forge.ts';
import { project, type Scenario, TASK, worked } from './scenarios.ts';

/** An attempt with a value in its context, and a step that is done. */
export async function withJournal(dir: string): Promise<string> {
  const attempt = await worked(dir, { beats: 0 });
  const own = { task: TASK, attempt };
  await context.run(callOn(dir), { ...own, action: 'set', key: 'before', value: '1' });
  await step.run(callOn(dir), { ...own, name: 'done', command: ['true'] });
  return attempt;
}

export const STEP_SCENARIOS: readonly Scenario[] = [
  {
    name: 'context',
    async prepare() {
      const dir = project();
      const attempt = await withJournal(dir);
      return { dir, args: ['context', 'merge', '{"a": 1, "b": 2}', '--task', TASK, '--attempt', attempt] };
    },
    says: { values: { before: 1, a: 1, b: 2 } },
    repeatable: true,
  },
  {
    name: 'context that the record has no room for',
    async prepare() {
      const dir = project();
      const attempt = await withJournal(dir);
      const values = JSON.stringify({ a: 'x'.repeat(9000), b: 'y'.repeat(9000) });
      return { dir, args: ['context', 'merge', values, '--task', TASK, '--attempt', attempt] };
    },
    says: { values: { before: 1 } },
    repeatable: true,
  },
  {
    name: 'signal',
    async prepare() {
      const dir = project();
      await withJournal(dir);
      return { dir, args: ['signal', TASK, 'go', '--data', '{"x": 1}', '--id', 'one'] };
    },
    says: { signal: 'go', id: 'one' },
    repeatable: true,
  },
];
