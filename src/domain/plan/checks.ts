/**
 * Checks of a plan beyond its shape: unique ids, existing references, and an order in which the work can be done. They also
 * work on an invalid plan, so that all problems are reported at once.
 */

import { madeIn } from '../../lib/once.ts';
import { listAt, valueAt } from '../../lib/schema-issues.ts';
import { didYouMean, oneLine } from '../../lib/text.ts';
import type { Spelling, YamlPath } from '../../lib/yaml.ts';
import { findCycles, type Graph } from './cycles.ts';
import type { Finding } from './findings.ts';
import { matrixTasks } from './matrix.ts';
import { isOverByPlan } from './plan.ts';

/** As much of a plan as the checks need, read from any value; what has the wrong type is left out. */
export interface Outline {
  phases: PhaseOutline[];
  tasks: TaskOutline[];
}

interface PhaseOutline {
  id: string;
  /** Index in `phases`, here as in the file. */
  index: number;
  status: unknown;
  blockedBy: string | null;
  tasks: TaskOutline[];
}

interface TaskOutline {
  id: string;
  /** The id as it is written, of a task that a matrix makes; else null. */
  group: string | null;
  phase: PhaseOutline;
  /** Index in `tasks` of its phase. */
  index: number;
  status: unknown;
  /** Null where the file has something other than text, so that indexes agree with the file. */
  dependsOn: (string | null)[];
  /** Indexes of those that need not be in the plan, and of those that are mappings. */
  optional: ReadonlySet<number>;
  mapped: ReadonlySet<number>;
  /** The tracker issue that it names; null when it names none. */
  issue: string | number | null;
}

export function outlineOf(value: unknown): Outline {
  const outline: Outline = { phases: [], tasks: [] };
  for (const [index, raw] of listAt(value, 'phases').entries()) {
    const blockedBy = textIn(raw, 'blocked_by');
    const phase: PhaseOutline = {
      id: textIn(raw, 'id'),
      index,
      status: valueAt(raw, ['status']),
      blockedBy: blockedBy || null,
      tasks: [],
    };
    outline.phases.push(phase);
    for (const [taskIndex, rawTask] of listAt(raw, 'tasks').entries()) {
      const made = valueAt(rawTask, ['matrix']) === undefined ? null : matrixTasks(rawTask);
      const tasks = made?.map(({ id, raw: task }) =>
        taskOutline(id, task, phase, taskIndex, textIn(rawTask, 'id')),
      ) ?? [taskOutline(textIn(rawTask, 'id'), rawTask, phase, taskIndex)];
      phase.tasks.push(...tasks);
      outline.tasks.push(...tasks);
    }
  }
  return outline;
}

const NONE: ReadonlySet<number> = new Set();

function taskOutline(
  id: string,
  raw: unknown,
  phase: PhaseOutline,
  index: number,
  group: string | null = null,
): TaskOutline {
  const issue = valueAt(raw, ['tracker_issue_id']);
  const entries = listAt(raw, 'depends_on');
  // Most entries are text: no set is made for them.
  const indexesOf = (holds: (entry: unknown) => boolean): ReadonlySet<number> =>
    entries.some(holds) ? new Set(entries.flatMap((entry, i) => (holds(entry) ? [i] : []))) : NONE;
  return {
    id,
    group,
    phase,
    index,
    status: valueAt(raw, ['status']),
    dependsOn: entries.map((entry) => (typeof entry === 'string' ? entry : textIn(entry, 'task') || null)),
    optional: indexesOf((entry) => valueAt(entry, ['optional']) === true),
    mapped: indexesOf((entry) => typeof entry === 'object'),
    issue: (typeof issue === 'string' && issue !== '') || typeof issue === 'number' ? issue : null,
  };
}

/** Whether `id`, as a task may name another, means this one: itself, or all that its matrix makes. */
const isNamed = (id: string | null, task: TaskOutline) => id === task.id || (id !== null && id === task.group);

function taskPath(task: TaskOutline, ...rest: (string | number)[]): YamlPath {
  return ['phases', task.phase.index, 'tasks', task.index, ...rest];
}

