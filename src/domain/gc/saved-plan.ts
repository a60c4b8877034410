/** A gc plan that was saved to a file. Nothing in it is trusted: every payload is checked before it is used. */

import * as z from 'zod/mini';
import { ID_PATTERN } from '../../lib/ids.ts';
import { once } from '../../lib/once.ts';
import { GC_SEVERITIES, type GcPlanRow, gcPayloads } from './gc-plan.ts';
import { GC_ROW_IDS } from './rules.ts';

/** Which tree a plan was made on. */
export interface TreeIdentity {
  /** Absolute path of `.forge/orchestrator`. */
  path: string;
  /** Number of that folder in its file system. */
  inode: number;
}

export interface SavedPlan {
  version: 1;
  made_at: string;
  tree: TreeIdentity;
  rows: GcPlanRow[];
}

const SavedPlanSchema = once(() => {
  const text = z.string().check(z.maxLength(4000));
  const base = {
    row: z.literal(GC_ROW_IDS),
    task_id: z.string().check(z.regex(ID_PATTERN)),
    severity: z.enum(GC_SEVERITIES),
    reason: text,
    identity: z.nullable(z.looseObject({ version: z.int(), digest: text })),
  };
  const [first, ...more] = Object.entries(gcPayloads()).map(([action, payload]) =>
    z.looseObject({ ...base, action: z.literal(action), payload: z.looseObject(payload) }),
  );
  if (first === undefined) throw new Error('gc knows no action');
  return z.looseObject({
    version: z.literal(1),
    made_at: text,
    tree: z.looseObject({ path: text, inode: z.number() }),
    rows: z.array(z.union([first, ...more])),
  });
});

/** Reads a saved plan; null when `value` is none. */
export function parseSavedPlan(value: unknown): SavedPlan | null {
  const parsed = SavedPlanSchema().safeParse(value);
  return parsed.success ? (parsed.data as unknown as SavedPlan) : null;
}
