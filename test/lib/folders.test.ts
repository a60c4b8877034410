import fs from 'node:fs';
import { expect, test } from 'vitest';
import { makePath } from '../../src/lib/fs/folders.ts';
import { emptyFolder } from '../support/store/tree.ts';

test('makePath makes a folder and those above it, and is content with one that is there', () => {
  const at = `${emptyFolder()}/a/b/c`;
  makePath(at);
  makePath(at);
  expect(fs.statSync(at).isDirectory()).toBe(true);
});

test('makePath fails where a file is in the way', () => {
  const file = `${emptyFolder()}/file`;
  fs.writeFileSync(file, '');
  expect(() => makePath(file)).toThrow(/EEXIST/);
  expect(() => makePath(`${file}/a`)).toThrow(/EEXIST|ENOTDIR/);
});

test.runIf(process.platform === 'linux')(
  'makePath ends where a file system answers ENOENT in a folder that is there',
  () => {
    expect(() => makePath('/proc/forge/a')).toThrow(/ENOENT/);
  },
);
