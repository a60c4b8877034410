/** What `edit` is told to change of a task, as edits of the text of its plan. Pure. */

import { invalidArgs } from '../../lib/errors.ts';
import { valueAt } from '../../lib/schema-issues.ts';
import { closest } from '../../lib/text.ts';
import { parseYaml, spellingIn, type YamlPath } from '../../lib/yaml.ts';
import type { YamlEdit } from '../../lib/yaml-edit.ts';
import { keysAt, kindsAt } from './findings.ts';
import type { PlanPlace } from './places.ts';
import { planSchema } from './schema.ts';

/** The path of any task, as the schema has it. */
const TASK: YamlPath = ['phases', 0, 'tasks', 0];

/** Keys whose lists are of ids and the like, so that a comma is between two of them. In others it may stand within one. */
const COMMA_LISTS = ['depends_on', 'write_globs', 'inputs', 'outputs', 'uses', 'retry_on'];

/** `key=value`: the key, and how its value is written; undefined for none. Throws INVALID_ARGS. */
export function settingOf(written: string): { path: YamlPath; value: unknown } {
  const equals = written.indexOf('=');
  const name = equals < 0 ? written : written.slice(0, equals);
  const path = name.split('.');
  const [key = ''] = path;
  const known = keysAt(planSchema, TASK);
  if (!known.includes(key)) {
    const near = closest(key, known);
    const guess = near === null ? `A task has the keys ${known.join(', ')}.` : `Did you mean ${near}?`;
    throw invalidArgs(`--set ${written}: a task has no key ${JSON.stringify(key)}`, guess);
  }
  if (key === 'id')
    throw invalidArgs(
      '--set id: a task keeps its id, since a renamed task is a new one',
      'Add a task, and drop this one.',
    );
  if (equals < 0)
    throw invalidArgs(`--set ${written}: no value is given`, `Write ${key}=VALUE, or ${key}= to take the key away.`);
  const text = written.slice(equals + 1);
  if (key === 'matrix' && path.length === 2) return { path, value: valueFrom(text, { name, ...AXIS }) };
  const kinds = kindsAt(planSchema, [...TASK, ...path]);
  if (kinds.length === 0 && key !== 'matrix')
    throw invalidArgs(`--set ${written}: ${key} has no key ${JSON.stringify(path.slice(1).join('.'))}`);
  const items = kinds.includes('array') ? kindsAt(planSchema, [...TASK, ...path, 0]) : [];
  const commas = COMMA_LISTS.includes(path.at(-1) ?? '');
  return { path, value: valueFrom(text, { name, kinds, items, commas }) };
}

/** What a key may have, and each item of its list, in the words of zod. `commas`: they are between two items. */
interface Wanted {
  name: string;
  kinds: readonly string[];
  items: readonly string[];
  commas: boolean;
}

/** Of a matrix, whose axes have any name. */
const AXIS = { kinds: ['array'], items: ['object'], commas: true } as const;

function valueFrom(text: string, { name, kinds, items, commas }: Wanted): unknown {
  if (text === '') return undefined;
  if (kinds.some((kind) => ['string', 'enum'].includes(kind))) return text;
  const isList = kinds.includes('array');
  const isOneMapping = isList && items.some((kind) => kind === 'object' || kind === 'record') && /^\s*\{/.test(text);
  if (isList && !isOneMapping && !/^\s*\[/.test(text)) return commas ? itemsOf(text) : [text];
  const source = isOneMapping ? `[${text}]` : text;
  const yaml = parseYaml(source, '--set');
  if (!yaml.ok) throw invalidArgs(`--set ${name}: ${yaml.problems[0]?.message ?? 'the value is not YAML'}`);
  const isOfTexts = items.length > 0 && items.every((kind) => kind === 'string');
  return asSpelled(yaml.value, source, isOfTexts);
}

/** Numbers that JSON would write in another way are text, so that `1.10` is not `1.1`; in a list of texts all that is a number or a boolean to YAML is. */
function asSpelled(value: unknown, text: string, isOfTexts: boolean): unknown {
  const spell = spellingIn(text);
  const walk = (part: unknown, path: (string | number)[]): unknown => {
    if (Array.isArray(part)) return part.map((item, i) => walk(item, [...path, i]));
    if (typeof part === 'object' && part !== null)
      return Object.fromEntries(Object.entries(part).map(([name, inner]) => [name, walk(inner, [...path, name])]));
    const isBoolean = typeof part === 'boolean' && isOfTexts;
    if (typeof part !== 'number' && !isBoolean) return part;
    const spelled = spell(part, path);
    if (isOfTexts) return spelled;
    return spelled === String(part) ? part : spelled;
  };
  return walk(value, []);
}

/** The edit of one setting. Throws INVALID_ARGS where an item of a list is to be named first. */
export function settingEdit({ path, value }: PlanPlace, setting: { path: YamlPath; value: unknown }): YamlEdit {
  for (const [at, part] of setting.path.entries()) {
    const above = setting.path.slice(0, at);
    if (at === 0 || !Array.isArray(valueAt(value, [...path, ...above])) || /^\d+$/.test(String(part))) continue;
    const name = [...above, 0, ...setting.path.slice(at)].join('.');
    throw invalidArgs(
      `--set ${setting.path.join('.')}: ${above.join('.')} is a list here`,
      `Name an item, such as ${name}.`,
    );
  }
  return { path: [...path, ...setting.path], set: setting.value };
}

/** `a, b` as its parts; a comma in braces, as of a glob, is none between two. */
export function itemsOf(text: string): string[] {
  return text
    .split(/,(?![^{]*\})/)
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** Edits of the list of what a task depends on: `+a` adds, `-a` takes away. What is so already is not an edit. Throws INVALID_ARGS. */
export function dependencyEdits({ path, value, spell }: PlanPlace, written: string): YamlEdit[] {
  const at = [...path, 'depends_on'];
  const listed = valueAt(value, at);
  const now = (Array.isArray(listed) ? listed : []).map((entry, i): string => {
    const inner = typeof entry === 'object' && entry !== null ? ['task'] : [];
    return spell(valueAt(entry, inner) as string, [...at, i, ...inner]);
  });
  const edits: YamlEdit[] = [];
  for (const item of itemsOf(written)) {
    const [sign, id] = [item[0], item.slice(1)];
    const index = now.indexOf(id);
    if ((sign !== '+' && sign !== '-') || id === '')
      throw invalidArgs(
        `--depends-on ${item}: a sign says what to do`,
        `Write +${item} to add it, -${item} to take it away.`,
      );
    if (sign === '-' && index < 0)
      throw invalidArgs(
        `--depends-on ${item}: the task does not depend on ${id}`,
        now.length === 0 ? undefined : `It depends on ${now.join(', ')}.`,
      );
    if (sign === '-') {
      edits.push({ path: at, drop: index });
      now.splice(index, 1);
    } else if (index < 0) {
      edits.push({ path: at, append: id });
      now.push(id);
    }
  }
  return edits;
}
