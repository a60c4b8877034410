/**
 * The error catalogue: every code forge can answer with, the exit code it means, and what a person does next.
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

interface CodeEntry {
  exit: number;
  /** The same call may succeed later without anything being mended. */
  retriable: boolean;
  /** What to do next, when the place that raised the error has nothing more precise to say. */
  hint: string;
}

const entry = (exit: number, retriable: boolean, hint: string): CodeEntry => ({ exit, retriable, hint });

export const ERROR_CODES = {
  SCHEMA_INVALID: entry(
    EXIT.failed,
    false,
    'The file does not have the shape that spec/STATE.md describes. Mend or remove it, then repeat the command.',
  ),
  VERIFICATION_FAILED: entry(
    EXIT.failed,
    false,
    'The attempt is over. Whoever claims the task next is told what failed; see `forge orchestrate show <task>`.',
  ),
  TRACKER_ERROR: entry(
    EXIT.failed,
    true,
    'Local state is committed. Run `forge orchestrate gc` once the tracker answers.',
  ),
  IO_ERROR: entry(
    EXIT.failed,
    true,
    'Nothing was changed. Check free space and permissions of the state tree, then repeat.',
  ),
  INVALID_ARGS: entry(EXIT.usage, false, 'See `forge orchestrate <verb> --help`.'),
  INVALID_ID: entry(
    EXIT.usage,
    false,
    'A task id starts with a letter or digit and has at most 64 letters, digits, dots, dashes or underscores; other ids are UUIDs.',
  ),
  UNKNOWN_VERB: entry(EXIT.usage, false, 'See `forge orchestrate --help` for the verbs.'),
  TASK_NOT_FOUND: entry(EXIT.usage, false, 'List the tasks with `forge orchestrate status`.'),
  RUN_NOT_FOUND: entry(EXIT.usage, false, 'List the runs with `forge orchestrate run list`.'),
  QUESTION_NOT_FOUND: entry(EXIT.usage, false, 'List the questions with `forge orchestrate questions`.'),
  PHASES_NOT_FOUND: entry(
    EXIT.usage,
    false,
    'Write a first plan with `forge orchestrate init`, or point --dir at a project.',
  ),
  PHASES_PARSE_ERROR: entry(EXIT.usage, false, 'Mend the plan at the places named above; nothing was started.'),
  SETTINGS_INVALID: entry(EXIT.usage, false, 'Mend .forge/settings.yaml at the places named above.'),
  LEASE_EXISTS: entry(
    EXIT.conflict,
    true,
    'Somebody works on this task. Take another: `forge orchestrate claim --next`.',
  ),
  LEASE_STOLEN: entry(
    EXIT.conflict,
    false,
    'This claim no longer holds. Stop working on the task; claim again to go on.',
  ),
  LEASE_NOT_EXPIRED: entry(
    EXIT.conflict,
    true,
    'The lease has run out but its grace period has not. Try again after it.',
  ),
  LEASE_NOT_FOUND: entry(EXIT.conflict, false, 'Nobody holds this task, so there is nothing to release.'),
  LEASE_IDENTITY_MISMATCH: entry(EXIT.conflict, true, 'The lease has changed since it was looked at. Plan again.'),
  LEASE_STATE_NOT_TERMINAL: entry(EXIT.conflict, true, 'The task has moved since it was looked at. Plan again.'),
  ILLEGAL_TRANSITION: entry(EXIT.conflict, false, 'See the table of task states in spec/ORCHESTRATOR.md.'),
  STATE_VERSION_CONFLICT: entry(
    EXIT.conflict,
    true,
    'Somebody else changed the task at the same moment. Repeat the command.',
  ),
  STALE_ATTEMPT: entry(
    EXIT.conflict,
    false,
    'Another attempt has taken over, or this one has ended. Stop working on it.',
  ),
  STALE_PLAN: entry(EXIT.conflict, false, 'Make a new plan with `forge orchestrate gc --dry-run --out plan.json`.'),
  DUPLICATE_ID: entry(EXIT.conflict, false, 'The id is taken. Leave it out to have a fresh one made.'),
  STATE_NOT_FOUND: entry(EXIT.conflict, false, 'Nothing has happened to this task yet. Claim it first.'),
  NOT_READY: entry(EXIT.nothingToDo, true, 'Ask `forge orchestrate why <task>` what it waits for.'),
  OVERLAP_CONFLICT: entry(
    EXIT.nothingToDo,
    true,
    'A task in flight writes the same files. Wait for it, or take another.',
  ),
  PATH_PROTECTED: entry(
    EXIT.nothingToDo,
    true,
    'Ask before you change it, with `forge orchestrate question`, and go by the answer.',
  ),
  DECISION_KEY_EXHAUSTED: entry(
    EXIT.nothingToDo,
    false,
    'This question was asked too often. Decide with what is known, or fail the task.',
  ),
  INTERRUPTED: entry(EXIT.interrupted, true, 'Repeat the command to go on where it stopped.'),
} as const satisfies Record<string, CodeEntry>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** A place in a file that a person can go to; `line` and `column` count from 1. */
export interface Place {
  file: string;
  line?: number;
  column?: number;
}

/** One thing wrong with a plan or with settings. */
export interface Problem {
  message: string;
  place: Place;
  /** What to write instead, when there is a likely answer. */
  suggestion?: string;
}

interface ForgeErrorOptions {
  hint?: string;
  details?: Record<string, unknown>;
  problems?: readonly Problem[];
  /** What the verb has done all the same, as its answer would say it. */
  data?: object;
  cause?: unknown;
}

/**
 * The one error that reaches a person: a code from the catalogue, what happened, and what to do next.
 * Anything else that is thrown is a bug and is shown as one.
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

/** Closes a switch over a union: a member that is not handled becomes a type error here. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}

/** One damaged file must not hide its neighbours from a listing; `doctor` names it. */
export async function unlessInvalid<T>(read: () => Promise<T | null>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ForgeError) return null;
    throw error;
  }
}
