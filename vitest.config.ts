import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Most of the time tests wait for processes of theirs; one core is not kept free for that.
    maxWorkers: availableParallelism(),
    globalSetup: ['test/support/build-once.ts'],
    // Real processes are started by many tests; a slow machine must not turn into a red one.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
