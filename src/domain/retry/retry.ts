/**
 * Retry: whether a failure is retried, and after which delay.
 *
 * One pure module for every place that retries. A policy is a set of error classes with a cap on attempts and a backoff curve. A
 * composite is an ordered list of policies: the first one that matches an error decides, with its own count of attempts, so that
 * three crashes do not use up the budget of a rate limit.
 *
 * Attempts count from 1 and include the one that just failed. Time and randomness are passed in.
 */

import { invalidArgs, thrownField } from '../../lib/errors.ts';
import { DAY_MS, parseDuration } from '../../lib/time.ts';
import { classCovers } from './classify.ts';
import {
  budgetKeyOf,
  EMPTY_COMPOSITE,
  type Jitter,
  type PolicyYaml,
  policySchema,
  problemsBy,
  type RetryDefault,
  type RetryProblem,
  shapeProblems,
  TASK_RETRY_DEFAULT,
} from './schema.ts';

/** Of a policy that charges nothing, milliseconds. */
const MAX_WAIT_MS = DAY_MS;

const HINT = 'See spec/RETRY.md for what a retry policy may hold.';

/** Delays of a policy without a cap on attempts that would never get this long are this long, so that it does not spin. */
export const UNLIMITED_LEAST_MS = 1000;

/** A source of numbers from 0 up to but not including 1. */
export type Random = () => number;

/** How delays grow. Default: factor 2, no jitter. */
export type BackoffCurve = Pick<RetryDefault, 'baseMs' | 'capMs'> & Partial<Pick<RetryDefault, 'factor' | 'jitter'>>;

/**
 * The delay after attempt `attempt` (from 1) has failed, in whole ms: min(cap, base * factor^(attempt - 1)), then
 * jitter, then rounded down. Source of equal and full jitter: AWS Architecture Blog, "Exponential Backoff And Jitter".
 * Throws INVALID_ARGS when the curve has jitter and `random` is missing.
 */
export function backoffMs(attempt: number, curve: BackoffCurve, random?: Random): number {
  const { baseMs, capMs, factor = 2, jitter = 'none' } = curve;
  // A base of 0 stays 0: times a power that has overflowed to Infinity it would be NaN.
  const delay = baseMs === 0 ? 0 : Math.min(capMs, baseMs * factor ** Math.max(0, attempt - 1));
  if (jitter === 'none') return Math.floor(delay);
  if (random === undefined) {
    throw invalidArgs(`a backoff with ${jitter} jitter needs a random source`);
  }
  return Math.floor(jitter === 'full' ? random() * delay : delay / 2 + random() * (delay / 2));
}

/** What failed, as policies see it: an error class, an object that carries one, or any other thrown value, which has no class. */
export type RetryError = unknown;

/** In code a policy may also name Error classes; each includes its subclasses. */
export type RetryOn = string | (abstract new (...args: never[]) => Error);

/** A policy as written in a plan, in settings or in code. Durations: an integer in ms, or with a unit. */
export type PolicyDeclaration = Omit<PolicyYaml, 'retry_on'> & {
  readonly retry_on?: readonly RetryOn[] | null | undefined;
};

/** Anything that a policy can be made of. A list, even of one, makes a composite. */
export type RetryDeclaration =
  | PolicyDeclaration
  | RetryPolicy
  | CompositeRetryPolicy
  | readonly (PolicyDeclaration | RetryPolicy)[]
  | {
      readonly policies: readonly (PolicyDeclaration | RetryPolicy)[];
      readonly max_total_attempts?: number | 'unlimited' | null | undefined;
    };

/** One policy: which errors it retries, how often, and with what delay. Immutable. */
export class RetryPolicy implements Required<BackoffCurve> {
  readonly name: string | null;
  /** null: any error but those that are never retried, or only where a policy names them. []: none. */
  readonly retryOn: readonly RetryOn[] | null;
  /** null: no cap. */
  readonly maxAttempts: number | null;
  /** Whether its failures spend budgets. Those of a policy that charges nothing are waits, for `maxWaitMs` at most. */
  readonly charge: boolean;
  /** Milliseconds from the first of such waits on; null: it charges. `nextRetryState` keeps to it, `retryBackoff` knows no clock. */
  readonly maxWaitMs: number | null;
  readonly baseMs: number;
  readonly capMs: number;
  readonly factor: number;
  readonly jitter: Jitter;
  /** The key of this policy's count in a composite: its name, else its classes; `*` for a catch-all. */
  readonly budgetKey: string;

