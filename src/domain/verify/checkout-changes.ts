/** What has changed in the main checkout while workers were at work in worktrees of their own. Pure. */

import { firstOf, oneLine } from '../../lib/text.ts';
import type { ClassifiedError } from '../retry/classify.ts';

/** A checkout at one moment. */
export interface CheckoutState {
  /** Null: detached. */
  branch: string | null;
  head: string;
  /** What git calls changed or untracked there, with a mark that changes whenever the file does. */
  files: ReadonlyMap<string, string>;
}

/**
 * What is new in `now`, for people; null for nothing. `tasks`: those whose workers were at work in between. `strange`: commits since
 * `before` that no merge of a task has brought. `told`: names of files of which it is known. Default: none.
 */
export function checkoutChanges(
  before: CheckoutState,
  now: CheckoutState,
  { tasks, strange, told }: { tasks: readonly string[]; strange: readonly string[]; told?: ReadonlySet<string> },
): string | null {
  const dirty = changedSince(before, now)
    .filter((name) => !told?.has(name))
    .map((name) => (before.files.has(name) ? `${name} (not for the first time)` : name));
  const said = [
    ...(now.branch === before.branch ? [] : [`it is on ${at(now)} now, and was on ${at(before)}`]),
    ...(dirty.length === 0 ? [] : [`not committed there, and not so before: ${firstOf(dirty)}`]),
    ...(strange.length === 0 ? [] : [`commits there that are no merge of a task: ${firstOf(strange)}`]),
  ];
  if (said.length === 0) return null;
  const whose = tasks.length === 1 ? `the worker of ${tasks[0]} was` : `the workers of ${tasks.join(', ')} were`;
  return `the main checkout has changed while ${whose} at work: ${said.join('; ')}`;
}

/** Names of what is not committed in `now` and was not so in `before`, or is not the same any more. Sorted. */
export function changedSince(before: CheckoutState, now: CheckoutState): string[] {
  return [...now.files].flatMap(([name, mark]) => (before.files.get(name) === mark ? [] : [name])).sort();
}

/** Why an attempt has failed whose worker has committed nothing, while `names` were changed in the main checkout; null without any. */
export function elsewhereFault(names: readonly string[]): ClassifiedError | null {
  if (names.length === 0) return null;
  const message = `nothing is committed to its branch, and the main checkout was changed meanwhile: ${firstOf(names)}; where another program writes that, let git ignore it, and where the task need not change files, set \`changes: none\``;
  return { class: 'verify.elsewhere', message: oneLine(message, 500) };
}

function at({ branch, head }: CheckoutState): string {
  return branch === null ? `commit ${head.slice(0, 12)}` : `branch ${branch}`;
}
