import type { Canary } from './canary.ts';

/** Messages and queues that end by themselves: too early, too late, or not the same on every replica. */
export const EXPIRY_CANARIES: readonly Canary[] = [
  {
    name: 'expiry-by-process-time',
    breaks: 'what has expired is decided by the process that applies the entry, not by shard time (R21, R28)',
    file: 'src/queue/queue-deadline.ts',
    find: 'const timeMs = chunk.storage!.times?.[position - chunk.origin] ?? NEVER;',
    replace:
      'const counted = globalThis as { looked?: number };\n  counted.looked = (counted.looked ?? 0) + 1;\n' +
      '  const timeMs = (chunk.storage!.times?.[position - chunk.origin] ?? NEVER) + (counted.looked % 50 === 0 ? 5 : 0);',
    runsMax: 200,
  },
  {
    name: 'ttl-forgotten-in-checkpoint',
    breaks: 'after a restart or a snapshot messages wait for ever (R14)',
    file: 'src/queue/reference-chunks.ts',
    find: 'if (flagged !== state) storage.timeColumn()[i] = from.f64();',
    replace: 'if (flagged !== state) from.f64();',
    runsMax: 200,
  },
  {
    name: 'expired-handed-out',
    breaks: 'a message whose time was over when it came back is handed out again',
    file: 'src/queue/checkout.ts',
    find: 'while (hasReady(state, queue)) {',
    replace: 'while (queue.ready > 0) {',
    runsMax: 200,
  },
  {
    name: 'used-queue-expires',
    breaks: 'a queue expires though somebody consumes it',
    file: 'src/queue/queue-deadline.ts',
    find: 'return expiresMs === undefined || consumerCount > 0 ? NEVER : usedMs + expiresMs;',
    replace: 'return expiresMs === undefined || consumerCount > 1 ? NEVER : usedMs + expiresMs;',
    runsMax: 200,
  },
];