  /**
   * Fields that `declaration` omits come from `site`; null: nothing is declared, and `site` also says what is retried.
   * Throws INVALID_ARGS when the declaration is malformed.
   */
  constructor(declaration: PolicyDeclaration | null, site: RetryDefault = TASK_RETRY_DEFAULT) {
    if (declaration !== null) refuse(problemsBy(policySchema(), asWritten(declaration)));
    const { name, retry_on, max_attempts, charge, max_wait, base, cap, factor, jitter } = declaration ?? {
      retry_on: site.retryOn,
    };
    this.name = name ?? null;
    this.retryOn = retry_on ? [...retry_on] : null;
    this.charge = charge ?? true;
    this.maxWaitMs = this.charge ? null : (parseDuration(max_wait) ?? MAX_WAIT_MS);
    this.maxAttempts = this.charge ? readAttempts(max_attempts, site.maxAttempts) : null;
    this.baseMs = parseDuration(base) ?? site.baseMs;
    this.capMs = parseDuration(cap) ?? site.capMs;
    this.factor = factor ?? site.factor;
    this.jitter = readJitter(jitter, site.jitter);
    if (this.maxAttempts === null && longestMs(this) < UNLIMITED_LEAST_MS)
      this.baseMs = this.capMs = UNLIMITED_LEAST_MS;
    this.budgetKey = budgetKeyOf(
      this.name,
      this.retryOn?.map((entry) => (typeof entry === 'function' ? entry.name : entry)),
    );
  }

  /** An ordered list of policies as one: the first that matches an error decides. Throws INVALID_ARGS for none. */
  static compose(...policies: RetryPolicy[]): CompositeRetryPolicy {
    return new CompositeRetryPolicy(policies);
  }

  /** Whether this policy decides about the error, whatever the number of attempts. */
  matches(error: RetryError): boolean {
    if (neverRetried(error) !== null) return false;
    return this.retryOn === null ? !isHopeless(error) : this.retryOn.some((entry) => covers(entry, error));
  }

  retryable(error: RetryError, attempts: number): boolean {
    return this.matches(error) && (this.maxAttempts === null || attempts < this.maxAttempts);
  }

  /** The delay after attempt `attempt`, in ms. `random` is only needed for a policy with jitter. */
  backoffFor(attempt: number, random?: Random): number {
    return backoffMs(attempt, this, random);
  }

  /** This policy when it matches the error, else null; as for a composite. */
  policyFor(error: RetryError): RetryPolicy | null {
    return this.matches(error) ? this : null;
  }

  /** The delay in ms until the next attempt, or null to stop. Counts `attempts`, and never calls `_countFor`. */
  retryBackoff(error: RetryError, made: AttemptsMade, _countFor?: CountFor): number | null {
    return this.retryable(error, made.attempts) ? this.backoffFor(made.attempts, made.random) : null;
  }
}

export interface AttemptsMade {
  /** Failed attempts in all, the last one included. */
  readonly attempts: number;
  /** Needed when the deciding policy has jitter. */
  readonly random?: Random;
}

/** Returns the failed attempts, including the last, that were counted under a policy's budget key. */
export type CountFor = (budgetKey: string) => number;

/** An ordered list of policies with a budget each. Immutable. */
export class CompositeRetryPolicy {
  readonly policies: readonly RetryPolicy[];
  /** Attempts over all policies together; null: no cap. */
  readonly maxTotalAttempts: number | null;

  /** Throws INVALID_ARGS for an empty list. */
  constructor(policies: readonly RetryPolicy[], options: { maxTotalAttempts?: number | null } = {}) {
    if (policies.length === 0) throw invalidArgs(EMPTY_COMPOSITE, HINT);
    this.policies = [...policies];
    this.maxTotalAttempts = options.maxTotalAttempts ?? null;
  }

  /**
   * The largest `maxAttempts` in the list, null when any policy has no cap. For display only: compared with a total it would stop
   * a list early, because every policy has its own budget.
   */
  get maxAttempts(): number | null {
    const caps = this.policies.map((policy) => policy.maxAttempts);
    return caps.reduce((most, cap) => (most === null || cap === null ? null : Math.max(most, cap)));
  }

  /** The first policy that matches the error, or null: then it is not retried. */
  policyFor(error: RetryError): RetryPolicy | null {
    return this.policies.find((policy) => policy.matches(error)) ?? null;
  }

  /**
   * The delay in ms until the next attempt, or null to stop. `made.attempts` is the total, compared with `maxTotalAttempts`; the
   * deciding policy uses `countFor` of its budget key, or the total without it.
   */
  retryBackoff(error: RetryError, made: AttemptsMade, countFor?: CountFor): number | null {
    const policy = this.policyFor(error);
    if (policy === null) return null;
    if (policy.charge && this.maxTotalAttempts !== null && made.attempts >= this.maxTotalAttempts) return null;
    const attempts = countFor === undefined ? made.attempts : countFor(policy.budgetKey);
    return policy.retryBackoff(error, { ...made, attempts });
  }
}

