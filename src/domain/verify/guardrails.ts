/**
 * Protected files: those that match `agents.preflight_globs`. A worker asks before it changes them. Changes without asking, or
 * outside of the task's `write_globs`, are reported afterwards. They stop nothing: a review decides.
 */

import { commonPath, type Glob, globOfFolder, globsOf, matches } from '../../lib/globs/globs.ts';
import { firstOf, oneLine } from '../../lib/text.ts';
import { ledgerOf } from '../question/questions.ts';
import { findingText, type ReviewFinding } from '../review/findings.ts';
import type { TaskRecord } from '../task/records.ts';

/** Decision keys about protected files begin with this, followed by a file, a folder, or a glob of the settings. */
export const GUARDRAIL_KEY = 'guardrail:';

/** The only option that does not clear a file. */
export const DENY_OPTION = 'deny';

/** The event by which an attempt records that its worker has asked about a protected file. */
export const CHECKED_EVENT = 'guardrail.checked';

/** Notes on the changed files. `outside`, null: not known, or the task has no `write_globs`. */
export interface WrittenNotes {
  outside: readonly string[] | null;
  findings: readonly ReviewFinding[];
}

export const NOTHING_NOTED: WrittenNotes = { outside: null, findings: [] };

/** The glob that protects a file, or with `isFolder` anything that could be in a folder; null when none does. */
export function protectingGlob(path: string, isFolder: boolean, preflight: readonly string[]): string | null {
  const inside = globOfFolder(path);
  const protects = (glob: Glob) => matches(glob, path) || (isFolder && commonPath([inside, glob]) !== null);
  return globsOf(preflight).find(protects)?.source ?? null;
}

/** The decision on a protected file: the option and the key that it was asked under; null without an answer. */
export function decisionOn(
  path: string,
  glob: string,
  record: TaskRecord | null,
): { option_id: string; decision_key: string } | null {
  const settled = record === null ? [] : ledgerOf(record).settled;
  // The narrowest decision counts: the file, then its folders, then the glob.
  const wanted = [...pathsAbove(path), glob].map((name) => GUARDRAIL_KEY + name);
  for (const decision_key of wanted) {
    const last = settled.findLast((question) => question.decision_key === decision_key && question.option_id !== null);
    if (last?.option_id) return { option_id: last.option_id, decision_key };
  }
  return null;
}

/** The path itself, and its folders, from the inside out. */
function pathsAbove(path: string): string[] {
  const names = path.split('/');
  return names.map((_, i) => names.slice(0, names.length - i).join('/'));
}

/** The key to ask under: the file's, unless it is too long. */
export function guardrailKey(path: string, glob: string, maxChars: number): string {
  const key = GUARDRAIL_KEY + path;
  return key.length <= maxChars ? key : GUARDRAIL_KEY + glob;
}

export interface WorkWritten {
  /** As git names them. */
  files: readonly string[];
  /** The project's folder in its repository: '' or a path that ends with a slash. */
  prefix: string;
  writeGlobs: readonly string[];
  preflight: readonly string[];
  /** Files and folders that attempts of the task have asked about. */
  checked: readonly string[];
  record: TaskRecord | null;
}

/** Changed files outside of the task's `write_globs`; null when it has none. */
export function outsideGlobs({ files, prefix, writeGlobs }: WorkWritten): string[] | null {
  if (writeGlobs.length === 0) return null;
  const globs = globsOf(writeGlobs);
  return files.filter((file) => {
    const path = within(file, prefix);
    return path === null || !globs.some((glob) => matches(glob, path));
  });
}

/** Findings for a review: protected files that were changed without asking, or against the decision. */
export function guardrailFindings(work: WorkWritten): ReviewFinding[] {
  const globs = globsOf(work.preflight);
  return work.files.flatMap((file): ReviewFinding[] => {
    const path = within(file, work.prefix);
    const glob = path === null ? undefined : globs.find((each) => matches(each, path))?.source;
    if (path === null || glob === undefined) return [];
    const decision = decisionOn(path, glob, work.record);
    const isDenied = decision?.option_id === DENY_OPTION;
    if (!isDenied && (decision !== null || isChecked(path, work.checked))) return [];
    const why = isDenied
      ? `although it was denied (${decision?.decision_key})`
      : 'without a check or an answered question';
    const message = oneLine(`it is protected by ${glob} and was changed ${why}`, 500);
    return [{ severity: 'block', path: file, line: null, message }];
  });
}

/** The path in the project of a path in the repository; null when it is outside of the project. */
function within(file: string, prefix: string): string | null {
  return file.startsWith(prefix) ? file.slice(prefix.length) : null;
}

function isChecked(path: string, checked: readonly string[]): boolean {
  const above = new Set(pathsAbove(path));
  return checked.some((each) => above.has(each));
}

/** The paths that an attempt's events say its worker has asked about. The events are untrusted. */
export function checkedIn(events: readonly Readonly<Record<string, unknown>>[]): string[] {
  return events.flatMap(({ type, data }) => {
    const path = type === CHECKED_EVENT ? (data as { path?: unknown } | null)?.path : undefined;
    return typeof path === 'string' ? [path] : [];
  });
}

/** How many findings and files are named. */
const TOLD = { findings: 5, files: 3 };

/** Notes for a person on the files that an attempt has changed, a line each. They stop nothing. */
export function writtenTexts(verified: {
  outside_globs: readonly string[] | null;
  outside_globs_count: number | null;
  findings: readonly ReviewFinding[];
  findings_count: number;
}): string[] {
  const { outside_globs: outside, findings } = verified;
  const texts = findings.slice(0, TOLD.findings).map((each) => findingText(each));
  const more = verified.findings_count - texts.length;
  if (more > 0) texts.push(`${more} more findings`);
  if (outside !== null && outside.length > 0) {
    const named = firstOf(outside, TOLD.files, verified.outside_globs_count ?? outside.length);
    texts.push(`changed outside of its write_globs: ${named}`);
  }
  return texts.map((text) => oneLine(text, 600));
}
