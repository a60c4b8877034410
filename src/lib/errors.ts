/**
 * The error catalogue: every code, its kind and exit code, and what to do next.
 *
 * A code is public interface. `spec/ERRORS.md` lists the same table; a test keeps the two together.
 */

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  conflict: 3,
  nothingToDo: 4,
  divergences: 10,
  interrupted: 130,
} as const;

/** What an error means to its caller, with the exit code of a command that ends with it. */
export const ERROR_KINDS = {
  /** The command line, the plan or the settings are wrong; nothing was started. */
  usage: { exit: EXIT.usage, retriable: false },
  /** The work failed, or a file is damaged. A person has to look. */
  failed: { exit: EXIT.failed, retriable: false },
  /** The task's state does not allow it; a repeat does not help. */
  conflict: { exit: EXIT.conflict, retriable: false },
  /** The caller's claim or attempt has lost the task. It stops its work. */
  lost: { exit: EXIT.conflict, retriable: false },
  /** Another process holds the task or was first. Another task may be free. */
  contention: { exit: EXIT.conflict, retriable: true },
  /** It cannot be done yet. */
  deferred: { exit: EXIT.nothingToDo, retriable: true },
  interrupted: { exit: EXIT.interrupted, retriable: true },
  /** The system, git or the tracker refused. */
  io: { exit: EXIT.failed, retriable: true },
  /** A bug: anything thrown that is not in the catalogue. */
  internal: { exit: EXIT.failed, retriable: false },
} as const;

export type ErrorKind = keyof typeof ERROR_KINDS;

interface CodeEntry {
  kind: ErrorKind;
  exit: number;
  /** The same call may succeed later without a fix. */
  retriable: boolean;
  /** What to do next, unless the error brings a more precise hint. */
  hint: string;
}

const entry = (kind: ErrorKind, hint: string): CodeEntry => ({ kind, ...ERROR_KINDS[kind], hint });

export const ERROR_CODES = {
  SCHEMA_INVALID: entry('failed', 'The file does not match spec/STATE.md. Fix or remove it, then repeat the command.'),
  VERIFICATION_FAILED: entry(
    'failed',
    'The attempt is over. The next one is told what failed; see `forge orchestrate show <task>`.',
  ),
  SETUP_FAILED: entry('failed', 'The task is as it was. Fix what failed, or agents.setup, then repeat the command.'),
  TRACKER_ERROR: entry('io', 'Local state is committed. Run `forge orchestrate gc` once the tracker answers.'),
  IO_ERROR: entry('io', 'Nothing was changed. Check free space and permissions of the state tree, then repeat.'),
  INVALID_ARGS: entry('usage', 'See `forge orchestrate <verb> --help`.'),
  INVALID_ID: entry(
    'usage',
    'A task id starts with a letter or digit and has at most 64 letters, digits, dots, dashes or underscores; other ids are UUIDs.',
  ),
  STEP_REPEATED: entry(
    'usage',
    'A name means one step. In a loop give each round a name of its own, such as upload.3.',
  ),
  UNKNOWN_FANOUT: entry('usage', 'Fan out first, and join by the same name.'),
  UNKNOWN_VERB: entry('usage', 'See `forge orchestrate --help` for the verbs.'),
  TASK_NOT_FOUND: entry('usage', 'List the tasks with `forge orchestrate status`.'),
  RUN_NOT_FOUND: entry('usage', 'List the runs with `forge orchestrate run list`.'),
  QUESTION_NOT_FOUND: entry('usage', 'List the questions with `forge orchestrate questions`.'),
  PHASES_NOT_FOUND: entry('usage', 'Write a first plan with `forge orchestrate init`, or point --dir at a project.'),
  FOREIGN_PROJECT: entry(
    'usage',
    'If you trust who can write there: set FORGE_SAFE_DIRECTORY to the project folder, and repeat the command.',
  ),
  PHASES_PARSE_ERROR: entry('usage', 'Fix the plan at the places named above; nothing was started.'),
  SETTINGS_INVALID: entry('usage', 'Fix .forge/settings.yaml at the places named above.'),
  LEASE_EXISTS: entry('contention', 'This task has an owner. Take another: `forge orchestrate claim --next`.'),
  LEASE_STOLEN: entry('lost', 'This claim no longer holds the task. Stop working on it; claim again to go on.'),
  LEASE_NOT_EXPIRED: entry('contention', 'The lease has expired but its grace period has not. Try again after it.'),
  LEASE_NOT_FOUND: entry('conflict', 'The task has no lease, so there is nothing to release.'),
  LEASE_IDENTITY_MISMATCH: entry('contention', 'The lease has changed since the plan was made. Make a new one.'),
  LEASE_STATE_NOT_TERMINAL: entry('contention', 'The task has changed since the plan was made. Make a new one.'),
  ILLEGAL_TRANSITION: entry('conflict', 'See the table of task states in spec/ORCHESTRATOR.md.'),
  STATE_VERSION_CONFLICT: entry('contention', 'Other processes changed the task at the same time. Repeat the command.'),
  STALE_ATTEMPT: entry('lost', 'Another attempt has taken over, or this one has ended. Stop working on the task.'),
  STALE_PLAN: entry('conflict', 'Make a new plan with `forge orchestrate gc --dry-run --out plan.json`.'),
  DUPLICATE_ID: entry('conflict', 'The id is taken. Leave it out to get a new one.'),
  STATE_NOT_FOUND: entry(
    'conflict',
    'Claim it first. If you were at work on it, stop: its state was removed, as `git clean -fdx` does.',
  ),
  NOT_READY: entry('deferred', 'Run `forge orchestrate why <task>` to see what it waits for.'),
  RESOURCE_LIMIT: entry(
    'deferred',
    'What it needs is used up to the limit, or kept for a task before it. Wait for one of these, or take another.',
  ),
  OVERLAP_CONFLICT: entry('deferred', 'A task in flight writes the same files. Wait for it, or take another.'),
  PATH_PROTECTED: entry(
    'deferred',
    'Ask with `forge orchestrate question` before you change it, and follow the answer.',
  ),
  DECISION_KEY_EXHAUSTED: {
    ...entry('conflict', 'This question was asked too often. Decide without an answer, or fail the task.'),
    exit: EXIT.nothingToDo,
  },
  PARKED: entry('deferred', 'End the worker. The next attempt of its task goes on, and skips the steps that are done.'),
  INTERRUPTED: entry('interrupted', 'Repeat the command to continue.'),
} as const satisfies Record<string, CodeEntry>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** A place in a file; `line` and `column` count from 1. */
export interface Place {
  file: string;
  line?: number;
  column?: number;
}

