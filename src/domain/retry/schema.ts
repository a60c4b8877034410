/**
 * The written form of retry policies in plans and settings: its shape, its checks, and the defaults of omitted fields.
 * Parsing changes nothing: durations stay as written, and `RetryPolicy` reads them.
 */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { didYouMean } from '../../lib/text.ts';
import { DURATION_PATTERN, parseDuration } from '../../lib/time.ts';
import { classCovers, errorClassSchema } from './classify.ts';

export const EMPTY_COMPOSITE = 'a composite retry policy needs at least one policy';

/** The class of work whose checkout could not be prepared: `agents.setup` has failed. */
export const SETUP_FAILED = 'setup';

const DURATION = 'a duration is a whole number of milliseconds or has units: 500ms, 30s, 5m, 2h, 1d, 1h30m';
const ATTEMPTS = 'a number of attempts is 1 or more, or "unlimited"';
const POLICY = 'a retry policy is a mapping such as {max_attempts: 3}, or a list of mappings';

/** An integer in milliseconds, or digits with a unit. */
export const durationSchema = once(() =>
  z.union(
    [
      z.int({ error: DURATION }).check(z.nonnegative({ error: DURATION })),
      z.string().check(
        z.regex(DURATION_PATTERN, { error: DURATION, abort: true }),
        z.refine((text) => parseDuration(text) !== null, { error: DURATION }),
      ),
    ],
    { error: DURATION },
  ),
);

const attemptsSchema = once(() =>
  z.union([z.int().check(z.minimum(1, { error: ATTEMPTS })), z.literal('unlimited'), z.null()], {
    error: ATTEMPTS,
  }),
);

const FACTOR = 'factor is a number from 1 up';

const policyFields = once(() => ({
  name: z.optional(
    z.string({ error: 'a name is a string' }).check(
      z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
        error: 'a name has at most 64 letters, digits, dots, dashes and underscores, and starts with a letter or digit',
      }),
      z.describe('Names the budget of this policy in a list. Default: its classes, sorted and joined by commas.'),
    ),
  ),
  retry_on: z.optional(
    z
      .nullable(z.array(errorClassSchema(), { error: 'retry_on is a list of error classes, or null for any' }))
      .check(z.describe('Error classes to retry; a parent takes in its children. Absent or null: any. []: none.')),
  ),
  max_attempts: z.optional(
    attemptsSchema().check(z.describe('Attempts in all, the first one included. null or unlimited: no cap.')),
  ),
  charge: z.optional(
    z
      .boolean({ error: 'charge is true or false' })
      .check(z.describe('false: a failure is a wait, and spends no budget. Default: true.')),
  ),
  max_wait: z
    .optional(durationSchema())
    .check(
      z.describe('With charge: false: how long such waits may go on together, from the first of them. Default: 24h.'),
    ),
  base: z.optional(durationSchema()).check(z.describe('Delay after the first failed attempt.')),
  cap: z.optional(durationSchema()).check(z.describe('The longest delay.')),
  factor: z.optional(
    z
      .number({ error: FACTOR })
      .check(z.minimum(1, { error: FACTOR }), z.describe('Each delay is the last one times this. Default: 2.')),
  ),
  jitter: z.optional(
    z
      .literal(['none', 'equal', 'full', true, false], { error: 'jitter is none, equal or full' })
      .check(z.describe('equal draws half of the delay, full all of it. true is equal, false is none.')),
  ),
}));

export const policySchema = once(() =>
  z
    .strictObject(policyFields(), {
      error: (issue) => (issue.code === 'invalid_type' ? POLICY : undefined),
    })
    .check(
      z.refine(({ charge, max_wait }) => charge === false || max_wait === undefined, {
        error: 'max_wait limits waits that are not charged: it needs charge: false',
        path: ['max_wait'],
      }),
      z.refine(({ charge, max_attempts }) => charge !== false || typeof max_attempts !== 'number', {
        error: 'with charge: false no attempts are counted: say max_wait instead of max_attempts',
        path: ['max_attempts'],
      }),
    ),
);

const listSchema = once(() =>
  z
    .array(policySchema(), { error: 'policies is a list of retry policies' })
    .check(z.minLength(1, { error: EMPTY_COMPOSITE })),
);

const compositeFields = once(() => ({
  policies: listSchema().check(z.describe('The first policy that matches an error decides. Put a catch-all last.')),
  max_total_attempts: z.optional(
    attemptsSchema().check(z.describe('Attempts over all policies together. Default: no cap.')),
  ),
}));

const compositeSchema = once(() => z.strictObject(compositeFields()));

const formSchema = once(() => z.union([policySchema(), listSchema(), compositeSchema()], { error: POLICY }));

/** What `retry:` may hold: one policy, a list, or a list with a cap on the sum. `retryProblems` says what is wrong with it. */
export const retrySchema = once(() =>
  formSchema().check(z.refine((declaration) => policyProblems(declaration).length === 0)),
);

export type PolicyYaml = z.infer<ReturnType<typeof policySchema>>;
export type RetryYaml = z.infer<ReturnType<typeof formSchema>>;

/** How a delay is drawn. `equal` keeps half and draws the rest, `full` draws it all. */
export type Jitter = 'none' | 'equal' | 'full';

/** The default of a retry site: what applies when nothing is declared, and the source of omitted fields. Delays are in ms. */
export interface RetryDefault {
  /** null: no cap. */
  readonly maxAttempts: number | null;
  readonly baseMs: number;
  readonly capMs: number;
  readonly factor: number;
  readonly jitter: Jitter;
  /** null: any class, []: none. Only for a site where nothing is declared: a policy without `retry_on` retries any. */
  readonly retryOn: readonly string[] | null;
  /** Whether the site falls back to the task and then the settings. */
  readonly inherits: boolean;
}

