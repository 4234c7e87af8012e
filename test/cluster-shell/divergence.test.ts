import { expect, it } from 'vitest';
import type { LogIndex } from '../../src/lib/ids.ts';
import { HASH_MARK_ENTRIES } from '../../src/queue/limits.ts';
import { ShellCluster } from './shell-cluster.ts';
import type { ShellNode } from './shell-node.ts';

const numbered = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/** From now on this node's replica misses what the next entry does, as if its memory or its code were faulty. */
function breakNextApply(node: ShellNode, queue: string, cluster: ShellCluster): void {
  const { machine } = node.cluster!.replicas.shard(cluster.homeOf(queue))!;
  const { apply } = machine;
  machine.apply = (meta: { readonly index: LogIndex; readonly term: number }) => {
    machine.apply = apply;
    return apply.call(machine, meta, new Uint8Array(0));
  };
}

it('fills a replica again that differs from its leader, and loses nothing when that replica leads later', async () => {
  const cluster = await ShellCluster.formed();
  const publisher = await cluster.client('node-0');
  await publisher.declare('q');
  const group = cluster.homeOf('q');
  const leader = cluster.leaderOf(group)!.name;
  const faulty = cluster.names.find(name => name !== leader)!;
  const before = cluster.node(faulty).cluster!.replicas.shard(group)!.machine;
  publisher.publish('q', 'kept by all');
  await cluster.world.until('it is confirmed', () => publisher.unanswered === 0);
  await cluster.world.run(100);
  breakNextApply(cluster.node(faulty), 'q', cluster);
  const sent = numbered('m', HASH_MARK_ENTRIES + 50);
  for (const body of sent) {
    publisher.publish('q', body);
    await cluster.world.until('it is confirmed', () => publisher.unanswered === 0);
  }
  const replica = () => cluster.node(faulty).cluster!.replicas.shard(group);
  const { driver } = cluster.node(leader).cluster!.replicas.shard(group)!;
  await cluster.world.until(
    'the replica has all again',
    () =>
      replica() !== undefined &&
      replica()!.machine !== before &&
      replica()!.driver.applied.index === driver.applied.index,
  );
  expect(cluster.log.some(line => line.includes('differs from its leader'))).toBe(true);
  expect(replica()!.machine.overview().messages).toEqual(
    cluster.node(leader).cluster!.replicas.shard(group)!.machine.overview().messages,
  );

  // Its vote counts, its state serves: the leader goes, and then the third node's link to it.
  cluster.kill(leader);
  await cluster.world.until('another leads', () => cluster.leaderOf(group) !== undefined);
  if (cluster.leaderOf(group)!.name !== faulty) {
    cluster.leaderOf(group)!.cluster!.replicas.shard(group)!.driver.raft.transferLeadership(cluster.idOf(faulty));
    await cluster.world.until('it leads', () => cluster.leaderOf(group)?.name === faulty);
  }
  const consumer = await cluster.client(faulty);
  consumer.onDelivery = received => consumer.settle(received);
  await consumer.consume('q', 1);
  await cluster.world.until('all arrive', () => consumer.received.length === sent.length + 1);
  expect(consumer.bodies).toEqual(['kept by all', ...sent]);
  replica()!.machine.checkInvariants();
}, 30_000);
