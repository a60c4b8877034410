/** Whether commits that git signs (`commit.gpgsign`) can be signed where there is no terminal. Pure: nothing is tried. */

import { own } from '../../lib/own.ts';
import { oneLine } from '../../lib/text.ts';

/** What is looked at, and not started. */
export interface SigningLook {
  /** The value of a setting of git, by its key in lower case; null without one. */
  setting(key: string): string | null;
  isProgram(name: string): boolean;
  /** A private key, by the file that the settings name: absent, with a passphrase, without one. */
  key(file: string): 'absent' | 'locked' | 'open';
  /** An ssh-agent, which may have keys that are unlocked. */
  hasAgent: boolean;
}

export interface SigningFault {
  /** No commit is made; else what signs may ask for something. */
  fails: boolean;
  message: string;
  fix: string;
}

const PROGRAMS: Readonly<Record<string, { keys: readonly string[]; usual: string }>> = {
  openpgp: { keys: ['gpg.openpgp.program', 'gpg.program'], usual: 'gpg' },
  x509: { keys: ['gpg.x509.program'], usual: 'gpgsm' },
  ssh: { keys: ['gpg.ssh.program'], usual: 'ssh-keygen' },
};

/** The fault of signing as git's settings want it; null when nothing speaks against it. Source: git-config(1). */
export function signingFault(look: SigningLook): SigningFault | null {
  const format = look.setting('gpg.format') ?? 'openpgp';
  const kind = own(PROGRAMS, format);
  if (kind === undefined)
    return impossible(`gpg.format is ${oneLine(format, 40)}`, 'Set gpg.format to openpgp, x509 or ssh.');
  const program = kind.keys.map(look.setting).find((value) => value !== null) ?? kind.usual;
  if (!look.isProgram(program)) {
    const what = `${oneLine(program, 100)}, which signs commits, is not there`;
    return impossible(what, `Install it, or name another in ${kind.keys.at(-1)}.`);
  }
  if (format === 'ssh') return sshFault(look);
  const message = `git signs commits by ${oneLine(program, 100)}, which may ask for a passphrase where nothing can answer`;
  return { fails: false, message, fix: UNLOCK };
}

const UNLOCK =
  'Unlock the key in its agent before a run. Or sign none of these: `git config commit.gpgsign false`; `ship: {sign: never}` is for merges by forge alone.';

function impossible(what: string, fix: string): SigningFault {
  return {
    fails: true,
    message: `git signs commits, and can't: ${what}; so commits fail, and merges that are to be signed`,
    fix,
  };
}

function sshFault({ setting, key, hasAgent }: SigningLook): SigningFault | null {
  const named = setting('user.signingkey');
  if (named === null || named === '') {
    if (setting('gpg.ssh.defaultkeycommand') !== null) return null;
    return impossible('no key is named', 'Name it: `git config --global user.signingKey FILE`.');
  }
  if (/^(key::|ssh-)/.test(named)) {
    if (hasAgent) return null;
    return impossible(
      'its key is in an ssh-agent, and there is none',
      'Start ssh-agent, and set SSH_AUTH_SOCK for forge.',
    );
  }
  const state = key(named);
  if (state === 'open' || hasAgent) return null;
  const file = oneLine(named, 200);
  if (state === 'absent') return impossible(`there is no key ${file}, and no ssh-agent`, 'Fix user.signingKey.');
  return impossible(
    `its key ${file} has a passphrase, and there is no ssh-agent`,
    'Add the key to an ssh-agent with `ssh-add`.',
  );
}