/** All problems with ids, references and order. Linear in the size of the plan, except for suggestions, which are limited. */
export function checkOutline({ phases, tasks }: Outline, spell: Spelling): Finding[] {
  const indexesOf = namedIndexes(tasks);
  const phaseIndex = new Map<string, number>();
  return [
    ...checkIds('phase', phases, (phase) => ['phases', phase.index, 'id'], phaseIndex),
    ...checkTaskIds(tasks),
    ...checkIssues(tasks, spell),
    ...checkDependencies(tasks, indexesOf, phaseIndex),
    ...checkBlockedBy(phases, phaseIndex),
    ...checkOrder(phases, tasks, indexesOf, phaseIndex),
  ];
}

// ---------------------------------------------------------------------------------------------- ids and references

/** The tasks that each id means: one, or all that a matrix makes. */
function namedIndexes(tasks: readonly TaskOutline[]): Map<string, number[]> {
  const named = new Map<string, number[]>();
  for (const [index, { id, group }] of tasks.entries()) {
    if (id !== '' && !named.has(id)) named.set(id, [index]);
    if (group !== null) madeIn(named, group, () => []).push(index);
  }
  return named;
}

/** Ids that are written, and those that matrices make; of one place the first that is wrong. */
function checkTaskIds(tasks: readonly TaskOutline[]): Finding[] {
  const ids: TaskOutline[] = [];
  const own: Finding[] = [];
  let written: TaskOutline | undefined;
  for (const task of tasks) {
    const { group, id } = task;
    const isNext = written?.phase !== task.phase || written.index !== task.index;
    if (isNext) written = task;
    if (group === null) {
      ids.push(task);
      continue;
    }
    if (isNext) ids.push({ ...task, id: group });
    const path = taskPath(task, 'matrix');
    const twice = ids.some((other) => other.id === id && other.index === task.index && other.phase === task.phase);
    const made = `task "${show(group)}": its matrix makes the id "${show(id)}"`;
    if (twice)
      own.push({
        path,
        message: `${made} twice`,
        suggestion: 'Of a value only letters, digits, ".", "_" and "-" go into an id.',
      });
    else ids.push(task);
    if (id.length <= ID_MAX_CHARS) continue;
    const message = `${made}, which has ${id.length} characters; at most ${ID_MAX_CHARS} are taken`;
    own.push({ path, message, suggestion: 'Shorten the id, or the values.' });
  }
  const told = new Set<string>();
  return [...own, ...checkIds('task', ids, (task) => taskPath(task, 'id'), new Map())].filter(({ path }) => {
    const place = JSON.stringify(path);
    return !told.has(place) && told.add(place);
  });
}

const ID_MAX_CHARS = 64;

/** Fills `seen` with the first place of every id. */
function checkIds<T extends { id: string }>(
  kind: string,
  parts: readonly T[],
  pathOf: (part: T) => YamlPath,
  seen: Map<string, number>,
): Finding[] {
  const byLowerCase = new Map<string, T>();
  const findings: Finding[] = [];
  for (const [index, part] of parts.entries()) {
    const first = byLowerCase.get(part.id.toLowerCase());
    if (part.id === '') continue;
    if (!seen.has(part.id)) seen.set(part.id, index);
    if (first === undefined) {
      byLowerCase.set(part.id.toLowerCase(), part);
      continue;
    }
    const message =
      first.id === part.id
        ? `duplicate ${kind} id "${show(part.id)}"`
        : `${kind} ids "${show(first.id)}" and "${show(part.id)}" differ only in case, and some file systems take them for one`;
    findings.push({ path: pathOf(part), message, first: pathOf(first) });
  }
  return findings;
}

/** An issue belongs to one task: its state and its claim cannot follow two. */
function checkIssues(tasks: readonly TaskOutline[], spell: Spelling): Finding[] {
  const named = new Map<string, TaskOutline>();
  return tasks.flatMap((task): Finding[] => {
    if (task.issue === null) return [];
    const path = taskPath(task, 'tracker_issue_id');
    const issue = spell(task.issue, path);
    const other = named.get(issue);
    if (other === undefined) {
      named.set(issue, task);
      return [];
    }
    const message = `task "${show(task.id)}": issue "${show(issue)}" stands for task "${show(other.id)}"`;
    return [{ path, message, first: taskPath(other, 'tracker_issue_id'), suggestion: 'Remove one tracker_issue_id.' }];
  });
}