/** A task's attempts. The settings `agents.retry_attempts` and `agents.retry_backoff_ms_max` replace maxAttempts and capMs. */
export const TASK_RETRY_DEFAULT: RetryDefault = {
  maxAttempts: 10,
  baseMs: 1000,
  capMs: 300_000,
  factor: 2,
  jitter: 'none',
  retryOn: null,
  inherits: true,
};

/** Steps and repeats inside a task. */
export const STEP_RETRY_DEFAULT: RetryDefault = {
  ...TASK_RETRY_DEFAULT,
  maxAttempts: 3,
  capMs: 30_000,
  jitter: 'equal',
};

/** Waits retry nothing unless they declare it; their own timeout limits them, so attempts are not capped. */
export const WAIT_RETRY_DEFAULT: RetryDefault = {
  ...STEP_RETRY_DEFAULT,
  maxAttempts: null,
  retryOn: [],
  inherits: false,
};

/** A problem of a declaration; `path` starts at the declaration's root. */
export interface RetryProblem {
  path: (string | number)[];
  message: string;
  /** It is about the key at `path`, not about its value. */
  at?: 'key';
  suggestion?: string;
}

/**
 * Everything that plans and settings refuse in a `retry:` value, empty when it is valid: first its shape, and for a valid shape
 * policies that share a budget key or that no error can reach. Accepts any value; `compose` does not check this.
 */
export function retryProblems(declaration: unknown): RetryProblem[] {
  const shape = shapeProblems(declaration);
  return shape.length > 0 ? shape : policyProblems(declaration as RetryYaml);
}

function policyProblems(declaration: RetryYaml): RetryProblem[] {
  if (Array.isArray(declaration)) return listProblems(declaration, []);
  return 'policies' in declaration ? listProblems(declaration.policies, ['policies']) : [];
}

/** The shape problems of a value, by the one form that it is meant to be: a union would name none of them. */
export function shapeProblems(value: unknown): RetryProblem[] {
  if (Array.isArray(value)) return problemsBy(listSchema(), value);
  const isObject = typeof value === 'object' && value !== null;
  const isComposite = isObject && ['policies', 'max_total_attempts'].some((key) => Object.hasOwn(value, key));
  return problemsBy(isComposite ? compositeSchema() : policySchema(), value);
}

/**
 * The key of a policy's count in a list: its name, else its classes sorted and joined by commas; `*` for a catch-all. It does not
 * depend on the place in the list, so reordering keeps the counts.
 */
export function budgetKeyOf(name: string | null | undefined, classes: readonly string[] | null | undefined): string {
  return name ?? classes?.toSorted().join(',') ?? '*';
}

/** The shape problems of a value that can only be of that form. */
export function problemsBy(
  schema: ReturnType<typeof policySchema> | ReturnType<typeof listSchema> | ReturnType<typeof compositeSchema>,
  value: unknown,
): RetryProblem[] {
  const result = z.safeParse(schema, value);
  if (result.success) return [];
  return result.error.issues.flatMap((issue): RetryProblem[] => {
    const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
    if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }];
    return issue.keys.map((key) => unknownKey(key, path, schema === compositeSchema() && path.length === 0));
  });
}

function unknownKey(key: string, path: (string | number)[], besidePolicies: boolean): RetryProblem {
  const at = [...path, key];
  if (besidePolicies && Object.hasOwn(policyFields(), key)) {
    return { path: at, message: `write one policy or a list under policies, not both: ${key} belongs to a policy` };
  }
  const known = Object.keys(besidePolicies ? compositeFields() : policyFields());
  return { path: at, at: 'key', message: `unknown key "${key}"`, ...didYouMean(key, known) };
}

function listProblems(policies: readonly PolicyYaml[], base: (string | number)[]): RetryProblem[] {
  return policies.flatMap((policy, index): RetryProblem[] => {
    const earlier = policies.slice(0, index);
    const message = sharedKey(policy, earlier) ?? outOfReach(policy.retry_on, earlier);
    return message === null ? [] : [{ path: [...base, index], message }];
  });
}

function sharedKey(policy: PolicyYaml, earlier: readonly PolicyYaml[]): string | null {
  const key = budgetKeyOf(policy.name, policy.retry_on);
  const twin = earlier.findIndex((other) => budgetKeyOf(other.name, other.retry_on) === key);
  if (twin < 0) return null;
  return `policies ${twin + 1} and ${earlier.length + 1} count their attempts under one key, "${key}": name one of them`;
}

/** Why no error reaches this policy, or null when one can. */
function outOfReach(classes: readonly string[] | null | undefined, earlier: readonly PolicyYaml[]): string | null {
  const self = `policy ${earlier.length + 1} can never decide`;
  const catchAll = earlier.findIndex((other) => (other.retry_on ?? null) === null);
  if (catchAll >= 0) return `${self}: policy ${catchAll + 1} takes every error before it. Put the catch-all last`;
  if (classes === null || classes === undefined || classes.length === 0) return null;
  const takers = classes.map((wanted) => earlier.find((other) => other.retry_on?.some((c) => classCovers(c, wanted))));
  if (takers.includes(undefined)) return null;
  const first = earlier.indexOf(takers[0] as PolicyYaml) + 1;
  return `${self}: policy ${first} takes "${classes[0]}" before it. Put the narrower class first`;
}
