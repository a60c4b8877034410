/** The programs of the bench use the source as it is: what they name must be there, though nobody runs them every day. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
// @ts-expect-error: the bench is plain JavaScript.
import { program } from '../bench/lib/bundle.mjs';

const dir = join(import.meta.dirname, '../bench/programs');
const programs = readdirSync(dir).filter((name) => readFileSync(join(dir, name), 'utf8').includes("'../../src/"));

test.each(programs)('%s can be bundled', async (name) => {
  expect(await program(name.replace(/\.mjs$/, ''))).toMatch(/\.mjs$/);
});
