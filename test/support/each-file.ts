/** Before each test file: a temporary folder of its own, removed with all in it after the last test. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const ofRun = tmpdir();
const ofFile = mkdtempSync(join(ofRun, 'f-'));
process.env['TMPDIR'] = ofFile;

afterAll(() => {
  process.env['TMPDIR'] = ofRun;
  rmSync(ofFile, { recursive: true, force: true, maxRetries: 3 });
});
