/**
 * What makes git show, run or merge something else than what is committed: its configuration, attributes, hooks, replacements and
 * borrowed objects. All worktrees of a repository share them, and every worker can write there. Pure.
 */

import { sha256 } from '../../lib/digest.ts';
import { firstOf, oneLine } from '../../lib/text.ts';
import type { Variables } from '../../lib/variables.ts';
import type { ClassifiedError } from '../retry/classify.ts';

/** A digest of each part of the setup that is there, by the name of the part. */
export type SetupDigests = Readonly<Record<string, string>>;

export interface GitSetup {
  digests: SetupDigests;
  /** What a part consists of now, for people: keys, hooks, refs. */
  contents: Readonly<Record<string, readonly string[]>>;
}

/** The part that a worktree has alone; the others are shared. */
export const OWN_PART = 'config.worktree';

/** Ends the names of parts of which the same holds: its submodules have repositories of their own. */
export const OF_WORKTREE = ' of the worktree';

function isOwn(part: string): boolean {
  return part === OWN_PART || part.endsWith(OF_WORKTREE);
}

/** Settings of a repository that run nothing and change no bytes. Agents and git itself write them. */
const HARMLESS =
  /^(advice|branch|color|column|gui|help|init|maintenance|pull|push|safe|status|user)\.|^lfs\.(.*\.)?(access|locksverify|repositoryformatversion)$|^remote\..*\.(url|pushurl|fetch|gh-resolved)$|^submodule\..*\.(active|branch|url)$/;

/** Options of `git merge`, and whose key signs merges, although their sections are harmless. */
const NOT_HARMLESS = /^branch\..*\.mergeoptions$|^user\.signingkey$/;

/** What counts of the settings of a user or a machine, which change for other reasons as well: what works in a checkout, and what signs. */
const OF_USERS =
  /^(filter|gpg|include|includeif)\.|^(diff|merge)\..+\.|^core\.(attributesfile|autocrlf|eol|excludesfile|fsmonitor|hookspath|symlinks|worktree)$|^commit\.gpgsign$|^user\.signingkey$/;

/** A setting: `key` in lower case but for a subsection, `filter.lfs.clean`. */
export interface GitSetting {
  key: string;
  /** Where it stands, and its value. */
  text: string;
}

/** The settings in what `git config --list --show-scope -z` prints that count, in their order. */
export function settingsIn(listing: string): GitSetting[] {
  const fields = listing.split('\0');
  const settings: GitSetting[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const [scope = '', setting = ''] = fields.slice(at, at + 2);
    const key = setting.split('\n', 1)[0] ?? '';
    if (counts(scope, key)) settings.push({ key, text: `${scope} ${setting}` });
  }
  return settings;
}

function counts(scope: string, key: string): boolean {
  if (scope === 'local' || scope === 'worktree') return !HARMLESS.test(key) || NOT_HARMLESS.test(key);
  // Options of the command itself are forge's own.
  return scope !== 'command' && OF_USERS.test(key);
}

/** Most settings of which each is a part of its own. Digests stand in the record of every task, so more are summed up by section. */
const MAX_KEYS = 64;

/** The part that a setting belongs to. `all`: how many there are. */
export function partOf({ key }: GitSetting, all: number): string {
  return `config ${all > MAX_KEYS ? key.slice(0, key.indexOf('.')) : key}`;
}

/** Names a setup in a refusal, and in FORGE_ACCEPT_GIT_SETUP when a person takes it for their own. */
export function setupId(digests: SetupDigests): string {
  return sha256(JSON.stringify(digests)).slice(0, 16);
}

/** What to do about a setup that is not accepted; null when `env` accepts it. `prepares`: the commands of `agents.setup`, which may have made it. */
export function acceptHint(digests: SetupDigests, env: Variables, prepares: readonly string[]): string | null {
  const id = setupId(digests);
  if (env['FORGE_ACCEPT_GIT_SETUP'] === id) return null;
  const same = prepares.length === 0 ? '' : ' If agents.setup makes it, have it make the same each time.';
  return `Undo what is not yours.${same} To keep it all: repeat the command with FORGE_ACCEPT_GIT_SETUP=${id} in its environment.`;
}

/** The names of parts that were added, changed or removed. A worktree that is gone has taken its own part along. */
export function setupChanges(before: SetupDigests, now: SetupDigests): string[] {
  const parts = [...new Set([...Object.keys(before), ...Object.keys(now)])].sort();
  return parts.filter((part) => before[part] !== now[part] && !(isOwn(part) && now[part] === undefined));
}

/** The digests of what all worktrees share. */
export function sharedPart(digests: SetupDigests): SetupDigests {
  return Object.fromEntries(Object.entries(digests).filter(([part]) => !isOwn(part)));
}

const SHOWN = 6;

/** The changed parts with what is in them now, in one line. */
export function changesText(changes: readonly string[], { contents, digests }: GitSetup): string {
  // What there is first: where a file can not be read, all that stood in it is gone.
  const [there, gone] = [changes.filter((part) => part in digests), changes.filter((part) => !(part in digests))];
  const told = [...there, ...gone].map((part) => {
    const now = contents[part] ?? [];
    return now.length === 0 || part === `config ${now[0]}` ? part : `${part} (now ${firstOf(now, SHOWN)})`;
  });
  return oneLine(told.join('; '), 300);
}

/** The class of work that was done while the setup changed; never retried, since a next attempt would start on that setup. */
export const SETUP_CLASS = 'fatal.git';

/** The failure of an attempt during which the setup has changed. `own`: what it has failed with itself, null for nothing. */
export function setupFault(changes: string, own: string | null = null): ClassifiedError {
  const told = own === null ? '' : ` (it failed itself: ${oneLine(own, 300)})`;
  const message = `git's own files have changed since the attempt began: ${changes}; so nothing of it counts${told}. Undo that, or keep it, and retry the task`;
  return { class: SETUP_CLASS, message };
}