/** One thing wrong with a plan or with settings. */
export interface Problem {
  message: string;
  place: Place;
  /** What to write instead, when there is a likely fix. */
  suggestion?: string;
  /** The line at `place`, where the file does not have it: it was to be written. */
  source?: string;
}

interface ForgeErrorOptions {
  hint?: string | undefined;
  details?: Record<string, unknown>;
  problems?: readonly Problem[];
  /** The verb's answer, for a verb that fails after it has done its work. */
  data?: object;
  cause?: unknown;
}

/**
 * An expected error: a code from the catalogue, what happened, and what to do next. Anything else that is thrown is a bug
 * and is shown as one.
 */
export class ForgeError extends Error {
  override readonly name = 'ForgeError';
  readonly code: ErrorCode;
  readonly hint: string;
  readonly details: Record<string, unknown>;
  readonly problems: readonly Problem[];
  readonly data: object | null;

  constructor(code: ErrorCode, message: string, options: ForgeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? ERROR_CODES[code].hint;
    this.problems = options.problems ?? [];
    this.data = options.data ?? null;
    this.details = { ...options.details, ...(this.problems.length > 0 ? { problems: this.problems } : {}) };
  }

  get exitCode(): number {
    return ERROR_CODES[this.code].exit;
  }

  get retriable(): boolean {
    return ERROR_CODES[this.code].retriable;
  }
}

/** What is wrong with an input. `hint`: what would be right; default: where to look. */
export function invalidArgs(message: string, hint?: string): ForgeError {
  return new ForgeError('INVALID_ARGS', message, { hint });
}

/** `internal` for what is not a ForgeError. */
export function kindOf(error: unknown): ErrorKind {
  return error instanceof ForgeError ? ERROR_CODES[error.code].kind : 'internal';
}

/** Codes of the system that say that something else is where a file or folder should be, rather than that the disk failed. */
const FOREIGN: readonly unknown[] = ['ELOOP', 'EFBIG', 'EINVAL', 'EISDIR', 'ENXIO', 'ENOTDIR'];

/** Whether it is an IO_ERROR for something else in the place of a file or folder. */
export function isForeign(error: unknown): boolean {
  return error instanceof ForgeError && FOREIGN.includes(error.details['errno']);
}

/** Whether what was thrown for a task is no matter of that task: a bug, or the system refuses. */
export function isOfAll(error: unknown): boolean {
  return !(error instanceof ForgeError) || (error.code === 'IO_ERROR' && !isForeign(error));
}

/** Whether what was thrown for a task stops that task and no other: its work has failed, or its files are damaged or none of forge's. */
export function isOfOneTask(error: unknown): boolean {
  return kindOf(error) === 'failed' || isForeign(error);
}

/** A field of whatever was thrown; undefined where it has none, or one that can't be read. */
export function thrownField(thrown: unknown, name: string): unknown {
  try {
    return (Object(thrown) as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}

/** The message of whatever was thrown. */
export function errorMessage(error: unknown): string {
  const message = thrownField(error, 'message');
  if (typeof message === 'string') return message;
  try {
    return String(error);
  } catch {
    // One without a prototype, for one.
    return 'an object that has no text';
  }
}

/** What `work` gives, null where it throws a ForgeError: one damaged file must not hide its neighbours. */
export async function orNull<T>(work: () => Promise<T | null>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ForgeError) return null;
    throw error;
  }
}
