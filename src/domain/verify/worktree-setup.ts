/** What prepares a checkout before anything works there: `agents.setup`. Pure. */

import { sha256 } from '../../lib/digest.ts';
import type { ClassifiedError } from '../retry/classify.ts';
import { SETUP_FAILED } from '../retry/schema.ts';
import { type CheckResult, endOf } from './verification.ts';

/** Names of files that say exactly what is installed, as patterns of git; they count in any folder. */
export const LOCK_FILES = [
  'package-lock.json',
  'npm-shrinkwrap.json',
  'yarn.lock',
  'pnpm-lock.yaml',
  'bun.lock',
  'bun.lockb',
  'deno.lock',
  'Cargo.lock',
  'go.sum',
  'go.work.sum',
  'poetry.lock',
  'uv.lock',
  'pdm.lock',
  'Pipfile.lock',
  'requirements*.txt',
  'Gemfile.lock',
  'composer.lock',
  'mix.lock',
  'pubspec.lock',
  'Package.resolved',
  'Podfile.lock',
  'gradle.lockfile',
  'packages.lock.json',
  'flake.lock',
] as const;

/** Names what a checkout was prepared by: anything else prepares it again. `locks`: lock files, each with a digest of its content. */
export function setupMark(commands: readonly string[], locks: ReadonlyMap<string, string>): string {
  return sha256(JSON.stringify([commands, [...locks].sort(([a], [b]) => (a < b ? -1 : 1))]));
}

/** The failure of work whose checkout could not be prepared. Its worker is not to blame. */
export function setupFailure(failed: CheckResult): ClassifiedError {
  return { class: SETUP_FAILED, ...endOf(failed) };
}
