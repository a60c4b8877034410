/**
 * Fan-outs: sets of children that a task makes while it is worked on. A set is sealed once, by a document of the attempt and the record that
 * names it. A child is a task; it has no record before it is claimed. Pure.
 */

import * as z from 'zod/mini';
import { ForgeError, invalidArgs } from '../../lib/errors.ts';
import { isMapping } from '../../lib/json.ts';
import { once } from '../../lib/once.ts';
import { issueText, WITHOUT_WORDS } from '../../lib/schema-issues.ts';
import { type Memo, TASK_STATES } from '../task/records.ts';

const text = z.string();

/** A child as it is kept. Null: as the settings say, and for a title its name. */
export interface Child {
  name: string;
  run: string;
  title: string | null;
  env: Record<string, string>;
  /** As written. */
  retry: unknown;
  timeout_ms: number | null;
  /** JSON; null where it has none. */
  input: unknown;
}

const isText = (value: unknown) => typeof value === 'string';

/** In place of a schema, which takes as long for ten thousand of them as the rest of a look at their tasks. */
function isChild(value: unknown): boolean {
  const { name, run, title, env, timeout_ms } = (value ?? {}) as Partial<Record<string, unknown>>;
  const isWhole = isText(name) && isText(run) && (title === null || isText(title));
  const hasLimit = timeout_ms === null || Number.isSafeInteger(timeout_ms);
  return isWhole && hasLimit && isMapping(env) && Object.values(env).every(isText);
}
const areChildren = (value: unknown) => Array.isArray(value) && value.every(isChild);

/** `attempts/<attempt>/fan-outs/<id>.json`. */
export const FanOutSchema = once(() =>
  z.looseObject({
    version: z.literal(1),
    fan_out_id: text,
    name: text,
    children: z.custom<Child[]>(areChildren, 'expected children'),
  }),
);
export type FanOut = z.infer<ReturnType<typeof FanOutSchema>>;

/** `attempts/<attempt>/result.json`: what a child has left for its parent. */
export const ChildResultSchema = once(() =>
  z.looseObject({ version: z.literal(1), attempt_id: text, value: z.unknown() }),
);
export type ChildResult = z.infer<ReturnType<typeof ChildResultSchema>>;

/** What is left of the children of a set once `gc --prune` has removed them: all but these were shipped. */
const RemovedSchema = once(() =>
  z.looseObject({
    /** ISO 8601. */
    at: text,
    /** States by name. */
    not_shipped: z.record(text, z.enum(TASK_STATES)),
  }),
);
export type RemovedChildren = z.infer<ReturnType<typeof RemovedSchema>>;

const SealedSchema = once(() =>
  z.array(
    z.looseObject({
      name: text,
      /** The document, which never changes. */
      attempt_id: text,
      fan_out_id: text,
      /** How many. */
      children: z.int().check(z.gte(0)),
      /** Absent: its children are tasks. */
      removed: z.optional(RemovedSchema()),
    }),
  ),
);
/** What a record says of a set. */
export type Sealed = z.infer<ReturnType<typeof SealedSchema>>[number];

/** Most sets of a task: each takes room in its record. */
const FAN_OUTS_MAX = 100;

/** Those of a task, oldest first. Throws SCHEMA_INVALID. */
export function fanOutsOf({ memo }: { memo: Pick<Memo, 'fan_outs'> }): readonly Sealed[] {
  if (memo.fan_outs === undefined) return [];
  const parsed = SealedSchema().safeParse(memo.fan_outs, WITHOUT_WORDS);
  if (parsed.success) return parsed.data;
  throw new ForgeError('SCHEMA_INVALID', `its fan-outs: ${issueText(parsed.error.issues, memo.fan_outs)}`);
}

export function childId(parent: string, fanOut: string, name: string): string {
  return `${parent}/${fanOut}/${name}`;
}

/** Why a task cannot have one more set of that name; null when it can. Folders of some file systems are the same in any case. */
export function whyNoFanOut(sealed: readonly Sealed[], name: string): ForgeError | null {
  const twin = sealed.find((other) => other.name.toLowerCase() === name.toLowerCase());
  if (twin !== undefined)
    return new ForgeError('INVALID_ID', `${name} differs from the fan-out ${twin.name} only in case`, {
      hint: 'Choose another name.',
    });
  if (sealed.length < FAN_OUTS_MAX) return null;
  return invalidArgs(
    `a task has at most ${FAN_OUTS_MAX} fan-outs`,
    'Put more children into one, or let children fan out themselves.',
  );
}
