/**
 * Error classes: the dotted names of failures, and the rules that classify the end of a worker.
 *
 * A class such as `network.timeout` is below its parent `network`. Retry policies name classes, so the class of a failure decides
 * how it is retried. `spec/RETRY.md` lists the built-in classes.
 */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { lastGroupIn, matchesIn, patternFault } from '../../lib/patterns.ts';
import { oneLine } from '../../lib/text.ts';
import { errorLine } from './error-line.ts';

/** Any error class. Words after the first may have capitals, because signals do: `signal.SIGKILL`. */
export const ERROR_CLASS_PATTERN = /^[a-z][a-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/;

// Narrower than what a policy may match, so that no two custom classes differ only in case.
const RULE_CLASS_PATTERN = /^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*$/;

const CLASS_MESSAGE = 'an error class is words joined by dots, in lower case: network.timeout';
const RULE_MESSAGE = 'an error rule is a mapping of class, exit, signal and output';
const EXIT_MESSAGE = 'exit is a list of exit codes from 0 to 255: [75]';
const OUTPUT_HINT =
  'Write it in the syntax of RE2, without look-around and back-references: spec/RETRY.md, "Error rules".';
/** Those of Linux and macOS, without `SIG`. A rule on any other would never match. */
const SIGNALS = [
  'ABRT ALRM BUS CHLD CONT EMT FPE HUP ILL INFO INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP',
  'SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ',
].flatMap((names) => names.split(' '));

const SIGNAL_MESSAGE = 'signal is a list of signal names: [SIGKILL]';

const classText = (pattern: RegExp) =>
  z
    .string({ error: CLASS_MESSAGE })
    .check(z.maxLength(200, { error: CLASS_MESSAGE, abort: true }), z.regex(pattern, { error: CLASS_MESSAGE }));

/** A class as policies and workers may name it; at most 200 characters. */
export const errorClassSchema = once(() => classText(ERROR_CLASS_PATTERN));

/** A condition of a rule: a list of at least one. */
const listOf = <T extends z.ZodMiniType>(item: T, error: string, description: string) =>
  z.optional(z.array(item, { error }).check(z.minLength(1, { error }), z.describe(description)));

const errorRuleSchema = once(() => {
  const exitCode = z
    .int({ error: EXIT_MESSAGE })
    .check(z.minimum(0, { error: EXIT_MESSAGE }), z.maximum(255, { error: EXIT_MESSAGE }));
  const signal = z.string({ error: SIGNAL_MESSAGE }).check(
    z.regex(/^SIG[A-Z0-9]+$/, { error: SIGNAL_MESSAGE, abort: true }),
    z.refine((name) => SIGNALS.includes(name.slice('SIG'.length)), { error: 'there is no signal of this name' }),
  );
  const output = z.string({ error: 'output is a regular expression, as a string' }).check(
    z.refine((pattern) => patternFault(pattern) === null, {
      error: ({ input }) => `output ${patternFault(String(input))}`,
      params: { suggestion: OUTPUT_HINT },
    }),
    z.describe(
      'A regular expression of RE2 (no look-around, no back-references), looked for in the end of the output; ^ and $ match at every line. What its group (?<retry_after>...) matches says when to try again.',
    ),
  );
  const fields = {
    class: classText(RULE_CLASS_PATTERN).check(z.describe('The class that a matching failure gets.')),
    exit: listOf(exitCode, EXIT_MESSAGE, 'Holds when the worker exited with one of these.'),
    signal: listOf(signal, SIGNAL_MESSAGE, 'Holds when one of these ended the worker.'),
    output: z.optional(output),
  };
  return z.strictObject(fields, { error: (issue) => (issue.code === 'invalid_type' ? RULE_MESSAGE : undefined) }).check(
    z.refine((rule) => rule.exit !== undefined || rule.signal !== undefined || rule.output !== undefined, {
      error: 'a rule needs a condition: exit, signal or output',
    }),
    z.refine((rule) => rule.exit === undefined || rule.signal === undefined, {
      error: 'a process ends by an exit code or by a signal, never by both: write two rules',
    }),
  );
});

/** The `errors:` list of settings. Raw input and parsed value are the same, so it can be shown as a JSON Schema. */
export const errorRulesSchema = once(() => z.array(errorRuleSchema(), { error: 'errors is a list of rules' }));

export type ErrorRule = z.infer<ReturnType<typeof errorRuleSchema>>;

/** A classified failure. The state keeps it in this form as `last_error`. */
export const ClassifiedErrorSchema = () =>
  z.strictObject({
    class: z.string(),
    /** One line for a person. */
    message: z.string(),
    exit_code: z.optional(z.int()),
    signal: z.optional(z.string()),
  });
export type ClassifiedError = z.infer<ReturnType<typeof ClassifiedErrorSchema>>;

/** How a worker ended. Either `exitCode` or `signal` is set, or neither when it never ran or vanished. */
export interface WorkerEnd {
  exitCode: number | null;
  /** A name such as `SIGKILL`. */
  signal: string | null;
  /** The worker was stopped at its timeout. Default: false. */
  timedOut?: boolean;
  /** It was stopped because it did nothing any more, and `limit` is how long that may last. Default: false. */
  stalled?: boolean;
  /** The timeout, and where it stands: `30s (plans/phases.yaml:7)`. Default: null, not known. */
  limit?: string | null;
  /** Why the worker could not be started. Default: null, it was. */
  spawnError?: string | null;
  /** It could not, because command and environment are longer than the system allows (E2BIG). Default: false. */
  tooLong?: boolean;
  /**
   * The end of the worker's output, stripped of control sequences and cut to size by the caller; of several streams, that for errors
   * first. Default: empty.
   */
  outputTail?: string | readonly string[];
  /**
   * What the worker itself says that it has given up over; null where it has not. Without a message its exit code has named the
   * class. Default: null.
   */
  said?: { class: string; message?: string } | null;
  /** First match wins. Default: none, the built-in classes only. An `output` that settings would refuse throws. */
  rules?: readonly ErrorRule[];
}

/**
 * The class of a worker's end: that of the first rule whose every condition holds, else a built-in one: `spawn`, `timeout`,
 * `signal.<NAME>`, `exit.<code>`, or `worker.lost` when nothing is known of the end. The message names the line of the output that
 * says what is wrong.
 *
 * After a timeout, exit code and signal come from the stop, so only a rule on output alone can change the class. A worker that
 * never started is always `spawn`.
 */
export function classifyError(end: WorkerEnd): ClassifiedError {
  const builtIn = { ...builtInEnd(end), ...end.said };
  const rule = ruleFor(end);
  const said = end.said?.message === undefined ? errorLine(outputsOf(end)) : '';
  return {
    class: rule?.class ?? builtIn.class,
    message: oneLine(said === '' ? builtIn.message : `${builtIn.message}: ${said}`),
    ...(end.exitCode === null ? {} : { exit_code: end.exitCode }),
    ...(end.signal === null ? {} : { signal: end.signal }),
  };
}

/** When to try again, as the named group `retry_after` of the rule that gives the class has found it in the output; null for none. */
export function retryAfterIn(end: WorkerEnd): string | null {
  const { output } = ruleFor(end) ?? {};
  return output === undefined ? null : lastGroupIn(output, 'retry_after', outputsOf(end).join('\n'));
}

/** The first rule whose every condition holds. */
function ruleFor(end: WorkerEnd): ErrorRule | undefined {
  if ((end.spawnError ?? null) !== null) return undefined;
  return end.rules?.find((rule) => ruleHolds(rule, end));
}

function outputsOf({ outputTail = [] }: WorkerEnd): readonly string[] {
  return typeof outputTail === 'string' ? [outputTail] : outputTail;
}

/** How a worker or a command that checks has ended, in front of the line of its output that says why. */
const HOW_ENDED = /^(?:.{1,120} )?(?:exited with code \d+|(?:was )?ended by SIG\w+): /;

/** What went wrong, without what the class of a worker's end says already. */
export function reasonText({ class: name, message }: Pick<ClassifiedError, 'class' | 'message'>): string {
  const toldByClass = classCovers('exit', name) || classCovers('signal', name);
  return toldByClass ? message.replace(HOW_ENDED, '') : message;
}

/** `exit.1: the disk is full`: the class and what went wrong. */
export function errorText(error: Pick<ClassifiedError, 'class' | 'message'>): string {
  return oneLine(`${error.class}: ${reasonText(error)}`, 500);
}

/** The same where there is little room: without the command that has failed. */
export function shortErrorText({ class: name, message }: Pick<ClassifiedError, 'class' | 'message'>): string {
  return oneLine(`${name}: ${message.replace(HOW_ENDED, '')}`, 500);
}

/** True when `parent` is `child` or one of the classes above it: `network` is above `network.timeout`. */
export function classCovers(parent: string, child: string): boolean {
  return child === parent || child.startsWith(`${parent}.`);
}

/** `took longer than its timeout of 30s (plans/phases.yaml:7)`. `limit` as in `WorkerEnd`. */
export function overLimit(limit: string | null | undefined): string {
  return limit ? `took longer than its timeout of ${limit}` : 'ran out of time and was stopped';
}

function builtInEnd(end: WorkerEnd): { class: string; message: string } {
  const spawnError = end.spawnError ?? null;
  if (spawnError !== null) {
    const name = end.tooLong === true ? 'spawn.E2BIG' : 'spawn';
    return { class: name, message: `could not be started: ${spawnError}` };
  }
  if (end.timedOut === true && end.stalled === true)
    return { class: 'timeout.stall', message: `wrote and computed nothing for ${end.limit ?? 'too long'}` };
  if (end.timedOut === true) return { class: 'timeout', message: overLimit(end.limit) };
  if (end.signal !== null) return { class: `signal.${end.signal}`, message: `ended by ${end.signal}` };
  if (end.exitCode !== null) return { class: `exit.${end.exitCode}`, message: `exited with code ${end.exitCode}` };
  return { class: 'worker.lost', message: 'vanished without an exit code' };
}

function ruleHolds(rule: ErrorRule, end: WorkerEnd): boolean {
  const stopped = end.timedOut === true;
  if (rule.exit !== undefined && (stopped || end.exitCode === null || !rule.exit.includes(end.exitCode))) return false;
  if (rule.signal !== undefined && (stopped || end.signal === null || !rule.signal.includes(end.signal))) return false;
  return rule.output === undefined || matchesIn(rule.output, outputsOf(end).join('\n'));
}
