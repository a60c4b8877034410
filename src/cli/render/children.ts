/** Children in lists for people: counted behind their parent, and listed where there is something to look at. */

import type { VerbData } from '../../commands/registry.ts';
import { addChild, childCountOf, childrenText, noChildren } from '../../domain/fan-out/counts.ts';
import { madeIn } from '../../lib/once.ts';
import type { ShownState } from './parts.ts';

type Row = VerbData<'status'>['tasks'][number];

/** A task, or a line about children of the task before it. */
export type Item = { row: Row } | { text: string };

/** Children of one fan-out that are listed. */
const LISTED = 20;

/** The rows of a list, in their order; `stateOf`: as it is shown. `all`: every child is listed. */
export function foldChildren(rows: readonly Row[], stateOf: (row: Row) => ShownState, all: boolean): Item[] {
  const known = new Set(rows.map(({ task_id }) => task_id));
  const sets = new Map<string, Map<string, Row[]>>();
  for (const row of rows) {
    if (row.parent === null || !known.has(row.parent)) continue;
    const [name = ''] = row.task_id.slice(row.parent.length + 1).split('/');
    const ofParent = madeIn(sets, row.parent, () => new Map<string, Row[]>());
    madeIn(ofParent, name, () => []).push(row);
  }
  const behind = (row: Row): Item[] =>
    [...(sets.get(row.task_id) ?? [])].flatMap(([name, children]): Item[] => {
      const sum = noChildren();
      for (const child of children) addChild(sum, childCountOf(stateOf(child)));
      // A child that is not listed may have children that are.
      const listed = children.flatMap((child) => {
        const items = behind(child);
        return all || isToSee(child) || items.some((item) => 'row' in item) ? [[{ row: child }, ...items]] : [];
      });
      const most = all ? listed.length : LISTED;
      const more = listed.length - most;
      const rest = more > 0 ? [{ text: `    and ${more} more of ${name}: \`forge orchestrate status --json\`` }] : [];
      return [{ text: `    ${name}: ${childrenText(sum)}` }, ...listed.slice(0, most).flat(), ...rest];
    });
  return rows.filter(({ parent }) => parent === null || !known.has(parent)).flatMap((row) => [{ row }, ...behind(row)]);
}

/** It failed or asks: a person has something to do. */
function isToSee({ state, held }: Row): boolean {
  return held !== null || state === 'failed' || state === 'unreadable' || state === 'blocked_on_question';
}
