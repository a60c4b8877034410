/**
 * Problems of a file that a person wrote: issues of a zod schema become sentences with a likely fix, and all problems get a
 * line and a column at the very end.
 */

import type * as z from 'zod/mini';
import type { Problem } from '../../lib/errors.ts';
import { isMapping } from '../../lib/json.ts';
import { own } from '../../lib/own.ts';
import { inWords, orList, sentence, typeWord, valueAt } from '../../lib/schema-issues.ts';
import { closest, didYouMean, oneLine, plural } from '../../lib/text.ts';
import { durationText, parseDuration, UNIT_MS } from '../../lib/time.ts';
import { type Positions, positionsOf, type YamlPath } from '../../lib/yaml.ts';
import { durationSchema, retryProblems, retrySchema } from '../retry/schema.ts';

export interface Finding {
  path: YamlPath;
  message: string;
  /** Point at the key instead of the value. Default: value. */
  at?: 'key' | 'value';
  suggestion?: string;
  /** The suggestion is to put the value in quotes, as it is spelled. */
  quoted?: true;
  /** The earlier part, for duplicates: its line is added to the message. */
  first?: YamlPath;
}

/** Names the part of a file at a path, as in `task "build": timeout`; empty for the root. */
type Label = (path: YamlPath) => string;

/** Finds the places, sorts by them, and adds `file`. Reads the text once for all findings. */
export function toProblems(findings: readonly Finding[], text: string, file: string): Problem[] {
  const positions = positionsOf(text);
  return inOrder(
    problemsIn(findings, (path) => ({ file, positions, path })),
    [file],
  );
}

/** The same as lines, for what is legal and probably not meant. */
export function toWarnings(findings: readonly Finding[], text: string, file: string): string[] {
  if (findings.length === 0) return [];
  return toProblems(findings, text, file).map(
    ({ message, place: { line = 1, column = 1 } }) => `${file}:${line}:${column} ${message}`,
  );
}

/** In the order of the files, and of the places in each. */
export function inOrder(problems: readonly Problem[], files: readonly string[]): Problem[] {
  return problems.toSorted(
    ({ place: a }, { place: b }) =>
      files.indexOf(a.file) - files.indexOf(b.file) ||
      (a.line ?? 0) - (b.line ?? 0) ||
      (a.column ?? 0) - (b.column ?? 0),
  );
}

/** Where a path leads: to which file, its places, and the path in there. */
export interface Spot {
  file: string;
  positions: Positions;
  path: YamlPath;
}

/** The same for findings in several files, in no order. */
export function problemsIn(findings: readonly Finding[], spotOf: (path: YamlPath) => Spot): Problem[] {
  return findings.map((finding): Problem => {
    const { file, positions, path } = spotOf(finding.path);
    return {
      message: finding.message + firstText(finding, file, spotOf),
      place: { file, ...positions.place(path, finding.at) },
      ...suggestionFor({ ...finding, path }, positions),
    };
  });
}

function firstText({ first }: Finding, file: string, spotOf: (path: YamlPath) => Spot): string {
  if (first === undefined) return '';
  const spot = spotOf(first);
  const { line = 1 } = spot.positions.place(spot.path) ?? {};
  return spot.file === file ? ` (first in line ${line})` : ` (first in ${spot.file}:${line})`;
}

function suggestionFor({ path, suggestion, quoted }: Finding, { spelling }: Positions): Pick<Problem, 'suggestion'> {
  const spelled = quoted === true ? spelling(path) : null;
  if (spelled !== null) return { suggestion: `Put it in quotes: "${oneLine(spelled, 60)}".` };
  return suggestion === undefined ? {} : { suggestion };
}

export function shapeFindings(
  schema: z.ZodMiniType,
  value: unknown,
  issues: readonly z.core.$ZodIssue[],
  label: Label,
): Finding[] {
  const told = new Set<string>();
  return issues.flatMap((issue) => {
    const path = issue.path.filter((key) => typeof key !== 'symbol');
    const site = { schema, value, path, label };
    const policy = path.slice(0, path.indexOf('retry') + 1);
    if (!schemasAt(schema, policy).includes(retrySchema())) return findingsOf(issue, site);
    // It is told as a whole: its own checks know which of several forms is meant.
    const place = JSON.stringify(policy);
    if (told.has(place)) return [];
    told.add(place);
    return retryProblems(valueAt(value, policy)).map(({ path: inside, message, ...rest }) => ({
      ...finding({ ...site, path: [...policy, ...inside] }, message),
      ...rest,
    }));
  });
}

