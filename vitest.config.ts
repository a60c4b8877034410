import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/build-once.ts'],
    // Real processes are started by many tests; a slow machine must not turn into a red one.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
