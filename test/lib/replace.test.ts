/** Text that is replaced in a file where it stands. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { replaceInPlace } from '../../src/lib/fs/replace.ts';
import { emptyFolder } from '../support/store/tree.ts';

const CHUNK = 1024 * 1024;
const SECRETS = new Map([
  ['secret-value', '************'],
  ['other', '#####'],
]);

test.each([0, 1, 5, CHUNK - 12, CHUNK - 6, CHUNK - 1, CHUNK, 2 * CHUNK - 3])(
  'a text that begins at byte %i of a file is replaced, and nothing else',
  async (at) => {
    const file = path.join(emptyFolder(), 'log');
    const before = Buffer.alloc(2 * CHUNK + 50, 'x');
    before.write('secret-value', at);
    before.write('other', 2 * CHUNK + 45);
    fs.writeFileSync(file, before);
    await replaceInPlace(file, SECRETS);
    const expected = Buffer.alloc(2 * CHUNK + 50, 'x');
    expected.fill('*', at, at + 12);
    expected.fill('#', 2 * CHUNK + 45, 2 * CHUNK + 50);
    expect(fs.readFileSync(file).equals(expected)).toBe(true);
  },
);

test('what another process appends meanwhile stays', async () => {
  const file = path.join(emptyFolder(), 'log');
  fs.writeFileSync(file, `secret-value\n${'x'.repeat(3 * CHUNK)}`);
  const replaced = replaceInPlace(file, SECRETS);
  fs.appendFileSync(file, 'appended');
  await replaced;
  const text = fs.readFileSync(file, 'utf8');
  expect([text.startsWith('************\n'), text.endsWith('xappended')]).toEqual([true, true]);
});

test('a missing file, a folder and a symlink are left alone', async () => {
  const folder = emptyFolder();
  fs.writeFileSync(path.join(folder, 'target'), 'secret-value');
  fs.symlinkSync('target', path.join(folder, 'link'));
  for (const name of ['none', 'link', '.']) await replaceInPlace(path.join(folder, name), SECRETS);
  expect(fs.readFileSync(path.join(folder, 'target'), 'utf8')).toBe('secret-value');
});
