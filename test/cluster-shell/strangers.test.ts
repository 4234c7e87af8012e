import { describe, expect, it } from 'vitest';
import type { GroupId } from '../../src/lib/ids.ts';
import { ShellCluster } from './shell-cluster.ts';
import type { ShellNode } from './shell-node.ts';

const holds = (node: ShellNode, group: GroupId): boolean => node.cluster!.replicas.shard(group) !== undefined;

/** A queue in a cluster of five, and the clients of nodes that have no replica of its shard. */
async function served(): Promise<{
  cluster: ShellCluster;
  home: GroupId;
  publisher: Awaited<ReturnType<ShellCluster['client']>>;
  consumer: Awaited<ReturnType<ShellCluster['client']>>;
}> {
  const cluster = await ShellCluster.formed({ nodes: 5 });
  const declaring = await cluster.client('node-0');
  await declaring.declare('q');
  const home = cluster.homeOf('q');
  const strangers = cluster.running().filter(node => !holds(node, home));
  expect(strangers).toHaveLength(2);
  const [publisher, consumer] = await Promise.all(strangers.map(({ name }) => cluster.client(name)));
  consumer!.onDelivery = received => consumer!.settle(received);
  await consumer!.consume('q', 1);
  return { cluster, home, publisher: publisher!, consumer: consumer! };
}

describe('nodes that have no replica of a shard', () => {
  it('serve its queues, and go on with whoever leads it when its leader has died', async () => {
    const { cluster, home, publisher, consumer } = await served();
    const sent: string[] = [];
    for (let round = 0; round < 3; round++) {
      const leader = cluster.leaderOf(home)!;
      for (let i = 0; i < 100; i++) {
        sent.push(`${round}/${i}`);
        publisher.publish('q', sent.at(-1)!);
        if (i % 3 === 0) await cluster.world.run(1);
        if (i === 50) cluster.kill(leader.name);
      }
      await cluster.world.until('all are confirmed', () => publisher.unanswered === 0);
      await cluster.world.until('all arrive', () => consumer.bodies.length >= sent.length);
      cluster.start(leader.name);
      await cluster.allReady();
    }
    expect(consumer.bodies).toEqual(sent);
  });

  it('hear who leads though they have nothing to say, and all links stay', async () => {
    const { cluster, home, consumer } = await served();
    const replicas = cluster.running().filter(node => holds(node, home));
    for (const next of [...replicas, ...replicas]) {
      const leader = cluster.leaderOf(home)!;
      if (leader !== next) {
        leader.cluster!.replicas.shard(home)!.driver.raft.transferLeadership(next.cluster!.self);
        await cluster.world.until('it leads', () => cluster.leaderOf(home) === next);
      }
      const body = `led by ${next.name}, ${consumer.bodies.length}`;
      (await cluster.client(next.name)).publish('q', body);
      await cluster.world.until('it arrives', () => consumer.bodies.at(-1) === body);
    }
  });

  it('come back with the links that they lost', async () => {
    const { cluster, home, publisher, consumer } = await served();
    for (const { name } of cluster.running().filter(node => holds(node, home))) {
      cluster.network.cut(publisher.node.name, name, 10);
      cluster.network.cut(consumer.node.name, name, 10);
    }
    publisher.publish('q', 'kept');
    await cluster.world.run(1_000);
    expect(publisher.unanswered).toBe(1);
    cluster.healAll();
    await cluster.world.until('it is confirmed', () => publisher.unanswered === 0);
    await cluster.world.until('it arrives', () => consumer.bodies.length === 1);
  });
});