function checkDependencies(
  tasks: readonly TaskOutline[],
  known: ReadonlyMap<string, unknown>,
  phases: ReadonlyMap<string, number>,
): Finding[] {
  const suggest = boundedDidYouMean(known);
  return tasks.flatMap((task) =>
    task.dependsOn.flatMap((id, i): Finding[] => {
      if (id === null) return [];
      const path = taskPath(task, 'depends_on', i);
      // Of all that a matrix makes it is said once.
      const name = show(task.group ?? task.id);
      if (isNamed(id, task))
        return [{ path, message: `task "${show(id)}" depends on itself (cycle: ${cycleText([id])})` }];
      const first = task.mapped.size === 0 ? i : task.dependsOn.indexOf(id);
      if (first < i && (task.mapped.has(first) || task.mapped.has(i)))
        return [
          {
            path,
            message: `task "${name}" depends on "${show(id)}" twice`,
            first: taskPath(task, 'depends_on', first),
            suggestion: 'Remove one of them.',
          },
        ];
      if (known.has(id) || task.optional.has(i)) return [];
      const message = `task "${name}": unknown dependency "${show(id)}"`;
      if (!phases.has(id)) return [{ path, message, ...suggest(id) }];
      return [
        {
          path,
          message,
          suggestion: `"${show(id)}" is a phase. To wait for it, set blocked_by on the phase of this task.`,
        },
      ];
    }),
  );
}

function checkBlockedBy(phases: readonly PhaseOutline[], known: ReadonlyMap<string, number>): Finding[] {
  return phases.flatMap((phase): Finding[] => {
    const id = phase.blockedBy;
    const path = ['phases', phase.index, 'blocked_by'];
    if (id === null) return [];
    if (id === phase.id)
      return [{ path, message: `phase "${show(id)}" is blocked by itself (cycle: ${cycleText([id])})` }];
    if (known.has(id)) return [];
    const message = `phase "${show(phase.id)}": blocked_by names an unknown phase, "${show(id)}"`;
    return [{ path, message, ...didYouMean(id, known.keys()) }];
  });
}

/** Comparing every unknown id with every known one is quadratic; above this many comparisons there are no suggestions. */
const MAX_COMPARISONS = 100_000;

function boundedDidYouMean(candidates: ReadonlyMap<string, unknown>): (word: string) => { suggestion?: string } {
  const asked = new Map<string, { suggestion?: string }>();
  return (word) => {
    const known = asked.get(word);
    if (known !== undefined) return known;
    if (asked.size > 0 && asked.size * candidates.size > MAX_COMPARISONS) return {};
    const answer = didYouMean(word, candidates.keys());
    asked.set(word, answer);
    return answer;
  };
}

// ---------------------------------------------------------------------------------------------- order

function checkOrder(
  phases: readonly PhaseOutline[],
  tasks: readonly TaskOutline[],
  named: ReadonlyMap<string, readonly number[]>,
  phaseIndex: ReadonlyMap<string, number>,
): Finding[] {
  const blockers = phases.map(({ id, blockedBy }) => indexes(phaseIndex, [blockedBy === id ? null : blockedBy]));
  const needs = tasks.map(({ dependsOn }) => indexes(named, dependsOn));
  const phaseCycles = findCycles(blockers);
  const taskCycles = findCycles(needs);
  const explained = new Set([...taskCycles.flat(), ...phaseCycles.flat().map((phase) => tasks.length + phase)]);
  const deadlocks = findCycles(waits(phases, tasks, needs, blockers)).filter(
    (cycle) => !cycle.some((node) => explained.has(node)),
  );
  return [
    ...phaseCycles.map((cycle): Finding => {
      const ids = cycle.map((node) => phases[node]?.id ?? '');
      const path = ['phases', phases[cycle[0] ?? 0]?.index ?? 0, 'blocked_by'];
      return {
        path,
        message: `phases block each other in a cycle: ${cycleText(ids)}`,
        suggestion: 'Remove one blocked_by.',
      };
    }),
    ...taskCycles.map((cycle): Finding => {
      const ids = cycle.map((node) => tasks[node]?.id ?? '');
      const message = `tasks depend on each other in a cycle: ${cycleText(ids)}`;
      return { path: dependencyPath(tasks, cycle), message, suggestion: 'Remove one of these dependencies.' };
    }),
    ...deadlocks.map((cycle) => deadlock(cycle, phases, tasks)),
  ];
}

