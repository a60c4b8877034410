/** Turns file system errors into messages that a person can act on. */

import { ForgeError } from '../errors.ts';

const HINTS: Record<string, string> = {
  ENOSPC: 'The disk is full (space or inodes). Free some, then repeat; nothing was changed.',
  EDQUOT: 'Your quota on this disk is used up. Free some space, then repeat; nothing was changed.',
  EROFS: 'The file system is read-only. Read commands still work.',
  EACCES: 'You lack permission. Check who owns what the path above names, and who may read and write it.',
  EPERM: 'The file system refused. Forge needs one with hard links (link), and permission to use them.',
  ENOTSUP: 'Forge needs a file system with hard links; this one has none. Move the project to a local disk.',
  EMLINK: 'Forge needs a file system with hard links; this one has none left for a file.',
  EISDIR: 'There is a folder where a file should be. Check the path above.',
  EEXIST: 'Something else is in the place of a file or folder of forge. Look at the path above, and move it away.',
  ENOTDIR: 'Something that should be a folder is a file. Look at the path above.',
  ELOOP:
    'There is a symlink where forge keeps its own files. It is never followed: remove it, or put a real folder there.',
  ESTALE: 'The network file system has lost the file. Mount it again, or move the project to a local disk.',
  EUCLEAN: 'The file system is damaged. Check it with fsck, then repeat.',
  EMFILE: 'Too many files are open. Raise `ulimit -n`, then repeat.',
};

/** A system error as IO_ERROR with the operation `doing`; any other error unchanged. */
export function asIoError(error: unknown, doing: string): unknown {
  const code = errorCode(error);
  if (error instanceof ForgeError || !(error instanceof Error) || !/^E[A-Z0-9]+$/.test(code)) return error;
  const message = error.message.replace(
    /^(?:(Unknown system error -\d+): \1|UNKNOWN: unknown error|, Unknown error)/,
    code,
  );
  return new ForgeError('IO_ERROR', `${doing}: ${message}`, {
    hint: HINTS[code],
    details: { errno: code },
    cause: error,
  });
}

/** Why a file named by a person could not be read, in words; null for an unexpected error. `maxBytes`: the limit of the read. */
export function whyUnread(error: unknown, maxBytes: number): string | null {
  const words: Record<string, string> = {
    ENOENT: 'there is no such file',
    ENOTDIR: 'a part of its path is not a folder',
    EFBIG: `it is larger than ${maxBytes} bytes`,
    EINVAL: 'it is not a regular file',
    EISDIR: 'it is not a regular file',
    EACCES: 'it may not be read',
    ELOOP: 'it is a symlink, which is not followed',
  };
  return words[errorCode(error)] ?? null;
}

/** Runs `work`. Throws a system error as IO_ERROR with the operation `doing`, any other unchanged. */
export function whileDoing<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw asIoError(error, doing);
  }
}

/** Codes of a path that does not exist, or that leads through something that is not a folder. */
export const NO_PATH: readonly string[] = ['ENOENT', 'ENOTDIR'];

/** `whileDoing`, but null where `work` fails with one of `codes`: by default where a file or folder does not exist. */
export function ifThere<T>(doing: string, work: () => T, codes: readonly string[] = ['ENOENT']): T | null {
  try {
    return work();
  } catch (error) {
    if (codes.includes(errorCode(error))) return null;
    throw asIoError(error, doing);
  }
}

/** The `code` of a failed call (`ENOENT`, `EEXIST`, ...), or '' for anything else that was thrown. */
export function errorCode(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  const { code, errno, message } = error as { code: unknown; errno?: unknown; message?: unknown };
  if (code === '') return codeOfWords(String(message));
  // For some numbers libuv has no name; Node's two ways to a file say so in words of their own.
  const isUnnamed = /^(Unknown system error|UNKNOWN$)/.test(String(code)) && typeof errno === 'number';
  return isUnnamed ? (UNNAMED[process.platform]?.[-errno] ?? `E${-errno}`) : String(code);
}

/** Source: errno.h of Linux and macOS. */
const UNNAMED: Record<string, Record<number, string>> = {
  linux: { 116: 'ESTALE', 117: 'EUCLEAN', 122: 'EDQUOT' },
  darwin: { 69: 'EDQUOT', 70: 'ESTALE' },
};

/** `fs.rmSync` of Node 24 gives most errors no code, but the words of strerror(3): of glibc, musl and macOS here. */
function codeOfWords(message: string): string {
  const words = /^, Unknown error: (.+?) '/.exec(message)?.[1];
  return words === undefined ? '' : (WORDS.find(([said]) => said.test(words))?.[1] ?? 'EIO');
}

const WORDS: readonly (readonly [RegExp, string])[] = [
  [/^No space left on device$/, 'ENOSPC'],
  [/^(Dis[kc] q|Q)uota exceeded$/, 'EDQUOT'],
  [/^Read-only file system$/, 'EROFS'],
  [/^Too many open files$/, 'EMFILE'],
  [/busy$/, 'EBUSY'],
  [/^(Too many levels of s|S)ymbolic link/, 'ELOOP'],
  [/^Stale /, 'ESTALE'],
  [/^Structure needs cleaning$/, 'EUCLEAN'],
];