// ---------------------------------------------------------------------------------------------- one issue

interface Site {
  schema: z.core.$ZodType;
  value: unknown;
  path: YamlPath;
  label: Label;
}

function findingsOf(issue: z.core.$ZodIssue, site: Site): Finding[] {
  if (issue.code === 'unrecognized_keys') return unknownKeys(issue.keys, site);
  const found = valueAt(site.value, site.path);
  if (issue.code === 'custom' && issue.params !== undefined) {
    const { suggestion } = issue.params;
    return [{ ...finding(site, issue.message), ...(suggestion === undefined ? {} : { suggestion }) }];
  }
  if (found === undefined && site.path.length > 0)
    return [finding({ ...site, path: site.path.slice(0, -1) }, `"${site.path.at(-1)}" is missing`)];
  if (issue.code === 'invalid_key')
    return [{ ...finding(site, issue.issues[0]?.message || 'not a legal name'), at: 'key' }];
  if (schemasAt(site.schema, site.path).includes(durationSchema())) return [badDuration(found, site)];
  if (issue.code === 'invalid_union') return unionFindings(issue, found, site);
  const allowed = issue.code === 'invalid_value' ? issue.values.map(String) : [];
  return [
    {
      ...finding(site, issue.message === '' ? sentence(issue, found) : issue.message),
      ...(issue.code === 'invalid_type' && issue.expected === 'object' ? keyList(site.schema, site.path) : {}),
      ...remedy(issue, found),
      ...(typeof found === 'string' ? meantValue(found, allowed) : {}),
    },
  ];
}

/** For values as similar as P0, P1 and P2 only an obvious mistake is worth a suggestion. */
function meantValue(found: string, allowed: string[]): { suggestion?: string } {
  const [first, last] = [closest(found, allowed), closest(found, allowed.toReversed())];
  return first !== null && first === last ? { suggestion: `Did you mean "${first}"?` } : {};
}

function finding({ label, path }: Site, message: string): Finding {
  return { path, message: withLabel(label(path), message) };
}

function withLabel(label: string, message: string): string {
  return label === '' ? message : `${label}: ${message}`;
}

/** Keys that other tools of this kind have for what a task says here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  ...{ name: 'title', command: 'run', cmd: 'run', script: 'run', environment: 'env', vars: 'env' },
  ...{ needs: 'depends_on', after: 'depends_on', deps: 'depends_on', dependencies: 'depends_on', if: 'depends_on' },
  ...{ tasks: 'phases', jobs: 'phases', stages: 'phases' },
  ...{ when: 'depends_on', allow_failure: 'continue_on_error', ignore_errors: 'continue_on_error', steps: 'run' },
  ...{ retries: 'retry', sources: 'inputs', generates: 'outputs', artifacts: 'outputs' },
  ...{ dir: 'cwd', workdir: 'cwd', working_directory: 'cwd', 'working-directory': 'cwd' },
};

function meantKey(key: string, known: readonly string[]): { suggestion?: string } {
  const word = own(ELSEWHERE, key) ?? '';
  return known.includes(word) ? { suggestion: `Did you mean "${word}"?` } : didYouMean(key, known);
}

/** Most keys that are listed where none is like an unknown one. */
const LISTED_KEYS = 12;

function keyList(schema: z.core.$ZodType, path: YamlPath): { suggestion?: string } {
  const all = keysAt(schema, path);
  return all.length === 0 || all.length > LISTED_KEYS ? {} : { suggestion: `It has the keys ${all.join(', ')}.` };
}

function unknownKeys(keys: readonly string[], { schema, path, label }: Site): Finding[] {
  const known = schemasAt(schema, path).flatMap((part) => Object.keys(shapeOf(part)));
  const list = keyList(schema, path);
  return keys.map((key) => ({
    path: [...path, key],
    at: 'key',
    message: withLabel(label(path), `unknown key ${JSON.stringify(oneLine(key, 60))}`),
    ...list,
    ...meantKey(key, known),
    ...keyBelow(key, { schema, path }),
  }));
}

