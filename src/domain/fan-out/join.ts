/** Joins: a worker waits until all children of fan-outs are over. Pure. */

import { ForgeError, invalidArgs } from '../../lib/errors.ts';
import { firstOf, oneLine } from '../../lib/text.ts';
import type { Plan, PlanTask } from '../plan/plan.ts';
import { type ClassifiedError, errorText } from '../retry/classify.ts';
import type { ReadJournal, Step } from '../steps/journal.ts';
import { requireName } from '../steps/names.ts';
import { type Looker, reached, type Standing, stands } from '../steps/waits.ts';
import { readable, type SeenRecord, type TaskState, type TaskSummary, type WaitsFor } from '../task/records.ts';
import { isTerminal } from '../task/states.ts';

/** The class of a join of which a child has not shipped, and of work with a fan-out that was never joined. */
export const JOIN_FAILED = 'join.failed';
const UNJOINED = 'fanout.unjoined';

/** A child that is over. */
export interface SeenChild {
  fan_out: string;
  name: string;
  state: TaskState;
  /** What it failed with; null for one that has not. */
  error: ClassifiedError | null;
}

/** What a join gives of a child. */
export interface JoinedChild {
  fan_out: string;
  name: string;
  state: TaskState;
  /** What it left; null where it left nothing, and has not shipped. */
  result: unknown;
}

/** What a join keeps: all children but these have shipped. */
export interface JoinResult {
  children: number;
  /** States by `<fan-out>/<child>`. */
  not_shipped: Record<string, TaskState>;
}

const PREFIX = 'forge.join.';

/** The name of the step that joins these fan-outs. Throws INVALID_ID, INVALID_ARGS. */
export function joinName(names: readonly string[]): string {
  const twice = names.find((name, at) => names.indexOf(name) < at);
  if (twice !== undefined) throw invalidArgs(`join names ${oneLine(String(twice))} twice`);
  return PREFIX + names.map((name) => requireName(name, 'a fan-out')).join('+');
}

/** The fan-outs that a step joins; none for one that is no join. */
export function namesOfJoin({ kind, name }: Pick<Step, 'kind' | 'name'>): string[] {
  return kind === 'join' ? name.slice(PREFIX.length).split('+') : [];
}

/** What a task waits for that joins these: one for all of them. */
export function waitsForJoin(names: readonly string[]): WaitsFor {
  return { kind: 'join', name: names.join(' ') };
}

/** For a name that was never fanned out. */
export function unknownFanOut(taskId: string, name: string, known: readonly string[]): ForgeError {
  return new ForgeError('UNKNOWN_FANOUT', `task ${taskId} has no fan-out ${name}`, {
    details: { task_id: taskId, name },
    hint: known.length === 0 ? 'It has none: `forge orchestrate fan-out` makes one.' : `It has ${firstOf(known)}.`,
  });
}

/** A join after a look. `children`: null while one is not over. */
export function afterJoin(
  now: ReadJournal,
  looker: Looker,
  children: readonly SeenChild[] | null,
  allowFailed: boolean,
): Standing {
  const before = reached(now, looker, 'join');
  if (children === null) return stands(now, looker, 'join', before, null, { wake: null });
  const missed = children.filter(({ state }) => state !== 'shipped');
  if (missed.length > 0 && !allowFailed)
    return stands(now, looker, 'join', before, null, { error: failureOf(children, missed), status: 'failed' });
  const not_shipped = Object.fromEntries(missed.map(({ fan_out, name, state }) => [`${fan_out}/${name}`, state]));
  const value: JoinResult = { children: children.length, not_shipped };
  return stands(now, looker, 'join', before, null, { value });
}

/** Children that are named. */
const NAMED = 3;

/** Its exit code is that of the verb: so its attempt is known to have failed by it. */
function failureOf(children: readonly SeenChild[], missed: readonly SeenChild[]): ClassifiedError {
  const texts = missed
    .slice(0, NAMED)
    .map(
      ({ fan_out, name, state, error }) =>
        `${fan_out}/${name} (${error === null ? state : oneLine(errorText(error), 200)})`,
    );
  const more = missed.length > NAMED ? [`${missed.length - NAMED} more`] : [];
  const message = `${missed.length} of ${children.length} children did not ship: ${[...texts, ...more].join(', ')}`;
  return { class: JOIN_FAILED, message, exit_code: 1 };
}

/** Why work does not count whose fan-outs are not all joined; null when they are. */
export function unjoinedFault(sealed: readonly { name: string }[], steps: Iterable<Step>): ClassifiedError | null {
  const ended = [...steps].filter(({ status }) => status !== 'running');
  const joined = new Set(ended.flatMap(namesOfJoin));
  const left = sealed.filter(({ name }) => !joined.has(name)).map(({ name }) => name);
  if (left.length === 0) return null;
  return {
    class: UNJOINED,
    message: `it ended without a join of ${firstOf(left)}: nothing says whether the children are done`,
  };
}

interface Known {
  plan: Pick<Plan, 'childrenOf'>;
  recordOf(taskId: string): SeenRecord;
}

/** The children that a parked task waits for, a list for each of its joins: one that is over lets it go on. */
export function awaitedChildren(
  taskId: string,
  { state }: Pick<TaskSummary, 'state'>,
  plan: Known['plan'],
): PlanTask[][] {
  const joins = (state.waits_for ?? []).filter(({ kind }) => kind === 'join');
  return joins.map(({ name }) => name.split(' ').flatMap((each) => plan.childrenOf.get(`${taskId}/${each}`) ?? []));
}

/** How many of the children are over. */
export function overAmong(children: readonly PlanTask[], { recordOf }: Pick<Known, 'recordOf'>): number {
  return children.filter(({ id }) => {
    const record = readable(recordOf(id));
    return record !== null && isTerminal(record.state.state);
  }).length;
}
