import { describe, expect, it } from 'vitest';
import { queueId } from '../../../src/lib/ids.ts';
import { Settlement } from '../../../src/queue/commands.ts';
import { ShardMachine } from '../../../src/queue/shard-machine.ts';
import {
  ALICE,
  consume,
  declare,
  dump,
  enqueue,
  expectEqualPages,
  pagesOf,
  ShardDriver,
  settle,
} from '../../support/shard-driver.ts';

/** Kinds and spaces of the pages that changed since the last checkpoint, which this call completes. */
function changedPages(driver: ShardDriver): { kind: number; space: number; isGone: boolean }[] {
  const cut = driver.machine.cut('changes', { term: 1, index: driver.index });
  const pages = pagesOf(cut);
  cut.completed();
  return pages.map(({ key, bytes }) => ({ kind: key.kind, space: key.space, isGone: bytes === undefined }));
}

const spacesOf = (pages: readonly { readonly space: number }[]): number[] =>
  [...new Set(pages.map(({ space }) => space))].sort((a, b) => a - b);

describe('an incremental checkpoint', () => {
  it('writes only queues that changed, and full chunks only once', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(queueId(1)), declare(queueId(2)));
    for (let i = 0; i < 9; i++) driver.run(ALICE, ...Array.from({ length: 1_000 }, () => enqueue('a', queueId(1))));
    expect(changedPages(driver).filter(({ kind }) => kind === 17).length).toBe(3);
    driver.run(ALICE, enqueue('b', queueId(1)));
    const changed = changedPages(driver);
    expect(spacesOf(changed)).toEqual([0, 1]);
    expect(changed.filter(({ kind }) => kind === 17).length).toBe(1);
  });

  it('tells of pages that are gone, but not of those that came and went since the last one', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(queueId(1)), consume(1, { queue: queueId(1) }));
    for (let i = 0; i < 5; i++) driver.run(ALICE, ...Array.from({ length: 1_000 }, () => enqueue('a', queueId(1))));
    changedPages(driver);
    driver.run(ALICE, settle(Settlement.settle, 1, 1, 5_000));
    expect(changedPages(driver).filter(({ kind, isGone }) => kind === 17 && isGone).length).toBe(1);
    for (let i = 0; i < 5; i++) driver.run(ALICE, ...Array.from({ length: 1_000 }, () => enqueue('a', queueId(1))));
    driver.run(ALICE, settle(Settlement.settle, 1, 5_001, 10_000));
    expect(changedPages(driver).filter(({ isGone }) => isGone).length).toBeLessThanOrEqual(2);
  });

  it('shows the state as it was cut, while the machine goes on', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), enqueue('a'), enqueue('b'));
    const at = { term: 1, index: driver.index };
    const expected = dump(driver.machine, driver.index);
    const cut = driver.machine.cut('all', at);
    const pages = [...cut.nextPages(1)];
    driver.run(ALICE, consume(1), enqueue('c'));
    pages.push(...pagesOf(cut));
    cut.completed();
    const restored = ShardMachine.restore(pages, at);
    expectEqualPages(dump(restored, at.index), expected);
  });

  it('keeps nothing for an idle queue but its header', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1), enqueue('a'), settle(Settlement.settle, 1, 1, 1));
    const bytes = dump(driver.machine, driver.index).reduce((sum, page) => sum + page.bytes!.length, 0);
    expect(bytes).toBeLessThan(1_000);
  });
});
