/** Signatures of the merges that forge makes: as git's own settings want them for commits (`commit.gpgsign`). */

import { ForgeError } from '../lib/errors.ts';
import { oneLine } from '../lib/text.ts';
import { type GitEnv, type GitResult, gitIn, gitOk, lastWords } from './git.ts';

export const SIGN_HINT =
  'Make `git commit -S` work here without a prompt: unlock the key in its agent. Or leave merges unsigned: `ship: {sign: never}` in .forge/settings.yaml.';

/** Whether merges are signed. Throws IO_ERROR. */
export async function signsMerges(env: GitEnv): Promise<boolean> {
  return env.settings.ship.sign === 'git' && (await gitSigns(env));
}

/** Whether git signs commits here. Throws IO_ERROR, also when git can't read the setting. */
export async function gitSigns(env: GitEnv): Promise<boolean> {
  const { stdout } = await gitOk(['config', '--type=bool', '--get', 'commit.gpgsign'], gitIn(env), [0, 1]);
  return stdout.trim() === 'true';
}

/** That a merge could not be made with its signature. `why`: in the words of git, or of what stopped it. */
export function notSigned(why: string): ForgeError {
  return new ForgeError('NOT_READY', `git could not sign a merge (commit.gpgsign): ${why}`, { hint: SIGN_HINT });
}

/** What git says of a signature that it could not make: the line that names the cause is not always its last. */
export function signingWords(result: GitResult): string {
  const lines = result.stderr.split('\n').map((line) => /^(?:fatal|error): (.*)/.exec(line)?.[1]?.trim() ?? '');
  const told = lines.filter((line) => line !== '');
  return told.length === 0 ? lastWords(result) : oneLine(told.join('; '), 300);
}
