import { describe, expect, it } from 'vitest';
import { AheadBudget } from '../../../src/broker/ahead-budget.ts';

const KIB = 1024;
const LIMITS = { messagesMax: 2_000, bytesMax: 4_096 * KIB, bytesFirst: 256 * KIB, nodeBytesMax: 8_192 * KIB };

describe('what consumers may have ahead of their sockets', () => {
  it('begins small and doubles with each half that the socket took, up to the bound', () => {
    const window = new AheadBudget(LIMITS).open();
    const seen = [window.messages];
    for (let i = 0; i < 5; i++) {
      window.grow();
      seen.push(window.messages);
    }
    expect(seen).toEqual([125, 250, 500, 1_000, 2_000, 2_000]);
    expect(window.bytes).toBe(LIMITS.bytesMax);
  });

  it('stays within the bound of the node, but for the least that keeps a consumer going', () => {
    const budget = new AheadBudget(LIMITS);
    const windows = Array.from({ length: 200 }, () => budget.open());
    for (const window of windows) window.grow();
    const bytes = windows.reduce((sum, window) => sum + window.bytes, 0);
    expect(bytes).toBeLessThanOrEqual(LIMITS.nodeBytesMax + windows.length * 32 * KIB);
    expect(windows.at(-1)!.messages).toBeGreaterThan(0);
  });

  it('is free again when consumers are gone, however often they say so', () => {
    const budget = new AheadBudget(LIMITS);
    const windows = Array.from({ length: 32 }, () => budget.open());
    for (const window of [...windows, ...windows]) window.close();
    const next = budget.open();
    for (let i = 0; i < 10; i++) next.grow();
    expect(next.bytes).toBe(LIMITS.bytesMax);
  });
});
