import { setTimeout as delay } from 'node:timers/promises';

export { delay };

/** Milliseconds on the clock that all histories use. */
export const nowMs = (): number => performance.now();

/**
 * Asks again until the probe gives something other than undefined or false. Rejects after `timeoutMs` with a sentence that
 * says what was waited for and the probe's last error, if it had one.
 */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  pauseMs = 50,
): Promise<T> {
  const deadline = nowMs() + timeoutMs;
  for (;;) {
    let failure = '';
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      failure = `: ${error instanceof Error ? error.message : String(error)}`;
    }
    if (nowMs() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}${failure}`);
    await delay(pauseMs);
  }
}
