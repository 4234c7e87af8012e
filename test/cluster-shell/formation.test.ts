import { describe, expect, it } from 'vitest';
import { ShellCluster } from './shell-cluster.ts';

const clusterIds = (cluster: ShellCluster): (string | undefined)[] =>
  cluster.running().map(node => node.cluster?.replicas.metadata.machine.clusterId);

describe('three empty nodes', () => {
  it('form one cluster though two of them cannot reach each other, and serve once all links are there', async () => {
    const cluster = new ShellCluster();
    cluster.network.cut('node-0', 'node-2', 0);
    for (const name of cluster.names) cluster.start(name);
    await cluster.world.until('all are members', () => cluster.running().every(node => node.cluster !== undefined));
    cluster.healAll();
    await cluster.allReady();
    expect(new Set(clusterIds(cluster)).size).toBe(1);
    expect(cluster.running().map(node => node.refusal)).toEqual([undefined, undefined, undefined]);
  });

  it.each(['node-0', 'node-1', 'node-2'])('form one cluster though %s restarts while they do', async restarted => {
    for (let afterMs = 0; afterMs < 20; afterMs += 1) {
      const cluster = new ShellCluster({ seed: 100 + afterMs });
      cluster.network.delayMsMax = 5;
      for (const name of cluster.names) cluster.start(name);
      await cluster.world.run(afterMs);
      cluster.kill(restarted);
      await cluster.world.run(afterMs);
      cluster.start(restarted);
      await cluster.allReady();
      expect(new Set(clusterIds(cluster)).size).toBe(1);
    }
  });

  it('form one cluster whatever order their links come and go in', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const cluster = new ShellCluster({ seed });
      const random = cluster.random.fork('links');
      const pairs = [
        ['node-0', 'node-1'],
        ['node-0', 'node-2'],
        ['node-1', 'node-2'],
      ] as const;
      for (const [a, b] of pairs) cluster.network.cut(a, b, 0);
      for (const name of cluster.names) cluster.start(name);
      for (let i = 0; i < 8; i++) {
        await cluster.world.run(random.integer(0, 10));
        const [a, b] = pairs[random.integer(0, 2)]!;
        if (random.next() < 0.5) cluster.network.heal(a, b);
        else cluster.network.cut(a, b, random.integer(0, 5));
      }
      cluster.healAll();
      await cluster.allReady();
      expect(new Set(clusterIds(cluster)).size).toBe(1);
    }
  });

  it('never form a second cluster with a data directory that came later', async () => {
    const cluster = new ShellCluster();
    cluster.network.cut('node-0', 'node-2', 0);
    cluster.start('node-0');
    cluster.start('node-1');
    await cluster.world.run(50);
    // What node-1 finds out with node-2 does not reach node-0 yet, and node-2 loses its disk meanwhile.
    cluster.network.cut('node-0', 'node-1', 100_000);
    cluster.start('node-2');
    await cluster.world.until('node-1 is a member', () => cluster.node('node-1').cluster !== undefined);
    cluster.kill('node-2');
    cluster.replaceDisk('node-2');
    cluster.start('node-2');
    await cluster.world.run(1_000);
    cluster.healAll();
    await cluster.world.run(20_000);
    expect(new Set(clusterIds(cluster).filter(id => id !== undefined)).size).toBe(1);
    expect(cluster.node('node-0').cluster).toBeDefined();
    expect(cluster.node('node-2').cluster).toBeUndefined();
  });
});
