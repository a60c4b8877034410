/** Reads what makes git show, run or merge something else than what is committed; `domain/verify/git-setup.ts` says what counts. */

import fs from 'node:fs';
import path from 'node:path';
import type { ProjectPaths } from '../domain/project-paths.ts';
import {
  changesText,
  type GitSetting,
  type GitSetup,
  OF_WORKTREE,
  OWN_PART,
  partOf,
  type SetupDigests,
  settingsIn,
  setupChanges,
} from '../domain/verify/git-setup.ts';
import { sha256 } from '../lib/digest.ts';
import { errorCode, ifThere, NO_PATH } from '../lib/fs/io-errors.ts';
import { readCapped } from '../lib/fs/read.ts';
import { type GitEnv, git, gitIn, gitLines, gitText, lastWords } from './git.ts';
import { lookAtPlace, modulesBelow, topOf } from './worktree-files.ts';

/** Most of a file, bytes: a hundred times the packed refs of a large project, or a hook that is a program. */
const MAX_BYTES = 256 * 1024 * 1024;

const REPLACE = 'refs/replace/';

/** Files below the folder that all worktrees share. */
const SHARED_FILES = ['info/attributes', 'info/grafts', 'objects/info/alternates', 'shallow'];

/** Files that every git reads: it waits for what is a pipe. */
const GIT_FILES = [
  'HEAD',
  'config',
  'config.worktree',
  'index',
  'info/exclude',
  'objects/info/commit-graph',
  'packed-refs',
];

/** Files of the repository of a submodule. A new one may borrow objects. */
const MODULE_FILES = ['info/attributes', 'info/grafts'];

/**
 * The setup of the project's repository, and of the worktree whose project folder is `cwd`, if one is named. Starts nothing but git, and no
 * program that the setup names. Null when the project is in no repository. Throws IO_ERROR.
 */
export async function gitSetup(env: GitEnv, cwd: string | null): Promise<GitSetup | null> {
  const places = await placesOf(env);
  if (places === null) return null;
  const { common, prefix } = places;
  const contents: Record<string, string[]> = {};
  const texts: Record<string, string[]> = {};
  const add = (part: string, name: string | null, text: string) => {
    texts[part] = [...(texts[part] ?? []), text];
    if (name !== null) contents[part] = [...new Set([...(contents[part] ?? []), name])];
  };
  const top = cwd === null ? null : topOf(cwd, prefix);
  const gitDir = top === null ? null : lookAtPlace(top).gitDir;
  for (const name of GIT_FILES) {
    if (!isFileOrNone(`${common}/${name}`)) add(name, null, 'no file');
    if (gitDir && !isFileOrNone(`${gitDir}/${name}`)) add(`${name}${OF_WORKTREE}`, null, 'no file');
  }
  // Git would wait forever.
  if (Object.keys(texts).length > 0) return digested(texts, contents);
  const list = ['config', '--list', '--show-scope', '-z'];
  const listing = await git(list, gitIn(env));
  const settings = settingsIn(listing.stdout);
  // A worker can break the file, and that is its change.
  if (listing.code !== 0) add('config', lastWords(listing), listing.stderr);
  for (const setting of settings) add(partOf(setting, settings.length), setting.key, setting.text);
  for (const ref of await replacements(env, common, settings)) add('refs/replace', ref.split(' ', 1)[0] ?? ref, ref);
  for (const folder of hookFolders(env, common, settings)) {
    for (const { name, text } of hooksIn(folder)) add('hooks', name, `${folder}/${text}`);
  }
  for (const file of [...SHARED_FILES.map((name) => `${common}/${name}`), ...userAttributes(env, settings)]) {
    const text = textOf(file);
    if (text !== null) add(file.startsWith(`${common}/`) ? file.slice(common.length + 1) : file, null, text);
  }
  if (top !== null && gitDir && settings.some(({ key }) => key.startsWith('includeif.'))) {
    const known = new Set(settings.map(({ text }) => text));
    const there = settingsIn((await git(list, gitIn(env, top))).stdout).filter(({ text }) => !known.has(text));
    for (const { key, text } of there) add(`config ${key}${OF_WORKTREE}`, null, text);
  }
  const checkouts = [path.dirname(common), env.paths.project, ...(top === null ? [] : [top])];
  for (const modules of [common, ...(gitDir ? [gitDir] : [])].map((dir) => `${dir}/modules`)) {
    for (const module of modulesBelow(modules).sort()) {
      const part = `submodule ${path.relative(modules, module)}${modules.startsWith(`${gitDir}/`) ? OF_WORKTREE : ''}`;
      for (const { key, text } of await ownSettings(env, module, checkouts)) add(part, key, text);
      for (const { name, text } of hooksIn(`${module}/hooks`)) add(part, name, text);
      for (const name of MODULE_FILES) {
        const text = textOf(`${module}/${name}`);
        if (text !== null) add(part, name, text);
      }
    }
  }
  const own = gitDir === null ? null : textOf(`${gitDir}/config.worktree`);
  if (own !== null) add(OWN_PART, null, own);
  return digested(texts, contents);
}

