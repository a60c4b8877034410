/** Parses a plan file once, as a new process does. usage: node parse-plan.mjs FILE ours|yaml. Prints the milliseconds. */

import fs from 'node:fs';
import { load } from 'js-yaml';
import { parsePlan } from '../../src/domain/plan/parse.ts';

const [file, reader] = process.argv.slice(2);
const text = fs.readFileSync(file, 'utf8');
const start = performance.now();
const done = reader === 'ours' ? parsePlan(text, file).ok : load(text).phases.length > 0;
console.log(performance.now() - start);
if (!done) throw new Error(`${file} is not a plan`);
