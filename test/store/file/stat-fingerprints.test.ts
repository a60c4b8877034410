/** Whether many folders are as they were, with and without the help of other threads. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { StampCheck, stampOf } from '../../../src/store/file/stat-fingerprints.ts';
import { until } from '../../support/processes.ts';
import { emptyFolder } from '../../support/store/tree.ts';

const COUNT = 600;
const name = (at: number) => `folder-${at}`;

let root: string;
beforeEach(() => {
  root = emptyFolder();
  for (let at = 0; at < COUNT; at++) {
    fs.mkdirSync(`${root}/${name(at)}`);
    fs.writeFileSync(`${root}/${name(at)}/file`, '');
  }
});

/** The stamps of all folders, as text in shared memory. */
function stamped() {
  const parts: string[] = [];
  const places: number[] = [];
  let length = 0;
  const add = (text: string) => {
    places.push(length, length + text.length);
    parts.push(text);
    length += text.length;
  };
  for (let at = 0; at < COUNT; at++) {
    add(name(at));
    add(JSON.stringify([stampOf(`${root}/${name(at)}`, ''), stampOf(`${root}/${name(at)}`, '/file')].flat()));
  }
  const bytes = Buffer.from(new SharedArrayBuffer(length));
  bytes.write(parts.join(''), 'latin1');
  return { root, bytes, places: Uint32Array.from(places) };
}

describe.each([
  ['alone', 0],
  ['with the help of other threads', 1 << 30],
])('fingerprint check %s', (_, bytes) => {
  test('a fingerprint check finds exactly what has changed', () => {
    const check = new StampCheck(bytes);
    const known = stamped();
    for (let at = 0; at < COUNT; at += 7) {
      fs.rmSync(`${root}/${name(at)}/file`);
      if (at % 2 === 0) fs.writeFileSync(`${root}/${name(at)}/file`, '');
    }
    for (const at of [1, 2]) fs.rmSync(`${root}/${name(at)}`, { recursive: true });
    fs.writeFileSync(`${root}/${name(2)}`, 'a file in its place');
    check.begin(known);
    const holds = check.result();
    const wrong = Array.from({ length: COUNT }, (_, at) => at).filter((at) => holds(at) !== (at % 7 !== 0 && at > 2));
    expect(wrong).toEqual([]);
  });

  test('a fingerprint check that was not begun, or is empty, confirms nothing', () => {
    expect(new StampCheck(bytes).result()(0)).toBe(false);
    const check = new StampCheck(bytes);
    check.begin({ root, bytes: Buffer.from(''), places: new Uint32Array() });
    expect(check.result()(0)).toBe(false);
  });
});

test('worker threads check their share with and without the main thread', async () => {
  const check = new StampCheck(1 << 30);
  check.begin(stamped());
  await until('all folders were looked at', () => check.looked === COUNT);
  expect(check.result()(COUNT - 1)).toBe(true);
});