function digested(texts: Record<string, string[]>, contents: GitSetup['contents']): GitSetup {
  const digests = Object.fromEntries(
    Object.entries(texts).map(([part, all]) => [part, sha256(JSON.stringify(all)).slice(0, 16)]),
  );
  return { digests, contents };
}

function isFileOrNone(file: string): boolean {
  const stat = ifThere(`looking at ${file}`, () => fs.statSync(file), [...NO_PATH, 'ELOOP']);
  return stat === null || stat.isFile();
}

/** What the repository of a submodule sets and git has not set by itself: one that a person has just had filled has nothing. */
async function ownSettings(env: GitEnv, module: string, checkouts: readonly string[]): Promise<GitSetting[]> {
  const listed = await gitText([`--git-dir=${module}`, 'config', '--list', '--show-scope', '-z'], gitIn(env));
  const isOrdinary = ({ key, text }: GitSetting) => {
    if (BY_GIT.test(key)) return true;
    const checkout = key === 'core.worktree' ? path.resolve(module, text.slice(text.indexOf('\n') + 1)) : null;
    return checkouts.some((around) => checkout?.startsWith(`${around}/`));
  };
  return settingsIn(listed).filter((setting) => setting.text.startsWith('local ') && !isOrdinary(setting));
}

/** Set by git when it makes a repository. */
const BY_GIT = /^core\.(bare|filemode|ignorecase|logallrefupdates|precomposeunicode|repositoryformatversion)$/;

interface Places {
  /** The folder that all worktrees share. */
  common: string;
  /** The project's folder in the repository, '' or with a slash at its end. */
  prefix: string;
}

/** Asked once: a project does not move to another repository while a command runs. */
const known = new WeakMap<ProjectPaths, Places>();

/** Null when the project is in no repository. */
async function placesOf(env: GitEnv): Promise<Places | null> {
  const before = known.get(env.paths);
  if (before !== undefined) return before;
  const { code, stdout } = await git(['rev-parse', '--git-common-dir', '--show-prefix'], gitIn(env));
  if (code !== 0) return null;
  const [common = '', prefix = ''] = stdout.split('\n');
  const places = { common: path.resolve(env.paths.project, common), prefix };
  known.set(env.paths, places);
  return places;
}

