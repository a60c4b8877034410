/**
 * How a key of a plan or of the settings is declared: with its description, what stands for it where it is left out, and what
 * its value must be. `findings.ts` puts what a value fails into words.
 */

import * as z from 'zod/mini';
import { globFault } from '../../lib/globs/syntax.ts';
import { own } from '../../lib/own.ts';
import { inWords } from '../../lib/schema-issues.ts';
import { parseSize, SIZE_PATTERN } from '../../lib/size.ts';
import { parseDuration } from '../../lib/time.ts';
import type { YamlPath } from '../../lib/yaml.ts';
import { durationSchema } from '../retry/schema.ts';
import { DEPENDENCY_WHENS } from './plan.ts';

interface Meta {
  /** What editors show as the value of an omitted key. */
  default?: unknown;
  examples?: unknown[];
}

/**
 * Adds the text that an editor shows, in place: `check(z.describe(...))` would build the schema twice. A schema that others use too takes
 * that, or they would all show the text.
 */
export function described<T extends z.ZodMiniType>(schema: T, description: string, meta: Meta = {}): T {
  z.globalRegistry.add(schema, { description, ...meta });
  return schema;
}

/**
 * An optional key. Left out, empty, or `key:` without a value, which is null in YAML, it is `fallback`, which editors show
 * unless it is null or `meta` has another default.
 */
export function key<T extends z.ZodMiniType, const F>(schema: T, description: string, fallback: F, meta: Meta = {}) {
  const given = z.optional(z.nullable(schema));
  const filled = z.transform((value: z.output<typeof given>): NonNullable<z.output<T>> | F =>
    value === undefined || value === null || value === '' ? fallback : (value as NonNullable<z.output<T>>),
  );
  return described(z.pipe(given, filled), description, {
    ...(fallback === null ? {} : { default: fallback }),
    ...meta,
  });
}

/** A key that is accepted so that existing files load; it has no effect. */
export function ignored(description: string) {
  const nothing = z.transform((): undefined => undefined);
  return described(z.pipe(z.optional(z.nullable(z.unknown())), nothing), description);
}

interface Fault {
  message: string;
  suggestion?: string | undefined;
  /** From the checked value to the part that is wrong. */
  path?: YamlPath;
}

/** A check that reports what `faultOf` finds wrong with a value. */
export function must<T>(faultOf: (value: T) => Fault | null): z.core.CheckFn<T> {
  return ({ value, issues }) => {
    const fault = faultOf(value);
    if (fault === null) return;
    const { message, path = [], suggestion } = fault;
    issues.push({ code: 'custom', input: value, message, path: [...path], params: { suggestion }, continue: true });
  };
}

/** A process can be passed no command line or variable with a NUL. */
const withoutNul = must((text: string) => (text.includes('\0') ? { message: 'may not hold a NUL character' } : null));

export const text = z.string();
export const texts = z.array(text);
export const filledText = z.string().check(z.minLength(1));
export const passedText = z.string().check(withoutNul);
export const command = filledText.check(withoutNul);

const NO_SHELL = 'must be a program and its options, such as bash -euo pipefail, without quotes or variables';

/** A shell and its options, as words. */
const shell = z.pipe(
  command.check(must((words) => (/^[\w./+:=,@ -]*[\w./][\w./+:=,@ -]*$/.test(words) ? null : { message: NO_SHELL }))),
  z.transform((words) => words.trim().split(/ +/)),
);

/** The key `shell`, wherever it may stand. */
export const shellKey = (where: string) =>
  key(
    shell,
    `The shell of run and verify ${where}, with its options: it is started with these, -c and the command. Left out: /bin/sh, and for commands of several lines /bin/sh -e, which ends at the first line that fails.`,
    null,
    { examples: ['bash -euo pipefail'] },
  );

const globBehind = (mark: RegExp) =>
  filledText.check(
    must((source) => {
      const fault = source === '' ? null : globFault(source.replace(mark, ''));
      return fault && { ...fault, message: `${inWords(source)} ${fault.message}` };
    }),
  );
export const globs = z.array(globBehind(/^(?!)/));

/** Globs of files, some of which may take away with a leading `!`. */
export const fileGlobs = z.array(globBehind(/^!/)).check(
  must((list) =>
    list.length === 0 || list.some((source) => !source.startsWith('!'))
      ? null
      : {
          message: 'takes files away from none',
          suggestion: 'Name first what is meant: ["src/**", "!src/**/*.md"].',
        },
  ),
);

