/** Ids: those that people give to tasks and phases, and the UUIDs that forge makes for everything else. */

import { ForgeError } from './errors.ts';

/** Task and phase ids. They become folder names, so nothing that leaves a folder is legal. */
export const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function isTaskId(id: string): boolean {
  return ID_PATTERN.test(id);
}

export function isUuid(id: string): boolean {
  return UUID_PATTERN.test(id);
}

/** Returns `id` when it is a legal task id. Throws INVALID_ID. */
export function requireTaskId(id: string): string {
  if (!isTaskId(id)) throw new ForgeError('INVALID_ID', `${JSON.stringify(id)} is not a task id`);
  return id;
}

/** Returns `id` when it can name an attempt: a UUID, or in a tree written by hand a legal task id. Throws INVALID_ID. */
export function requireAttemptId(id: string): string {
  return isTaskId(id) ? id : requireUuid(id, 'attempt');
}

/** Returns `id` in lower case when it is a UUID. Throws INVALID_ID, which names the kind of id, `what`. */
export function requireUuid(id: string, what: string): string {
  const lower = id.toLowerCase();
  if (!isUuid(lower)) throw new ForgeError('INVALID_ID', `${JSON.stringify(id)} is not a UUID (${what})`);
  return lower;
}

/**
 * A UUID version 7: 48 bits of milliseconds since the epoch, then 74 random bits, so ids sort by creation time.
 * Source: RFC 9562, section 5.7. `random` must hold at least 10 bytes.
 */
export function uuidv7(nowMs: number, random: Uint8Array): string {
  const bytes = random.slice(0, 10);
  bytes[0] = 0x70 | ((bytes[0] ?? 0) & 0x0f);
  bytes[2] = 0x80 | ((bytes[2] ?? 0) & 0x3f);
  const tail = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  const hex = Math.floor(nowMs).toString(16).padStart(12, '0') + tail;
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
