import { expect, it } from 'vitest';
import { ShellCluster } from './shell-cluster.ts';

const HOUR_MS = 3_600_000;

it("goes on with a shard's time where the last leader was, whatever the wall clocks say by then", async () => {
  const cluster = await ShellCluster.formed();
  const client = await cluster.client('node-0');
  await client.declare('q');
  const group = cluster.homeOf('q');
  const publish = async (): Promise<void> => {
    const publisher = await cluster.client(cluster.running().at(-1)!.name);
    publisher.publish('q', 'x');
    await cluster.world.until('it is confirmed', () => publisher.unanswered === 0);
  };
  const timeMs = (): number =>
    Math.max(...cluster.running().map(({ cluster: node }) => node!.replicas.shard(group)!.machine.timeMs));
  await publish();
  const before = timeMs();
  // Everybody's wall clock is set back by an hour, and the leader changes twice.
  for (const name of cluster.names) cluster.node(name).clock.wallAheadMs = -HOUR_MS;
  const startedMs = cluster.world.nowMs;
  for (let i = 0; i < 2; i++) {
    await cluster.world.run(3_000);
    const leader = cluster.leaderOf(group)!.name;
    cluster.kill(leader);
    await cluster.world.until('another leads', () => cluster.leaderOf(group) !== undefined);
    await cluster.world.run(1_000);
    await publish();
    const elapsedMs = cluster.world.nowMs - startedMs;
    expect(timeMs() - before).toBeGreaterThan(elapsedMs * 0.85);
    expect(timeMs() - before).toBeLessThan(elapsedMs * 1.1);
    cluster.start(leader).clock.wallAheadMs = -HOUR_MS;
    await cluster.allReady();
  }
});