/** What a task depends on: an id, or a mapping that says when it starts for it. */
export const dependencies = z.array(
  z.union([
    text,
    z.strictObject({
      task: filledText.check(z.describe('The id of the task.')),
      when: key(
        z.enum(DEPENDENCY_WHENS),
        'success: once it is shipped. failure: once it has failed for good or was cancelled; the task is skipped when it ships. always: once it is over, however it ended, also when it can never start.',
        'success',
      ),
      optional: key(
        z.boolean(),
        'It may be missing from the plan, dropped or skipped without holding this task back.',
        false,
      ),
    }),
  ]),
);

/** How much of a resource. */
export const amount = z.int().check(z.gte(1));

const namesSome = must((mapping: object) => {
  if (Object.keys(mapping).length > 0) return null;
  return { message: 'names no resource', suggestion: 'Write how much of which: {gpu: 1}.' };
});

/** What a task uses while it is in flight: names of resources, or mappings of names to how much of each. */
export const resources = z.pipe(
  z.array(z.union([filledText, z.record(filledText, amount).check(namesSome)])),
  z.transform((entries) => {
    const uses: Record<string, number> = {};
    for (const entry of entries)
      for (const [name, used] of typeof entry === 'string' ? [[entry, 1] as const] : Object.entries(entry))
        uses[name] = (own(uses, name) ?? 0) + used;
    return uses;
  }),
);

/** Read as milliseconds. */
export const duration = z.pipe(
  durationSchema(),
  z.transform((value) => parseDuration(value) ?? 0),
);

export function durationAboveZero(suggestion?: string) {
  return duration.check(must((ms) => (ms === 0 ? { message: 'must be more than 0', suggestion } : null)));
}

const SIZE = 'expected a size such as 500kB, 50MB or 1GB, or unlimited';

/** Bytes, at least `min`. */
export function size(min: number) {
  const enough = must((value: string | number) => {
    const bytes = value === 'unlimited' ? null : parseSize(value);
    return bytes !== null && bytes < min ? { message: `must be at least ${min} bytes, or unlimited` } : null;
  });
  const written = z.string().check(z.regex(new RegExp(`${SIZE_PATTERN.source}|^unlimited$`), { error: SIZE }));
  return z.pipe(
    z.union([z.int({ error: SIZE }), written], { error: SIZE }).check(enough),
    z.transform((value) => (value === 'unlimited' ? value : (parseSize(value) ?? min))),
  );
}

const TOKENS = 'expected a number of tokens such as 500000, 500k or 2M';
const TOKEN_UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6 };

const tokens = z.pipe(
  z.union([z.number({ error: TOKENS }), z.string().check(z.regex(/^\d+(\.\d+)?[kKmM]?$/, { error: TOKENS }))], {
    error: TOKENS,
  }),
  z.transform((written) => {
    const [, digits, unit = ''] = /^([\d.]+)([a-z]?)$/.exec(String(written).toLowerCase()) ?? [];
    return Math.round(Number(digits) * (TOKEN_UNITS[unit] ?? Number.NaN));
  }),
);

const aboveZero = must((value: number) => (value > 0 ? null : { message: 'must be more than 0' }));

/** What may be used, by parts that may be left out. */
export function budget(wallClock: string) {
  return z.strictObject({
    cost: key(z.number().check(aboveZero), 'US dollars, by the own account of agents that give one.', null),
    tokens: key(tokens.check(aboveZero), 'Tokens that models read and write, such as 2M, as agents count them.', null),
    attempts: key(z.int().check(aboveZero), 'Attempts of agents, and of tasks with a budget.', null),
    wall_clock: key(durationAboveZero(), wallClock, null),
  });
}

/** Limits of questions, by what stands for those that are left out. A soft limit above the hard one would never be reached. */
export function questionBudget<F extends number | null>(soft: F, hard: F, [softly, firmly]: [string, string]) {
  const limit = z.int().check(z.minimum(0));
  return z.strictObject({ soft: key(limit, softly, soft), hard: key(limit, firmly, hard) }).check(
    must((budget) => {
      if (budget.soft === null || budget.hard === null || budget.soft <= budget.hard) return null;
      const message = `the soft limit (${budget.soft}) is above the hard one (${budget.hard})`;
      return { path: ['soft'], message };
    }),
  );
}
