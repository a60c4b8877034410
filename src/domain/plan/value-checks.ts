/** Checks of values of a plan or of settings beyond their shape, and the names of their places. */

import { globFault } from '../../lib/globs/syntax.ts';
import { isTaskId } from '../../lib/ids.ts';
import { closest, oneLine } from '../../lib/text.ts';
import { parseDuration } from '../../lib/time.ts';
import type { YamlPath } from '../../lib/yaml.ts';
import { retryProblems } from '../retry/schema.ts';
import { type Outline, taskPath } from './checks.ts';
import { type Finding, inWords, pathText, valueAt } from './findings.ts';
import type { TaskYaml } from './schema.ts';

/** `task "build": timeout`: tasks and phases by their names, the rest by its path. */
export function planLabel(value: unknown): (path: YamlPath) => string {
  return (path) => {
    const [, phase, , task] = path;
    if (path[0] !== 'phases' || typeof phase !== 'number') return pathText(path);
    const isTask = path[2] === 'tasks' && typeof task === 'number';
    const end = isTask ? 4 : 2;
    const id = valueAt(value, [...path.slice(0, end), 'id']);
    const name = typeof id === 'string' && id !== '' ? `"${oneLine(id, 64)}"` : `number ${Number(path[end - 1]) + 1}`;
    const rest = pathText(path.slice(end));
    return `${isTask ? 'task' : 'phase'} ${name}${rest === '' ? '' : `: ${rest}`}`;
  };
}

/** Checks of tasks beyond their shape. Looks only at values of the right type. */
export function checkTasks(value: unknown, outline: Outline): Finding[] {
  const label = planLabel(value);
  return outline.tasks.flatMap((task): Finding[] => {
    const raw = valueAt(value, taskPath(task));
    if (typeof raw !== 'object' || raw === null) return [];
    return checkTask(raw as Partial<Record<keyof TaskYaml, unknown>>).map((finding) => {
      const path = [...taskPath(task), ...finding.path];
      return { ...finding, path, message: `${label(path)}: ${finding.message}` };
    });
  });
}

function checkTask(task: Partial<Record<keyof TaskYaml, unknown>>): Finding[] {
  const findings: Finding[] = [];
  const { owner_type: owner, question_budget: budget, timeout, retry, write_globs: globs } = task;
  if (typeof owner === 'string' && owner !== 'human' && closest(owner, ['human']) !== null) {
    findings.push({
      path: ['owner_type'],
      message: `only "human" makes a task a checkpoint, found ${inWords(owner)}`,
      suggestion: 'Write human.',
    });
  }
  if (parseDuration(timeout) === 0) {
    findings.push({ path: ['timeout'], message: 'must be more than 0', suggestion: 'Leave it out for no limit.' });
  }
  findings.push(...checkBudget(budget), ...checkCommands(task), ...checkGlobs(globs, ['write_globs']));
  if (retry !== undefined && retry !== null) findings.push(...retryFindings(retry, ['retry']));
  return findings;
}

/** A soft limit above the hard one would never be reached. */
export function checkBudget(budget: unknown): Finding[] {
  const [soft, hard] = [valueAt(budget, ['soft']), valueAt(budget, ['hard'])];
  if (typeof soft !== 'number' || typeof hard !== 'number' || soft <= hard) return [];
  return [{ path: ['question_budget', 'soft'], message: `the soft limit (${soft}) is above the hard one (${hard})` }];
}

/** Problems of the globs in the list at `path`. The shape check reports empty ones. */
export function checkGlobs(list: unknown, path: YamlPath): Finding[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((glob: unknown, i): Finding[] => {
    const fault = typeof glob === 'string' && glob !== '' ? globFault(glob) : null;
    if (fault === null) return [];
    return [{ path: [...path, i], ...fault, message: `${inWords(glob)} ${fault.message}` }];
  });
}

function checkCommands({ run, verify, env }: Partial<Record<keyof TaskYaml, unknown>>): Finding[] {
  const lines = Array.isArray(verify) ? verify.map((line, i): [YamlPath, unknown] => [['verify', i], line]) : [];
  const variables = typeof env === 'object' && env !== null ? Object.entries(env) : [];
  return refuseNul([
    [['run'], run],
    ...lines,
    ...variables.map(([name, value]): [YamlPath, unknown] => [['env', name], value]),
  ]);
}

/** A command line or a variable with a NUL cannot be passed to a process. */
export function refuseNul(texts: readonly [YamlPath, unknown][]): Finding[] {
  const bad = texts.filter(([, text]) => typeof text === 'string' && text.includes('\0'));
  return bad.map(([path]) => ({ path, message: 'may not hold a NUL character' }));
}

/** The problems of a `retry:` value, below `path`. */
export function retryFindings(declaration: unknown, path: YamlPath): Finding[] {
  return retryProblems(declaration).map(({ suggestion, ...problem }) => ({
    ...problem,
    path: [...path, ...problem.path],
    ...(suggestion === undefined ? {} : { suggestion: `Did you mean "${suggestion}"?` }),
  }));
}

/** Adds to findings about ids how the id could be written instead. */
export function suggestIds(findings: readonly Finding[], value: unknown): Finding[] {
  return findings.map((finding) => {
    const id = finding.path.at(-1) === 'id' ? valueAt(value, finding.path) : null;
    if (typeof id !== 'string' || finding.suggestion !== undefined) return finding;
    const legal = id
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+|-+$/g, '')
      .slice(0, 64);
    return isTaskId(legal) && legal !== id ? { ...finding, suggestion: `Write ${legal}.` } : finding;
  });
}
