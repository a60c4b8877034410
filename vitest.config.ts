import { availableParallelism } from 'node:os';
import { relative } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The folders with the files that take minutes, the slowest first. One that started last would run alone at the end. */
const SLOW = ['sim', 'faults', 'cli', 'git'];

function rank({ moduleId }: TestSpecification): number {
  const at = SLOW.findIndex((folder) => relative(import.meta.dirname, moduleId).startsWith(`test/${folder}/`));
  return at < 0 ? SLOW.length : at;
}

/** Vitest knows how long a file takes only once it has run here. */
class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Much of the time tests wait for processes of theirs.
    maxWorkers: availableParallelism() + 1,
    // Files in turn share a process, and so what it has loaded. None may rely on another, or leave anything behind.
    isolate: false,
    globalSetup: ['test/support/build-once.ts'],
    setupFiles: ['test/support/each-file.ts'],
    // Real processes are started by many tests; a slow machine must not turn into a red one.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    sequence: { sequencer: SlowestFirst },
  },
});