/** The refs below `refs/replace`, with what they replace it by. */
async function replacements(env: GitEnv, common: string, settings: readonly GitSetting[]): Promise<string[]> {
  // Another format of refs than files is git's to read.
  if (settings.some(({ key }) => key === 'extensions.refstorage'))
    return gitLines(['for-each-ref', '--format=%(refname) %(objectname)', REPLACE], gitIn(env));
  const folder = `${common}/${REPLACE}`;
  const loose = ifThere(`listing ${folder}`, () => fs.readdirSync(folder), NO_PATH) ?? [];
  const packed = textOf(`${common}/packed-refs`)?.match(/^.* refs\/replace\/.*$/gm) ?? [];
  // A ref of its own file counts before a packed one.
  const refs = new Map([
    ...packed.map((line) => line.split(' ').reverse() as [string, string]),
    ...loose.map((name): [string, string] => [`${REPLACE}${name}`, textOf(`${folder}/${name}`)?.trim() ?? '']),
  ]);
  return [...refs].map(([ref, sha]) => `${ref} ${sha}`).sort();
}

/** How the setup differs from what it was; null when it does not. Throws as `gitSetup` does. */
export async function setupChange(
  env: GitEnv,
  cwd: string | null,
  before: SetupDigests,
): Promise<{ text: string; digests: SetupDigests } | null> {
  const now = (await gitSetup(env, cwd)) ?? { digests: {}, contents: {} };
  const changes = setupChanges(before, now.digests);
  if (changes.length === 0) return null;
  return { text: changesText(changes, now), digests: now.digests };
}

/** The value that counts of a setting that names a path, made absolute; null when there is none, or one inside of checkouts. */
function pathIn({ ctx }: GitEnv, settings: readonly GitSetting[], key: string): string | null {
  const last = settings.findLast((setting) => setting.key === key)?.text;
  const value = last?.slice(last.indexOf('\n') + 1).replace(/^~(?=\/)/, ctx.env['HOME'] ?? '~');
  return value !== undefined && path.isAbsolute(value) ? value : null;
}

/** Where hooks are. A relative `core.hooksPath` is in the checkout, and so in what is committed and reviewed. */
function hookFolders(env: GitEnv, common: string, settings: readonly GitSetting[]): string[] {
  const named = pathIn(env, settings, 'core.hookspath');
  return [`${common}/hooks`, ...(named === null ? [] : [named])];
}

function hooksIn(folder: string): { name: string; text: string }[] {
  const entries = ifThere(`listing ${folder}`, () => fs.readdirSync(folder), NO_PATH) ?? [];
  return entries
    .filter((name) => !name.endsWith('.sample'))
    .sort()
    .flatMap((name) => {
      const file = `${folder}/${name}`;
      const stat = ifThere(`looking at ${file}`, () => fs.statSync(file), [...NO_PATH, 'ELOOP']);
      // Only what can be started is a hook.
      if (stat === null || !stat.isFile() || (stat.mode & 0o111) === 0) return [];
      return [{ name, text: `${name}\n${textOf(file)}` }];
    });
}

/** The user's own attributes, which count in every repository. Source: gitattributes(5). */
function userAttributes(env: GitEnv, settings: readonly GitSetting[]): string[] {
  const named = pathIn(env, settings, 'core.attributesfile');
  if (named !== null) return [named];
  const { XDG_CONFIG_HOME: xdg, HOME: home } = env.ctx.env;
  const folder = xdg || (home === undefined ? null : `${home}/.config`);
  return folder === null ? [] : [`${folder}/git/attributes`];
}

/**
 * Null when there is no such file. Where a worker has put something else, which no read gets through, it says so. Throws IO_ERROR when it
 * can't be read for another reason.
 */
function textOf(file: string): string | null {
  return ifThere(`reading ${file}`, () => readOrName(file), NO_PATH);
}

function readOrName(file: string): string {
  try {
    return readCapped(file, MAX_BYTES, { follow: true });
  } catch (error) {
    if (NO_FILE.includes(errorCode(error))) return `no file: ${errorCode(error)}`;
    throw error;
  }
}

/** A folder, a pipe or a device, symlinks in a circle, a file without end. */
const NO_FILE = ['EISDIR', 'EINVAL', 'ENXIO', 'ELOOP', 'EFBIG'];
