import type { Decision } from './gateway.ts';

/** The second try comes with what this node knows by then; more are needed only if it lags far behind. */
const TRIES_MAX = 5;

/**
 * Asks a home again when it found this node's topology too old to be told of a queue by it: what it asked for has not
 * happened, and the queue need not be gone.
 */
export async function untilKnown(ask: () => Promise<Decision | undefined>): Promise<Decision | undefined> {
  for (let tries = 1; ; tries++) {
    const outcome = await ask();
    if (outcome?.kind !== 'stale-topology' || tries === TRIES_MAX) return outcome;
  }
}
