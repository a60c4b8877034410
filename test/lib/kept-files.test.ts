/** Sets of files that are kept by a key and put back, and the files that globs match. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { KeptFiles } from '../../src/lib/fs/kept-files.ts';
import { digestOf, matchingFiles } from '../../src/lib/fs/matching-files.ts';

const DAY_MS = 24 * 3600 * 1000;
let dir: string;
let nowMs: number;

const at = (...names: string[]) => path.join(dir, ...names);
const write = (file: string, text: string, mode = 0o644) => {
  fs.mkdirSync(path.dirname(at(file)), { recursive: true });
  fs.writeFileSync(at(file), text, { mode });
};
const read = (file: string) => fs.readFileSync(at(file), 'utf8');
const keptFiles = () => {
  const kept = KeptFiles.of({ XDG_CACHE_HOME: at('cache') }, () => nowMs);
  if (kept === null) throw new Error('there is a cache');
  return kept;
};
const keep = (key: string) => keptFiles().keep(key, at('project'), matchingFiles(at('project'), ['dist/**']), 'op');
const restore = (key: string) => keptFiles().restore(key, at('project'), at('project', '.aside'));
const stored = (key: string, name: string) => at('cache', 'forge', 'kept', key, name);

beforeEach(() => {
  dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'kept-')));
  nowMs = Date.now();
  fs.mkdirSync(at('cache'));
  write('project/dist/a.js', 'a');
  write('project/dist/bin/run', '#!/bin/sh', 0o755);
  fs.symlinkSync('a.js', at('project/dist/link'));
});
afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

describe('files that are kept', () => {
  test('files that are kept are put back as they were: content, mode, symbolic links', async () => {
    await keep('k');
    fs.rmSync(at('project/dist'), { recursive: true });
    expect(keptFiles().isPresent('k', at('project'), nowMs)).toBe(false);
    expect(await restore('k')).toBe(true);
    expect(read('project/dist/a.js')).toBe('a');
    expect(fs.statSync(at('project/dist/bin/run')).mode & 0o777).toBe(0o755);
    expect(fs.readlinkSync(at('project/dist/link'))).toBe('a.js');
    expect(keptFiles().isPresent('k', at('project'), nowMs)).toBe(true);
    expect(fs.readdirSync(at('project'))).toEqual(['dist']);
  });

  test('files that are not what is meant when they are copied are not kept, and what was kept before stays', async () => {
    const files = matchingFiles(at('project'), ['dist/**']);
    const a = digestOf(at('project/dist/a.js'), 'file');
    const kept = (isMeant: (digest: string | undefined) => boolean) =>
      keptFiles().keep('k', at('project'), files, 'op', (copies) =>
        isMeant(copies.find(({ path: file }) => file === 'dist/a.js')?.digest),
      );
    expect(await kept((digest) => digest === a)).toBe(true);
    write('project/dist/a.js', 'b');
    expect(await kept((digest) => digest === a)).toBe(false);
    expect(fs.readdirSync(at('cache', 'forge', 'kept')).filter((name) => name.startsWith('.tmp-'))).toEqual([]);
    expect(await restore('k')).toBe(true);
    expect(read('project/dist/a.js')).toBe('a');
  });

  test('a file that was touched since is looked into, and one that was not is taken as it stands', async () => {
    await keep('k');
    write('project/dist/a.js', 'b');
    const touchedMs = fs.statSync(at('project/dist/a.js')).ctimeMs;
    expect(keptFiles().isPresent('k', at('project'), touchedMs)).toBe(true);
    expect(keptFiles().isPresent('k', at('project'), touchedMs - 1)).toBe(false);
    write('project/dist/a.js', 'a');
    expect(keptFiles().isPresent('k', at('project'), touchedMs - 1)).toBe(true);
    expect(keptFiles().isPresent('other', at('project'), nowMs)).toBeNull();
  });

  test('files that only their owner may read are put back as such', async () => {
    write('project/dist/key', 'k', 0o600);
    await keep('k');
    fs.rmSync(at('project/dist'), { recursive: true });
    expect(await restore('k')).toBe(true);
    expect(fs.statSync(at('project/dist/key')).mode & 0o777).toBe(0o600);
  });

  test('a file that has lost its executable bit is put back', async () => {
    await keep('k');
    fs.chmodSync(at('project/dist/bin/run'), 0o644);
    expect(keptFiles().isPresent('k', at('project'), nowMs)).toBe(false);
    expect(await restore('k')).toBe(true);
    expect(fs.statSync(at('project/dist/bin/run')).mode & 0o777).toBe(0o755);
  });

  test('replace what is there with another content, and leave what is there as it is, with its time', async () => {
    await keep('k');
    const before = fs.statSync(at('project/dist/bin/run')).mtimeMs;
    write('project/dist/a.js', 'b');
    expect(await restore('k')).toBe(true);
    expect(read('project/dist/a.js')).toBe('a');
    expect(fs.statSync(at('project/dist/bin/run')).mtimeMs).toBe(before);
  });

  test('fill puts back what is missing, and replaces nothing', async () => {
    await keep('k');
    fs.rmSync(at('project/dist/a.js'));
    fs.rmSync(at('project/dist/link'));
    const fill = () => keptFiles().fill('k', at('project'), at('project', '.aside'));
    expect(await fill()).toBe(true);
    expect([read('project/dist/a.js'), fs.readlinkSync(at('project/dist/link'))]).toEqual(['a', 'a.js']);
    for (const text of ['by hand', 'b']) {
      write('project/dist/a.js', text);
      expect(await fill()).toBe(false);
      expect(read('project/dist/a.js')).toBe(text);
    }
    expect(fs.readdirSync(at('project'))).toEqual(['dist']);
  });

  test('files that are kept are replaced by those that are kept later by the same key', async () => {
    await keep('k');
    write('project/dist/a.js', 'later');
    await keep('k');
    write('project/dist/a.js', 'x');
    expect(await restore('k')).toBe(true);
    expect(read('project/dist/a.js')).toBe('later');
  });

  test.each<[string, () => void]>([
    ['one was damaged', () => fs.writeFileSync(stored('k', '0'), 'z')],
    ['one is gone', () => fs.rmSync(stored('k', '1'))],
    ['their list was cut short', () => fs.truncateSync(stored('k', 'files.json'), 20)],
    ['nothing was kept by the key', () => fs.rmSync(path.dirname(stored('k', '0')), { recursive: true })],
  ])('are put back not at all when %s', async (_, damage) => {
    await keep('k');
    damage();
    fs.rmSync(at('project/dist'), { recursive: true });
    expect(await restore('k')).toBe(false);
    expect(fs.readdirSync(at('project'))).toEqual([]);
  });

  test.each(['../out', '/etc/passwd', 'dist/../../out', '.git/hooks/pre-commit', '.forge/settings.yaml'])(
    'are put back not at all when one would be at %s',
    async (file) => {
      await keep('k');
      const list = JSON.parse(fs.readFileSync(stored('k', 'files.json'), 'utf8'));
      list.files[0].path = file;
      fs.writeFileSync(stored('k', 'files.json'), JSON.stringify(list));
      fs.rmSync(at('project/dist'), { recursive: true });
      expect(await restore('k')).toBe(false);
      expect(fs.readdirSync(at('project'))).toEqual([]);
    },
  );

  test('files that are kept are put back not at all where a symbolic link leads out of the project', async () => {
    await keep('k');
    fs.rmSync(at('project/dist'), { recursive: true });
    fs.mkdirSync(at('elsewhere'));
    fs.symlinkSync(at('elsewhere'), at('project/dist'));
    expect(await restore('k')).toBe(false);
    expect(fs.readdirSync(at('elsewhere'))).toEqual([]);
  });

  test('go when they were not used for a month, and so does what a killed process has left', async () => {
    await keep('old');
    await keep('used');
    fs.mkdirSync(at('cache/forge/kept/.tmp-killed'));
    nowMs += 29 * DAY_MS;
    expect(await restore('used')).toBe(true);
    nowMs += 2 * DAY_MS;
    await keep('new');
    expect(fs.readdirSync(at('cache/forge/kept')).sort()).toEqual(['.swept', 'new', 'used']);
  });

  test('files that are kept are kept nowhere when another user could change them', () => {
    fs.chmodSync(at('cache'), 0o777);
    expect(KeptFiles.of({ XDG_CACHE_HOME: at('cache') }, () => nowMs)).toBeNull();
    expect(KeptFiles.of({}, () => nowMs)).toBeNull();
  });
});

describe('the files that globs match', () => {
  const names = (...globs: string[]) => matchingFiles(at('project'), globs).map((file) => file.path);

  test('the files that globs match are found once, in order, and not behind symbolic links', () => {
    write('project/src/b.ts', '');
    write('project/src/a/c.ts', '');
    fs.symlinkSync('..', at('project/src/up'));
    expect(names('src/**', '**/*.ts')).toEqual(['src/a/c.ts', 'src/b.ts', 'src/up']);
    expect(names('./src/b.ts', 'missing/**')).toEqual(['src/b.ts']);
    expect(names('src/b.ts/**')).toEqual([]);
    expect(names('src/**', '!src/a', '!**/up')).toEqual(['src/b.ts']);
    expect(names('!src/a/**', 'src/a/*')).toEqual([]);
  });

  test('the files that globs match are found in node_modules, .git and .forge only by a glob that names these', () => {
    for (const folder of ['node_modules/x', '.git', '.forge', 'lib/node_modules/x'])
      write(`project/${folder}/f.js`, '');
    expect(names('**/f.js')).toEqual([]);
    expect(names('node_modules/**/f.js', '.git/*', 'lib/node_modules/x/f.js')).toEqual([
      '.git/f.js',
      'lib/node_modules/x/f.js',
      'node_modules/x/f.js',
    ]);
    expect(names('*/node_modules/x/*')).toEqual(['lib/node_modules/x/f.js']);
    expect(names('{lib,node_modules}/x/*')).toEqual(['node_modules/x/f.js']);
  });

  test('the files that globs match have a digest of their content, in parts where they are large, and links of where they point', () => {
    write('project/large', 'x'.repeat(3_000_000));
    write('project/same', 'x'.repeat(3_000_000));
    expect(digestOf(at('project/large'), 'file')).toBe(digestOf(at('project/same'), 'file'));
    expect(digestOf(at('project/dist/link'), 'link')).not.toBe(digestOf(at('project/dist/a.js'), 'file'));
  });
});
