/** The code that V8 has compiled, as it is kept between processes. */

import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { codeCache } from '../../src/lib/fs/code-cache.ts';
import { emptyFolder } from '../support/store/tree.ts';

let home: string;
beforeEach(() => {
  home = emptyFolder();
});

const cache = (of = 'b1-v20', name = 'why') => codeCache({ XDG_CACHE_HOME: home }, of, name);
const code = (parts: Record<string, string>) =>
  new Map(Object.entries(parts).map(([name, text]) => [name, Buffer.from(text)]));
const textsOf = (kept: ReadonlyMap<string, Buffer>) =>
  Object.fromEntries([...kept].map(([name, bytes]) => [name, bytes.toString()]));

test('what is saved is added to what is kept for the same build and name, and to nothing else', () => {
  cache().save(code({ a: 'one\n', b: '' }));
  cache().save(code({ b: 'two', c: 'three' }));
  expect(textsOf(cache().kept)).toEqual({ a: 'one\n', b: 'two', c: 'three' });
  expect([cache('b2-v20').kept.size, cache('b1-v20', 'status').kept.size]).toEqual([0, 0]);
});

test('what is damaged is not used, wherever that is', () => {
  cache().save(code({ a: 'a piece of code', b: 'x'.repeat(20_000) }));
  const file = path.join(home, 'forge', 'code-b1-v20', 'why');
  const whole = fs.readFileSync(file);
  for (let at = 0; at + 512 <= whole.length; at += 512) {
    fs.writeFileSync(file, Buffer.from(whole).fill(0, at, at + 512));
    expect(cache().kept.size).toBe(0);
  }
  fs.writeFileSync(file, whole.subarray(0, -1));
  expect(cache().kept.size).toBe(0);
  fs.writeFileSync(file, whole);
  expect(cache().kept.size).toBe(2);
});

test('what killed processes have left is removed when the next one saves', () => {
  cache().save(code({ a: 'one' }));
  const folder = path.join(home, 'forge', 'code-b1-v20');
  fs.writeFileSync(path.join(folder, 'why.4711.tmp'), 'half');
  cache().save(code({ a: 'two' }));
  expect(fs.readdirSync(folder)).toEqual(['why']);
});

test('folders of eight other builds stay, the newest ones, when another build saves', () => {
  for (let build = 1; build <= 9; build++) {
    cache(`b${build}`).save(code({ a: 'one' }));
    fs.utimesSync(path.join(home, 'forge', `code-b${build}`), build, build);
  }
  fs.mkdirSync(path.join(home, 'forge', 'kept'));
  cache('b10').save(code({ a: 'one' }));
  const left = ['b10', ...[2, 3, 4, 5, 6, 7, 8, 9].map((build) => `b${build}`)].map((build) => `code-${build}`);
  expect(fs.readdirSync(path.join(home, 'forge')).sort()).toEqual([...left, 'kept'].sort());
});

test.each([
  ['without a home', {}],
  ['in a file', { XDG_CACHE_HOME: '/dev/null' }],
])('a cache %s keeps nothing and reports nothing', (_, env) => {
  codeCache(env, 'b1', 'why').save(code({ a: 'one' }));
  expect(codeCache(env, 'b1', 'why').kept.size).toBe(0);
});
