/** The file of a file tracker: its shape, its issues, and a change of one issue as edits of its text. */

import * as z from 'zod/mini';
import { type Finding, shapeFindings, toProblems } from '../../domain/plan/findings.ts';
import { ISSUE_STATES, type IssueState, type TrackerIssue } from '../../domain/tracker-issues.ts';
import type { Problem } from '../../lib/errors.ts';
import { once } from '../../lib/once.ts';
import { pathText, WITHOUT_WORDS } from '../../lib/schema-issues.ts';
import { oneLine } from '../../lib/text.ts';
import { parseYaml, positionsOf, spellingIn, type YamlPath } from '../../lib/yaml.ts';
import type { YamlEdit } from '../../lib/yaml-edit.ts';

/** A change of an issue; omitted fields stay. */
export interface IssueChange {
  state?: IssueState;
  /** Null: unclaimed. */
  claimed_by?: string | null;
  /** Added after the existing ones. */
  comment?: { ts: string; text: string };
}

type TrackerFileResult =
  /** `value` is the whole file as YAML. Issues are in the order of the file. */
  { ok: true; issues: TrackerIssue[]; value: unknown } | { ok: false; problems: Problem[] };

// Unknown keys belong to other programs and people.
const trackerFileSchema = once(() => {
  const filled = z.string().check(z.minLength(1));
  const name = z.union([filled, z.number()]);
  const maybe = <T extends z.ZodMiniType>(schema: T) => z.optional(z.nullable(schema));
  const issue = z.looseObject({
    id: name,
    task_id: maybe(name),
    state: z.enum(ISSUE_STATES),
    claimed_by: maybe(name),
    comments: maybe(z.array(z.unknown())),
  });
  return z.looseObject({ issues: maybe(z.array(issue)) });
});

/** Reads a tracker's file. All problems are reported with their places; `file` is the name they show. */
export function parseTrackerFile(text: string, file: string): TrackerFileResult {
  const yaml = parseYaml(text, file);
  if (!yaml.ok) return yaml;
  const value = yaml.value ?? {};
  const schema = trackerFileSchema();
  const shape = schema.safeParse(value, WITHOUT_WORDS);
  if (!shape.success) {
    const findings = shapeFindings(schema, value, shape.error.issues, pathText);
    return { ok: false, problems: toProblems(findings, text, file) };
  }
  const spell = spellingIn(text);
  const issues = (shape.data.issues ?? []).map((issue, i): TrackerIssue => {
    const part = (key: 'id' | 'task_id' | 'claimed_by') => spell(issue[key] ?? '', ['issues', i, key]);
    const [task_id, claimed_by] = [part('task_id') || null, part('claimed_by') || null];
    return { id: part('id'), task_id, state: issue.state, claimed_by };
  });
  const given = twins(issues);
  return given.length > 0 ? { ok: false, problems: toProblems(given, text, file) } : { ok: true, issues, value };
}

/** Duplicate ids: a change of one issue could be meant for the other. */
function twins(issues: readonly TrackerIssue[]): Finding[] {
  const first = new Map<string, number>();
  return issues.flatMap(({ id }, i): Finding[] => {
    const before = first.get(id);
    if (before === undefined) {
      first.set(id, i);
      return [];
    }
    const message = `issue ${JSON.stringify(oneLine(id, 60))} is given twice`;
    return [{ path: ['issues', i, 'id'], message, first: ['issues', before, 'id'] }];
  });
}

/** `change` of issue number `index` of a file, as edits of its text. */
export function editsOf(text: string, index: number, { state, claimed_by, comment }: IssueChange): YamlEdit[] {
  const at = (key: string) => ({ path: ['issues', index, key] });
  // A claim that is released goes with its line, unless a comment stands there too.
  const hasComment = (path: YamlPath) =>
    text.split('\n')[(positionsOf(text).place(path)?.line ?? 0) - 1]?.includes('#') === true;
  const released = () => (hasComment(at('claimed_by').path) ? null : undefined);
  return [
    ...(state === undefined ? [] : [{ ...at('state'), set: state }]),
    ...(claimed_by === undefined ? [] : [{ ...at('claimed_by'), set: claimed_by ?? released() }]),
    ...(comment === undefined ? [] : [{ ...at('comments'), append: comment }]),
  ];
}
