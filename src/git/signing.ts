/** Signatures of the merges that forge makes: as git's own settings want them for commits (`commit.gpgsign`). */

import fs from 'node:fs';
import path from 'node:path';
import { type SigningFault, signingFault } from '../domain/verify/signing.ts';
import { ForgeError } from '../lib/errors.ts';
import { readCapped } from '../lib/fs/read.ts';
import { oneLine } from '../lib/text.ts';
import { findProgram } from '../process/programs.ts';
import { type GitEnv, type GitResult, gitIn, gitNames, gitOk, lastWords } from './git.ts';

const SIGN_HINT =
  'Make `git commit -S` work here without a prompt: unlock the key in its agent. Or leave merges unsigned: `ship: {sign: never}` in .forge/settings.yaml.';

/** Whether merges are signed. Throws IO_ERROR. */
export async function signsMerges(env: GitEnv): Promise<boolean> {
  return env.settings.ship.sign === 'git' && (await gitSigns(env));
}

/** Whether git signs commits here. Throws IO_ERROR, also when git can't read the setting. */
async function gitSigns(env: GitEnv): Promise<boolean> {
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

// --- whether it can work ---------------------------------------------------------------------------------------------

/** What speaks against signing, as far as files tell; null for nothing, undefined where git signs no commits. Throws IO_ERROR. */
export async function signingTrouble(env: GitEnv): Promise<SigningFault | null | undefined> {
  if (!(await gitSigns(env))) return undefined;
  const entries = await gitNames(['config', '--list', '-z'], gitIn(env));
  // The last one counts.
  const settings = new Map(entries.map((entry) => entry.split('\n') as [string, string]));
  const { project } = env.paths;
  return signingFault({
    setting: (key) => settings.get(key) ?? null,
    isProgram: (name) =>
      name.includes('/')
        ? fs.existsSync(path.resolve(project, atHome(env, name)))
        : findProgram(name, env.ctx.env, project) !== null,
    key: (file) => keyState(path.resolve(project, atHome(env, file))),
    hasAgent: (env.ctx.env['SSH_AUTH_SOCK'] ?? '') !== '',
  });
}

function atHome({ ctx }: GitEnv, file: string): string {
  return file.replace(/^~(?=\/)/, ctx.env['HOME'] ?? '~');
}

/** Most of a key, bytes. */
const KEY_MAX_BYTES = 64 * 1024;

/** How the data of an OpenSSH key begins that is not encrypted, in base64. Source: PROTOCOL.key of OpenSSH. */
const OPEN_KEY = 'b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZ';

/** The settings may name the public key beside it. What can't be read counts as absent: nor can what signs read it. */
function keyState(file: string): 'absent' | 'locked' | 'open' {
  try {
    const text = readCapped(file.replace(/\.pub$/, ''), KEY_MAX_BYTES, { follow: true });
    const isOpen = text.includes('OPENSSH PRIVATE KEY') ? text.includes(OPEN_KEY) : !text.includes('ENCRYPTED');
    return isOpen ? 'open' : 'locked';
  } catch {
    return 'absent';
  }
}
