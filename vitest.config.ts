import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // No expected durations: a loaded machine is no failure.
    expect: { poll: { timeout: 30_000 } },
    pool: 'forks',
    reporters: ['default'],
  },
});