/**
 * Makes a policy of a declaration: one mapping gives a `RetryPolicy`; a list, or `{policies, max_total_attempts}`, a
 * `CompositeRetryPolicy`; undefined the site's default; a policy object itself. Omitted fields come from `site`.
 * Throws INVALID_ARGS for anything else, including an empty list and both forms at once.
 */
export function coercePolicy(
  value: RetryDeclaration | undefined,
  site: RetryDefault = TASK_RETRY_DEFAULT,
): RetryPolicy | CompositeRetryPolicy {
  if (value === undefined) return new RetryPolicy(null, site);
  if (value instanceof RetryPolicy || value instanceof CompositeRetryPolicy) return value;
  refuse(shapeProblems(asWritten(value)));
  const list = isList(value) ? { policies: value, max_total_attempts: undefined } : value;
  if (!('policies' in list)) return new RetryPolicy(list, site);
  const policies = list.policies.map((each) => (each instanceof RetryPolicy ? each : new RetryPolicy(each, site)));
  return new CompositeRetryPolicy(policies, { maxTotalAttempts: readAttempts(list.max_total_attempts, null) });
}

/**
 * The policy of a retry site: its own declaration, else the task's, else the settings', else the site's default. The first one
 * applies as a whole; declarations are not merged. A site that does not inherit skips task and settings.
 */
export function resolveRetry(levels: {
  site?: RetryDeclaration | undefined;
  task?: RetryDeclaration | undefined;
  settings?: RetryDeclaration | undefined;
  default: RetryDefault;
}): RetryPolicy | CompositeRetryPolicy {
  const inherited = levels.default.inherits ? (levels.task ?? levels.settings) : undefined;
  return coercePolicy(levels.site ?? inherited, levels.default);
}

/** Why an error is never retried, whatever a policy says; null when policies decide. */
export function neverRetried(error: RetryError): 'decision_key_budget' | 'fatal' | null {
  const name = classOf(error);
  if (name === null) return null;
  if (classCovers('question.exhausted', name)) return 'decision_key_budget';
  return classCovers('fatal', name) || classCovers('budget', name) ? 'fatal' : null;
}

/**
 * Failures that waiting does not mend: a command that is not found or may not be executed, a command line that is too long, children that have
 * failed or were not waited for, steps that were not.
 */
const HOPELESS = ['exit.126', 'exit.127', 'spawn.E2BIG', 'join.failed', 'fanout.unjoined', 'step.unended'];

/** Whether only a policy that names its class retries the error. */
function isHopeless(error: RetryError): boolean {
  const name = classOf(error);
  return name !== null && HOPELESS.some((parent) => classCovers(parent, name));
}

/** The error's class; null where it has none: then only Error classes and a catch-all can match it. */
function classOf(error: RetryError): string | null {
  if (typeof error === 'string') return error;
  const name = thrownField(error, 'class');
  return typeof name === 'string' ? name : null;
}

function covers(entry: RetryOn, error: RetryError): boolean {
  if (typeof entry === 'function') return error instanceof entry || (entry === Error && classOf(error) === null);
  const name = classOf(error);
  return name !== null && classCovers(entry, name);
}

/** The delay that attempts without end approach, without jitter. */
function longestMs({ baseMs, capMs, factor }: RetryPolicy): number {
  return factor > 1 && baseMs > 0 ? capMs : Math.min(baseMs, capMs);
}

function readAttempts(value: PolicyYaml['max_attempts'], otherwise: number | null): number | null {
  if (value === undefined) return otherwise;
  return value === 'unlimited' ? null : value;
}

function readJitter(value: PolicyYaml['jitter'], otherwise: Jitter): Jitter {
  if (value === undefined) return otherwise;
  return typeof value === 'boolean' ? (value ? 'equal' : 'none') : value;
}

// Array.isArray does not narrow a readonly array in a union.
function isList<T>(value: T | readonly T[] | object): value is readonly T[] {
  return Array.isArray(value);
}

/** The declaration as a file would have it: what only code can express is replaced by something valid. */
function asWritten(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((entry) => (entry instanceof RetryPolicy ? {} : asWritten(entry)));
  if (typeof value !== 'object' || value === null) return value;
  if ('policies' in value) return { ...value, policies: asWritten(value.policies) };
  if (!('retry_on' in value) || !Array.isArray(value.retry_on)) return value;
  return { ...value, retry_on: value.retry_on.map((entry) => (isErrorClass(entry) ? 'error' : entry)) };
}

function isErrorClass(entry: unknown): boolean {
  return typeof entry === 'function' && (entry === Error || entry.prototype instanceof Error);
}

function refuse(problems: readonly RetryProblem[]): void {
  if (problems.length === 0) return;
  const lines = problems.map(({ path, message }) => [...path, message].join(': '));
  throw invalidArgs(lines.join('; '), HINT);
}
