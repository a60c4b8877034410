/** Taking the middle out of a file that others append to. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { cutMiddle, type MiddleCut } from '../../src/lib/fs/cut-middle.ts';
import { emptyFolder } from '../support/store/tree.ts';

const mark = (bytes: number) => `[${bytes} bytes cut]`;
const prepare = async () => {};
const CUT: MiddleCut = { max: 100, head: 25, tail: 25, before: 0, mark, prepare };

function fileWith(content: string): string {
  const file = path.join(emptyFolder(), 'log');
  fs.writeFileSync(file, content);
  return file;
}

const textOf = (file: string) => fs.readFileSync(file, 'utf8');

const LINES = Array.from({ length: 20 }, (_, i) => `line ${String(i).padStart(2, '0')}\n`).join('');

test('a file that is not too large is left alone', async () => {
  const file = fileWith('x'.repeat(100));
  expect(await cutMiddle(file, { ...CUT, before: 7 })).toBe(7);
  expect(textOf(file)).toBe('x'.repeat(100));
});

test('a file is cut at ends of lines, and the mark says how much is missing', async () => {
  const file = fileWith(LINES);
  expect(await cutMiddle(file, CUT)).toBe(160 - 24 - 24);
  expect(textOf(file)).toBe('line 00\nline 01\nline 02\n[112 bytes cut]\nline 17\nline 18\nline 19\n');
});

test('a file that was cut before is cut to one mark, which counts everything', async () => {
  const file = fileWith(LINES);
  const before = await cutMiddle(file, CUT);
  fs.appendFileSync(file, LINES);
  const missing = await cutMiddle(file, { ...CUT, before });
  expect(textOf(file)).toBe(`line 00\nline 01\nline 02\n[${missing} bytes cut]\nline 17\nline 18\nline 19\n`);
});

test('a file without lines is cut all the same', async () => {
  const file = fileWith('a'.repeat(100) + 'b'.repeat(100));
  await cutMiddle(file, CUT);
  expect(textOf(file)).toBe(`${'a'.repeat(25)}\n[150 bytes cut]\n${'b'.repeat(25)}`);
});

test('what is about to be parted is told while it is whole', async () => {
  const file = fileWith(`${'x'.repeat(19)}${'secret'}${'y'.repeat(150)}secret${'z'.repeat(20)}`);
  const seen: string[] = [];
  await cutMiddle(file, {
    ...CUT,
    prepare: async (start, end) => void seen.push(textOf(file).slice(start, end)),
  });
  expect(seen).toHaveLength(2);
  for (const range of seen) expect(range).toMatch(/secret/);
});

test('a writer that appends meanwhile goes on behind the tail', async () => {
  const file = fileWith('');
  const line = `${'x'.repeat(79)}\n`;
  const child = spawn(
    process.execPath,
    ['-e', `for (let i = 0; i < 200_000; i++) require('fs').writeSync(1, ${JSON.stringify(line)}); console.log('END')`],
    { stdio: ['ignore', fs.openSync(file, 'a'), 'inherit'] },
  );
  const ended = once(child, 'exit');
  const cut = { ...CUT, max: 400_000, head: 100_000, tail: 100_000 };
  let before = 0;
  let isOver = false;
  ended.then(() => {
    isOver = true;
  });
  while (!isOver) {
    before = await cutMiddle(file, { ...cut, before });
    await new Promise((resolve) => setImmediate(resolve));
  }
  before = await cutMiddle(file, { ...cut, before });
  const text = textOf(file);
  expect(before).toBeGreaterThan(10_000_000);
  expect(text.length).toBeLessThan(500_000);
  expect(text.startsWith(line)).toBe(true);
  expect(text).toMatch(/x\nEND\n$/);
  // Behind the mark follow whole lines, but where the writer was faster than the cut, which has a mark too.
  expect(text).toMatch(/^(x{79}\n)+\[\d+ bytes cut\]\n(x*\n|\[\d+ bytes cut\]\n)+END\n$/);
});

test('nothing but a regular file is cut', async () => {
  const folder = emptyFolder();
  fs.writeFileSync(path.join(folder, 'other'), LINES);
  fs.symlinkSync('other', path.join(folder, 'link'));
  await expect(cutMiddle(path.join(folder, 'link'), CUT)).rejects.toMatchObject({ code: 'ELOOP' });
  expect(textOf(path.join(folder, 'other'))).toBe(LINES);
});