/** A key that belongs into a block beside it. */
function keyBelow(key: string, { schema, path }: Pick<Site, 'schema' | 'path'>): { suggestion?: string } {
  const blocks = keysAt(schema, path).filter((block) => keysAt(schema, [...path, block]).includes(key));
  return blocks.length === 0
    ? {}
    : { suggestion: `Did you mean ${orList(blocks.map((block) => `"${block}.${key}"`))}?` };
}

const DURATION_WORDS = /^(\d+(?:\.\d+)?)\s*(ms|milli|s|m|h|d)[a-z]*$/i;

function badDuration(found: unknown, site: Site): Finding {
  const message = `expected a duration such as 500ms, 30s, 5m, 2h, 1d or 1h30m, found ${inWords(found)}`;
  const joined = typeof found === 'string' ? found.replaceAll(' ', '').toLowerCase() : '';
  if (parseDuration(joined) !== null) return { ...finding(site, message), suggestion: `Write ${joined}.` };
  const match = typeof found === 'string' ? DURATION_WORDS.exec(found.trim()) : null;
  const ms = Number(match?.[1]) * (UNIT_MS[(match?.[2] ?? '').toLowerCase().replace('milli', 'ms')] ?? Number.NaN);
  const suggestion = Number.isSafeInteger(ms) ? { suggestion: `Write ${durationText(ms)}.` } : {};
  return { ...finding(site, message), ...suggestion };
}

/** A union says only "none of these". When one member is clearly meant, that member's own issues say more. */
function unionFindings(issue: z.core.$ZodIssueInvalidUnion, found: unknown, site: Site): Finding[] {
  const meant = issue.errors.filter((issues) =>
    issues.every((inner) => inner.path.length > 0 || isAboutContent(inner)),
  );
  if (meant.length === 1) {
    return (meant[0] ?? []).flatMap((inner) =>
      findingsOf(inner, { ...site, path: [...site.path, ...inner.path.filter((key) => typeof key !== 'symbol')] }),
    );
  }
  const expected = issue.errors.flatMap((issues) =>
    issues.flatMap((inner) => (inner.code === 'invalid_type' ? [typeWord(inner.expected)] : [])),
  );
  const words = issue.message === '' ? `expected ${orList(expected)}, found ${inWords(found)}` : issue.message;
  return [finding(site, words)];
}

function isAboutContent(issue: z.core.$ZodIssue): boolean {
  return issue.code !== 'invalid_type' && issue.code !== 'invalid_value' && issue.code !== 'invalid_union';
}

/** Common mistakes: a list of one without the dash, a number where text is meant, a sentence that became a mapping. */
function remedy(issue: z.core.$ZodIssue, found: unknown): Pick<Finding, 'suggestion' | 'quoted'> {
  if (issue.code !== 'invalid_type') return {};
  if (issue.expected === 'array' && typeof found === 'string' && found !== '') {
    return { suggestion: `Write it as a list: [${oneLine(JSON.stringify(found), 60)}].` };
  }
  if (issue.expected === 'array' && isMapping(found)) return meantList(found);
  if (issue.expected === 'record') return { suggestion: 'Write a name and its value: {NAME: value}.' };
  if (issue.expected === 'boolean' && typeof found === 'string') return meantBoolean(found);
  if (issue.expected !== 'string') return {};
  if (typeof found === 'number' || typeof found === 'boolean') return { suggestion: 'Put it in quotes.', quoted: true };
  return isMapping(found) ? { suggestion: 'Put the text in quotes: a colon and a space in it start a mapping.' } : {};
}

/** Phases and tasks by their ids, as other tools have them, or a list of one without its dash. */
function meantList(found: Readonly<Record<string, unknown>>): { suggestion: string } {
  const [id, first] = Object.entries(found)[0] ?? [];
  const isById = id !== undefined && isMapping(first);
  return {
    suggestion: isById
      ? `Begin each with a dash and its id: - id: ${oneLine(id, 40)}.`
      : 'Make it a list: put a dash before it, or brackets around it.',
  };
}

/** Words that are text since YAML 1.2, or in quotes. */
function meantBoolean(found: string): { suggestion?: string } {
  const meant = { true: /^(true|yes|on)$/i, false: /^(false|no|off)$/i };
  const word = Object.entries(meant).find(([, pattern]) => pattern.test(found))?.[0];
  return word === undefined ? {} : { suggestion: `Write ${word}, without quotes.` };
}

