import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Marks that the simulated cluster cannot reach by construction, and why; `test/unit/reached-elsewhere.test.ts` reaches them. */
export const REACHED_ELSEWHERE: Readonly<Record<string, string>> = {
  'client.abandoned':
    'the simulated node puts a new gateway in the place of the old one and asks nothing of that any more',
  'client.delivery-missed':
    'its streams lose what they carry only with the connection, and then the client attaches anew',
  'client.unknown-consumer-cancelled': 'only a shard that broke its word forgets a consumer that it has confirmed',
  'leader.delivery-waits-for-network': 'its streams take whatever they are given',
  'raft.fetch-failed': 'a journal that cannot read an entry which was committed stops the node',
  'shard.expiries-left-over': 'ten thousand messages would have to expire at once',
  'shard.due-queues-left-over': 'something would have to be due in a thousand queues at once',
};

/** The names of all marks (`reached('...')`) in the sources below `folder`, sorted. */
export function marksIn(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    entry => entry.isFile() && entry.name.endsWith('.ts'),
  );
  const marks = new Set<string>();
  for (const { parentPath, name } of files) {
    for (const [, mark] of readFileSync(join(parentPath, name), 'utf8').matchAll(/\breached\('([^']+)'\)/g))
      marks.add(mark!);
  }
  return [...marks].sort();
}

/** Those of `marks` that the simulation should have reached and did not. */
export const unreachedMarks = (marks: readonly string[], reached: ReadonlyMap<string, number>): string[] =>
  marks.filter(mark => !reached.has(mark) && !(mark in REACHED_ELSEWHERE));
