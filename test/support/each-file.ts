/** Before each test file: a temporary folder of its own, removed with all in it after the last test. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const ofRun = tmpdir();
const ofFile = mkdtempSync(join(ofRun, 'f-'));
process.env['TMPDIR'] = ofFile;
// Where the tests were started by nohup(1), this variable says so, and a run under it takes no closed terminal for an interrupt.
delete process.env['_'];

afterAll(() => {
  process.env['TMPDIR'] = ofRun;
  rmSync(ofFile, { recursive: true, force: true, maxRetries: 3 });
});
