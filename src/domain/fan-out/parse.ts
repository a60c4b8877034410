/** Reads the children of a fan-out: JSON, a line a child. Pure. */

import * as z from 'zod/mini';
import { type ErrorCode, ForgeError, type Problem } from '../../lib/errors.ts';
import { requireTaskId } from '../../lib/ids.ts';
import { parseJson } from '../../lib/json.ts';
import { once } from '../../lib/once.ts';
import { pathText, WITHOUT_WORDS } from '../../lib/schema-issues.ts';
import { oneLine } from '../../lib/text.ts';
import { command, described, key, text } from '../plan/declare.ts';
import { shapeFindings } from '../plan/findings.ts';
import { envKey, retryKey, timeoutKey } from '../plan/run-keys.ts';
import type { RetryYaml } from '../retry/schema.ts';
import { requireName } from '../steps/names.ts';
import { type Child, childId } from './fan-outs.ts';

/** A line. */
export const ChildLineSchema = once(() =>
  z.strictObject({
    name: text.check(z.describe('Names the child in its fan-out, and in its id: <task>/<fan-out>/<name>.')),
    run: command.check(z.describe('A command line, or a script of several lines, as of a task.')),
    title: key(text, 'What is to be done, in one line. Left out: its name.', null),
    env: envKey(),
    retry: retryKey(),
    timeout: timeoutKey(),
    // An empty text is one.
    input: described(
      z.pipe(
        z.optional(z.any()),
        z.transform((value: unknown) => value ?? null),
      ),
      'Any JSON: the child finds it in the file FORGE_INPUT_FILE.',
    ),
  }),
);

/** One thing wrong, and the code that it has by itself. */
type Fault = Problem & { code: ErrorCode };

/** The children of `<parent>/<fanOut>`. Empty lines are skipped. `file` is the name that problems show. Throws INVALID_ARGS or INVALID_ID with all problems. */
export function parseChildren(
  text: string,
  file: string,
  { parent, fanOut }: { parent: string; fanOut: string },
): Child[] {
  const children: Child[] = [];
  const faults: Fault[] = [];
  const firsts = new Map<string, First>();
  // Some editors begin a file with a mark of its encoding.
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    if (line.trim() === '') continue;
    const place = { file, line: index + 1 };
    const { child, faults: found } = parseLine(line);
    faults.push(...found.map((fault) => ({ ...fault, place })));
    if (child === null) continue;
    // Folders of some file systems are the same in any case.
    const first = firsts.get(child.name.toLowerCase());
    const problem = idFault(child.name, { parent, fanOut }, first);
    if (first === undefined) firsts.set(child.name.toLowerCase(), { name: child.name, line: index + 1 });
    if (problem !== null) faults.push({ ...problem, place });
    children.push(child);
  }
  const [first] = faults;
  if (first === undefined) return children;
  const count = faults.length === 1 ? 'one problem' : `${faults.length} problems`;
  throw new ForgeError(
    first.code,
    `${count} in the children of ${fanOut}: ${file}:${first.place.line} ${first.message}`,
    {
      problems: faults.map(({ code: _, ...problem }) => problem),
      hint: 'Fix these lines; nothing was done.',
    },
  );
}

type Found = Omit<Fault, 'place'>;

function parseLine(line: string): { child: Child | null; faults: Found[] } {
  // As deep as it stands in the document, which is read again by the same limit.
  const lists = parseJson(`[[${line}]]`) as unknown[][] | undefined;
  const [list] = lists ?? [];
  // A line that closes the list itself is none.
  if (lists?.length !== 1 || list?.length !== 1) {
    const message = `expected a JSON object, found ${JSON.stringify(oneLine(line, 40))}`;
    return { child: null, faults: [{ code: 'INVALID_ARGS', message }] };
  }
  const [value] = list;
  const parsed = ChildLineSchema().safeParse(value, WITHOUT_WORDS);
  const named = (value as { name?: unknown } | null)?.name;
  const label = typeof named === 'string' ? `child ${JSON.stringify(oneLine(named, 40))}` : '';
  if (!parsed.success) {
    const at = (path: readonly (string | number)[]) => [label, pathText(path)].filter((part) => part !== '').join(': ');
    const findings = shapeFindings(ChildLineSchema(), value, parsed.error.issues, at);
    const faults = findings.map(({ message, suggestion }) => ({
      code: 'INVALID_ARGS' as const,
      message,
      ...(suggestion === undefined ? {} : { suggestion }),
    }));
    return { child: null, faults };
  }
  const { timeout, env, retry, ...rest } = parsed.data;
  const variables = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, String(value)]));
  const child = { ...rest, env: variables, retry: retry as RetryYaml | null, timeout_ms: timeout };
  const names = typeof child.input === 'object' && !Array.isArray(child.input) ? Object.keys(child.input ?? {}) : [];
  const own = names.find((name) => name.startsWith('forge.'));
  const message = `${label}: input: ${JSON.stringify(oneLine(own ?? '', 60))}: names that start with forge. are forge's own`;
  return { child, faults: own === undefined ? [] : [{ code: 'INVALID_ID', message }] };
}

/** Where a name stands first. */
interface First {
  name: string;
  line: number;
}

/** `first`: of a name before it that differs in case at most. */
function idFault(
  name: string,
  { parent, fanOut }: { parent: string; fanOut: string },
  first: First | undefined,
): Found | null {
  if (first !== undefined) {
    const where = `first in line ${first.line}${first.name === name ? '' : ', in another case'}`;
    return { code: 'INVALID_ARGS', message: `child ${JSON.stringify(oneLine(name, 40))} comes twice (${where})` };
  }
  const id = childId(parent, fanOut, name);
  try {
    requireName(name, 'a child');
    requireTaskId(id);
    return null;
  } catch (error) {
    const { code, message } = error as ForgeError;
    return { code, message };
  }
}
