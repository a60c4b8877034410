/** Ids: those that people give to tasks and phases, and the UUIDs that forge makes for everything else. */

import { ForgeError } from './errors.ts';

/** Ids of phases, and of the tasks of a plan. They become names of folders, so nothing that leaves a folder is legal. */
export const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** What names a step, a fan-out, and a child in it. */
export const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

/** Most of a child's id, as `refPart` writes it: a file system takes 255 bytes, and forge and git add to it. */
const CHILD_ID_MAX_CHARS = 200;

const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether a task may have this id: one of a plan, or that of a child, `<parent>/<fan-out>/<name>`. */
export function isTaskId(id: string): boolean {
  if (ID_PATTERN.test(id)) return true;
  const [planned = '', ...names] = id.split('/');
  const isChild = names.length > 0 && names.length % 2 === 0;
  return isChild && ID_PATTERN.test(planned) && names.every((name) => NAME_PATTERN.test(name)) && !isTooLong(id);
}

function isTooLong(id: string): boolean {
  // A character counts as three at most.
  return id.length > CHILD_ID_MAX_CHARS / 3 && refPart(id).length > CHILD_ID_MAX_CHARS;
}

/** The task whose fan-out a child is of; null for a task of the plan. */
export function parentOf(taskId: string): string | null {
  const end = taskId.lastIndexOf('/', taskId.lastIndexOf('/') - 1);
  return end === -1 ? null : taskId.slice(0, end);
}

/** The parent of a child, the parent of that, and so on. */
export function ancestorsOf(taskId: string): string[] {
  const parent = parentOf(taskId);
  return parent === null ? [] : [parent, ...ancestorsOf(parent)];
}

/**
 * The id of a task as the last part of a ref: a child's too is one part, since git cannot have `a` beside `a/f/x`. Ids may have dots where
 * ref names may not (`a..b`, `a.`, `a.lock`), and colons. No id has a `+` or a `%`, so no two tasks share a ref. Source:
 * git-check-ref-format(1).
 */
export function refPart(taskId: string): string {
  return taskId
    .replaceAll('/', '+')
    .replaceAll(':', '%3A')
    .replace(/\.(?=\.|$|lock$)/gi, '%2E');
}

/** The task that a ref's last part stands for; null when none does. */
export function taskOfRefPart(part: string): string | null {
  const id = part.replaceAll('+', '/').replaceAll('%3A', ':').replaceAll('%2E', '.');
  return isTaskId(id) && refPart(id) === part ? id : null;
}

/** The id of a task as the name of a folder or a file: that of a planned task as it is. Throws INVALID_ID. */
export function fileNameOf(taskId: string): string {
  return requireTaskId(taskId).includes('/') ? refPart(taskId) : taskId;
}

/** The task that a folder or a file of this name stands for; null when none does. */
export function taskOfFileName(name: string): string | null {
  if (ID_PATTERN.test(name)) return name;
  const id = taskOfRefPart(name);
  return id === null || parentOf(id) === null ? null : id;
}

export function isUuid(id: string): boolean {
  return UUID_PATTERN.test(id);
}

/** Returns `id` when it is a legal task id. Throws INVALID_ID. */
export function requireTaskId(id: string): string {
  if (isTaskId(id)) return id;
  const isLong = id.includes('/') && isTooLong(id);
  const why = isLong ? `: it has more than ${CHILD_ID_MAX_CHARS} characters, of which a colon counts as three` : '';
  throw new ForgeError('INVALID_ID', `${JSON.stringify(isLong ? `${id.slice(0, 60)}...` : id)} is not a task id${why}`);
}

/** Returns `id` when it can name an attempt: a UUID, or in a tree written by hand what may name a planned task. Throws INVALID_ID. */
export function requireAttemptId(id: string): string {
  return ID_PATTERN.test(id) ? id : requireUuid(id, 'attempt');
}

/**
 * Returns `id` in lower case when it is a UUID. Throws INVALID_ID, which names the kind of id, `what`. `orElse`: what else is taken there.
 * Default: nothing.
 */
export function requireUuid(id: string, what: string, orElse = ''): string {
  const lower = id.toLowerCase();
  if (!isUuid(lower)) throw new ForgeError('INVALID_ID', `${JSON.stringify(id)} is not a UUID${orElse} (${what})`);
  return lower;
}

/** When a UUID version 7 was made, milliseconds since the epoch. */
export function timeOfUuid(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/**
 * A UUID version 7: 48 bits of milliseconds since the epoch, then 74 random bits, so ids sort by creation time.
 * Source: RFC 9562, section 5.7. `random` must hold at least 10 bytes.
 */
export function uuidv7(nowMs: number, random: Uint8Array): string {
  const bytes = random.slice(0, 10);
  bytes[0] = 0x70 | ((bytes[0] ?? 0) & 0x0f);
  bytes[2] = 0x80 | ((bytes[2] ?? 0) & 0x3f);
  const time = Math.floor(nowMs).toString(16).padStart(12, '0');
  let tail = '';
  for (const byte of bytes) tail += (byte < 16 ? '0' : '') + byte.toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-${tail.slice(0, 4)}-${tail.slice(4, 8)}-${tail.slice(8)}`;
}