// ---------------------------------------------------------------------------------------------- what is probably not meant

/** Below it a number of milliseconds is probably one of seconds. */
const SURELY_MS = 1000;

/** Warnings of durations without a unit that are probably meant in another one, each with its place. */
export function unitWarnings(
  schema: z.ZodMiniType,
  value: unknown,
  text: string,
  file: string,
  label: Label,
): string[] {
  const found = shortNumbers(value).filter(({ path }) => isDuration(schema, path));
  const findings = found.map(({ path, ms }): Finding => {
    const what = `${ms} is ${ms} ms; for ${plural(ms, 'second')} write ${ms}s`;
    return { path, message: withLabel(label(path), what) };
  });
  return toWarnings(findings, text, file);
}

interface ShortNumber {
  path: YamlPath;
  ms: number;
}

/** Adds to `found` what could be a duration. `path` leads to `value`; a plan has too many values for a path of each. */
function shortNumbers(value: unknown, path: (string | number)[] = [], found: ShortNumber[] = []): ShortNumber[] {
  if (typeof value === 'object' && value !== null) {
    const isList = Array.isArray(value);
    for (const [key, part] of Object.entries(value)) {
      path.push(isList ? Number(key) : key);
      shortNumbers(part, path, found);
      path.pop();
    }
    return found;
  }
  const isBare = typeof value === 'number' || (typeof value === 'string' && /^\d{1,3}$/.test(value));
  const ms = isBare ? Number(value) : 0;
  if (Number.isInteger(ms) && ms > 0 && ms < SURELY_MS) found.push({ path: [...path], ms });
  return found;
}

function isDuration(schema: z.ZodMiniType, path: YamlPath): boolean {
  // A policy is one schema for several forms; its delays are known by name.
  const retry = path.indexOf('retry') + 1;
  if (retry > 0 && retry < path.length)
    return (
      ['base', 'cap'].includes(String(path.at(-1))) && schemasAt(schema, path.slice(0, retry)).includes(retrySchema())
    );
  return schemasAt(schema, path).includes(durationSchema());
}

// ---------------------------------------------------------------------------------------------- finding one's way in a schema

/** The schemas that describe the value at `path`: more than one where a union leaves it open. */
function schemasAt(schema: z.core.$ZodType, path: YamlPath): z.core.$ZodType[] {
  return path.reduce<z.core.$ZodType[]>((parts, key) => parts.flatMap((part) => stepInto(part, key)), unwrap(schema));
}

/** The keys of the mapping at `path`, without those that are accepted and have no effect. */
export function keysAt(schema: z.core.$ZodType, path: YamlPath): string[] {
  return schemasAt(schema, path).flatMap((part) => {
    const known = Object.entries(shapeOf(part)).filter(
      ([, inner]) => !unwrap(inner).every(({ _zod }) => _zod.def.type === 'unknown'),
    );
    return known.map(([key]) => key);
  });
}

/** What the value at `path` may be, in the words of zod: `string`, `array`. Empty where there may be none. */
export function kindsAt(schema: z.core.$ZodType, path: YamlPath): string[] {
  return schemasAt(schema, path).flatMap((part) => (part === durationSchema() ? 'duration' : part._zod.def.type));
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType[] {
  if (schema === durationSchema() || schema === retrySchema()) return [schema];
  const def = (schema as z.core.$ZodTypes)._zod.def;
  if (def.type === 'optional' || def.type === 'nullable') return unwrap(def.innerType);
  if (def.type === 'pipe') return unwrap(def.in);
  return def.type === 'union' ? def.options.flatMap(unwrap) : [schema];
}

function stepInto(schema: z.core.$ZodType, key: string | number): z.core.$ZodType[] {
  const def = (schema as z.core.$ZodTypes)._zod.def;
  if (def.type === 'array') return /^\d+$/.test(String(key)) ? unwrap(def.element) : [];
  if (def.type === 'record') return unwrap(def.valueType);
  if (schema === retrySchema() && def.type === 'union') return def.options.flatMap((option) => stepInto(option, key));
  const inner = shapeOf(schema)[key];
  return inner === undefined ? [] : unwrap(inner);
}

function shapeOf(schema: z.core.$ZodType): Record<string, z.core.$ZodType> {
  const def = (schema as z.core.$ZodTypes)._zod.def;
  return def.type === 'object' ? def.shape : {};
}
