import { crc32 } from '../../../src/lib/crc32.ts';
import type { LogIndex } from '../../../src/lib/ids.ts';
import type { ShardMachine } from '../../../src/queue/shard-machine.ts';
import type { Page } from '../../../src/raft/checkpoint.ts';

/** The whole state in its canonical encoding. */
export function pagesOf(machine: ShardMachine, index: LogIndex): Page[] {
  const cut = machine.cut('all', { term: 0, index });
  const pages = [...cut.nextPages(Number.POSITIVE_INFINITY)];
  cut.completed();
  return pages.sort(inOrder);
}

export const inOrder = (a: Page, b: Page): number =>
  a.key.space - b.key.space || a.key.kind - b.key.kind || a.key.number - b.key.number;

export function checksumOf(pages: readonly Page[]): number {
  let checksum = 0;
  for (const { key, bytes } of pages) {
    checksum = crc32(bytes!, (Math.imul(checksum, 31) + key.space * 1_000 + key.kind * 100 + key.number) >>> 0);
  }
  return checksum;
}
