/** The bench programs import the source, so a renamed export must not break them unnoticed. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
// @ts-expect-error: the bench is plain JavaScript.
import { program } from '../bench/lib/bundle.mjs';

const dir = join(import.meta.dirname, '../bench/programs');
const programs = readdirSync(dir).filter((name) => readFileSync(join(dir, name), 'utf8').includes("'../../src/"));

test.each(programs)('the bench program %s can be bundled', async (name) => {
  expect(await program(name.replace(/\.mjs$/, ''))).toMatch(/\.mjs$/);
});