/**
 * Which node waits for which: nodes are the tasks, then the phases as "is finished". A task waits for its dependencies and for
 * the phase that blocks its own; a phase is finished after its tasks. What is over waits for nothing.
 */
function waits(phases: readonly PhaseOutline[], tasks: readonly TaskOutline[], needs: Graph, blockers: Graph): Graph {
  const indexOf = new Map(tasks.map((task, index) => [task, index]));
  const ofTasks = tasks.map((task, index) => {
    if (isOverByPlan(task)) return [];
    const blocked = (blockers[task.phase.index] ?? []).map((phase) => tasks.length + phase);
    return [...(needs[index] ?? []).filter((other) => !isOverByPlan(tasks[other])), ...blocked];
  });
  const ofPhases = phases.map((phase) =>
    phase.status === 'done' ? [] : phase.tasks.flatMap((task) => indexOf.get(task) ?? []),
  );
  return [...ofTasks, ...ofPhases];
}

/** Explains a cycle of tasks and phases step by step, beginning with a dependency, where it can be broken. */
function deadlock(cycle: readonly number[], phases: readonly PhaseOutline[], tasks: readonly TaskOutline[]): Finding {
  const start = Math.max(
    0,
    cycle.findIndex((node, i) => node < tasks.length && (cycle[(i + 1) % cycle.length] ?? 0) < tasks.length),
  );
  const turned = [...cycle.slice(start), ...cycle.slice(0, start)];
  const steps = turned.map((node, i) => {
    const next = turned[(i + 1) % turned.length] ?? 0;
    const [task, other] = [tasks[node], tasks[next]];
    if (task === undefined)
      return `phase "${show(phases[node - tasks.length]?.id ?? '')}" is not finished before "${show(other?.id ?? '')}"`;
    if (other !== undefined) return `"${show(task.id)}" depends on "${show(other.id)}"`;
    return `"${show(task.id)}" is in phase "${show(task.phase.id)}", which waits for phase "${show(phases[next - tasks.length]?.id ?? '')}"`;
  });
  return {
    path: dependencyPath(tasks, turned),
    message: `deadlock: ${abridged(steps).join('; ')}`,
    suggestion: 'Remove the dependency, or move one of the tasks to another phase.',
  };
}

/** The entry of `depends_on` by which the first task of a cycle depends on the second. */
function dependencyPath(tasks: readonly TaskOutline[], cycle: readonly number[]): YamlPath {
  const [task, next] = [tasks[cycle[0] ?? 0], tasks[cycle[1] ?? 0]];
  if (task === undefined || next === undefined) return [];
  const at = task.dependsOn.findIndex((id) => isNamed(id, next));
  return at < 0 ? taskPath(task) : taskPath(task, 'depends_on', at);
}

function cycleText(ids: readonly string[]): string {
  return abridged([...ids, ids[0] ?? ''].map(show)).join(' -> ');
}

/** A cycle through thousands of tasks is shortened in the middle. */
function abridged(parts: readonly string[]): string[] {
  return parts.length <= 20
    ? [...parts]
    : [...parts.slice(0, 10), `... (${parts.length - 15} more)`, ...parts.slice(-5)];
}

function indexes(known: ReadonlyMap<string, number | readonly number[]>, ids: readonly (string | null)[]): number[] {
  return ids.flatMap((id) => (id === null ? [] : (known.get(id) ?? [])));
}

/** An id that may hold anything, safe to print. */
function show(id: string): string {
  return oneLine(id, 64);
}

function textIn(value: unknown, key: string): string {
  const field = valueAt(value, [key]);
  return typeof field === 'string' ? field : '';
}
