/**
 * Protected files: those that match `agents.preflight_globs`. A worker asks before it writes them; what it wrote without
 * having asked, or outside of what its task was to write, is told afterwards. It stops nothing: a review decides.
 */

import { commonPath, type Glob, globOfFolder, globsOf, matches } from '../../lib/globs/globs.ts';
import { oneLine } from '../../lib/text.ts';
import { ledgerOf } from '../question/questions.ts';
import { findingText, type ReviewFinding } from '../review/findings.ts';
import type { TaskRecord } from '../task/records.ts';

/** Decision keys that are about protected files begin with this; then comes a file, a folder, or a glob of the settings. */
export const GUARDRAIL_KEY = 'guardrail:';

/** The answer that allows nothing. Any other option is a decision on how the file may be written. */
export const DENY_OPTION = 'deny';

/** What stands in an attempt's events when its worker has asked about a protected file. */
export const CHECKED_EVENT = 'guardrail.checked';

/** What is to be said of the files that were changed. `outside`, null: not known, or the task says nothing of what it writes. */
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

/** What was decided on a protected file: the option and the key that it was asked under; null when nobody has answered. */
export function decisionOn(
  path: string,
  glob: string,
  record: TaskRecord | null,
): { option_id: string; decision_key: string } | null {
  const settled = record === null ? [] : ledgerOf(record).settled;
  // Of several that are about it the narrowest counts: the file, then its folders, then the glob.
  const wanted = [...pathsAbove(path), glob].map((name) => GUARDRAIL_KEY + name);
  for (const decision_key of wanted) {
    const last = settled.findLast((question) => question.decision_key === decision_key && question.option_id !== null);
    if (last?.option_id) return { option_id: last.option_id, decision_key };
  }
  return null;
}

/** The path itself, and the folders that it is in, from the inside out. */
function pathsAbove(path: string): string[] {
  const names = path.split('/');
  return names.map((_, i) => names.slice(0, names.length - i).join('/'));
}

/** The key to ask under: the file's, unless that is too long for one. */
export function guardrailKey(path: string, glob: string, maxChars: number): string {
  const key = GUARDRAIL_KEY + path;
  return key.length <= maxChars ? key : GUARDRAIL_KEY + glob;
}

export interface WorkWritten {
  /** As git names them. */
  files: readonly string[];
  /** Where the project is in its repository: '' or a path that ends with a slash. */
  prefix: string;
  writeGlobs: readonly string[];
  preflight: readonly string[];
  /** Files and folders that attempts of the task have asked about. */
  checked: readonly string[];
  record: TaskRecord | null;
}

/** Files outside of what the task said that it writes; null when it said nothing. */
export function outsideGlobs({ files, prefix, writeGlobs }: WorkWritten): string[] | null {
  if (writeGlobs.length === 0) return null;
  const globs = globsOf(writeGlobs);
  return files.filter((file) => {
    const path = within(file, prefix);
    return path === null || !globs.some((glob) => matches(glob, path));
  });
}

/** What a review should look at: protected files that were written unasked, or against what was decided. */
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

/** The path within the project of what git names by its path in the repository; null when it is outside of the project. */
function within(file: string, prefix: string): string | null {
  return file.startsWith(prefix) ? file.slice(prefix.length) : null;
}

function isChecked(path: string, checked: readonly string[]): boolean {
  const above = new Set(pathsAbove(path));
  return checked.some((each) => above.has(each));
}

/** What the events of an attempt say that its worker has asked about. Anybody may have written there. */
export function checkedIn(events: readonly Readonly<Record<string, unknown>>[]): string[] {
  return events.flatMap(({ type, data }) => {
    const path = type === CHECKED_EVENT ? (data as { path?: unknown } | null)?.path : undefined;
    return typeof path === 'string' ? [path] : [];
  });
}

/** How many findings, and how many files, are told by name. */
const TOLD = { findings: 5, files: 3 };

/** What a person should hear of the files that an attempt has changed, a line each. It stops nothing. */
export function writtenTexts(verified: {
  outside_globs: readonly string[] | null;
  outside_globs_count: number | null;
  findings: readonly ReviewFinding[];
  findings_count: number;
}): string[] {
  const { outside_globs: outside, findings } = verified;
  const texts = findings.slice(0, TOLD.findings).map(findingText);
  const more = verified.findings_count - texts.length;
  if (more > 0) texts.push(`${more} more findings`);
  if (outside !== null && outside.length > 0) {
    const named = outside.slice(0, TOLD.files);
    const left = (verified.outside_globs_count ?? outside.length) - named.length;
    texts.push(`changed outside of its write_globs: ${named.join(', ')}${left > 0 ? ` and ${left} more` : ''}`);
  }
  return texts.map((text) => oneLine(text, 600));
}
