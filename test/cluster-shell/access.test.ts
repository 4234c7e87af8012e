import { describe, expect, it } from 'vitest';
import type { BrokerConnection, ConnectionListener } from '../../src/broker/broker.ts';
import type { NodeSession } from '../../src/cluster/node-session.ts';
import { ShellCluster } from './shell-cluster.ts';
import type { ShellNode } from './shell-node.ts';

const ALL = { configure: '.*', write: '.*', read: '.*' };
const LISTENER: ConnectionListener = { held: () => {}, resumed: () => {}, closed: () => {}, dismissed: () => {} };

const sessionOf = (node: ShellNode): NodeSession => node.cluster!.session!;
const machineOf = (node: ShellNode) => node.cluster!.replicas.metadata.machine;

async function withVhost(cluster: ShellCluster, vhost: string, queues: number): Promise<void> {
  const session = sessionOf(cluster.node('node-0'));
  const ask = async (what: string, promise: Promise<unknown>): Promise<void> => {
    expect(await cluster.world.answer(what, promise)).toMatchObject({ ok: true });
  };
  await ask('vhost', session.changeAccess({ kind: 'put-vhost', vhost, description: '', tags: [] }));
  await ask('permissions', session.changeAccess({ kind: 'set-permissions', user: 'guest', vhost, ...ALL }));
  const flags = { exclusive: false, autoDelete: false, arguments: new Map(), serverNamed: false };
  const owner = { ...session.self, connection: 1 };
  for (let i = 0; i < queues; i++) {
    const durable = i % 4 > 0;
    await ask('queue', session.declareQueue({ vhost, name: `q-${i}`, durable, ...flags, owner }));
  }
}

/** The connection, or the code of the refusal. */
async function connectTo(cluster: ShellCluster, node: string, vhost: string): Promise<BrokerConnection | string> {
  const request = { user: 'guest', vhost, protocol: 'shell', peerAddress: '', clientName: undefined };
  const connecting = cluster.node(node).broker.connect(request, LISTENER);
  const connected = await cluster.world.answer('connect', connecting);
  return connected.ok ? connected.value : connected.error.code;
}

describe('a vhost that is deleted', () => {
  it('goes with all its queues, in the shards and in memory, on all nodes', async () => {
    const cluster = await ShellCluster.formed();
    await withVhost(cluster, 'test', 30);
    const session = sessionOf(cluster.node('node-1'));
    expect(await cluster.world.answer('deletion', session.deleteVhost('test'))).toMatchObject({ ok: true });
    for (const node of cluster.running()) {
      expect(machineOf(node).topology.hasVhost('test')).toBe(false);
      expect(machineOf(node).topology.queueCount).toBe(0);
      expect(
        machineOf(node)
          .access.vhosts()
          .map(({ vhost }) => vhost),
      ).toEqual(['/']);
    }
    const queuesInShards = (): number =>
      cluster
        .running()
        .flatMap(node => [...node.cluster!.replicas.shards()])
        .reduce((count, { machine }) => count + machine.overview().queues.length, 0);
    await cluster.world.until('the shards have deleted the queues', () => queuesInShards() === 0);
  });

  it('goes to its end when the node that carries it on dies', async () => {
    const cluster = await ShellCluster.formed();
    await withVhost(cluster, 'test', 40);
    const leader = cluster.leaderOf()!;
    const other = cluster.running().find(node => node.name !== leader.name)!;
    const deleting = sessionOf(other).deleteVhost('test');
    await cluster.world.until('it has begun', () => machineOf(leader).topology.queueCountIn('test') < 40);
    expect(machineOf(leader).topology.queueCountIn('test')).toBeGreaterThan(0);
    cluster.kill(leader.name);
    expect(await cluster.world.answer('deletion', deleting)).toMatchObject({ ok: true });
    expect(machineOf(other).topology.hasVhost('test')).toBe(false);
  });

  it('lets nobody in from the first moment, and its name is free when it is gone', async () => {
    const cluster = await ShellCluster.formed();
    await withVhost(cluster, 'test', 10);
    const session = sessionOf(cluster.node('node-0'));
    const deleting = session.deleteVhost('test');
    await cluster.world.until('it has begun', () => session.access.leavingVhosts().length > 0);
    expect(await connectTo(cluster, 'node-0', 'test')).toBe('no-vhost');
    await cluster.world.answer('deletion', deleting);
    await withVhost(cluster, 'test', 1);
    expect(machineOf(cluster.node('node-2')).topology.queueCountIn('test')).toBe(1);
  });
});

it('counts the connections of all nodes for a limit, and those of a dead node no longer', async () => {
  const cluster = await ShellCluster.formed();
  await withVhost(cluster, 'test', 0);
  for (const node of ['node-1', 'node-2']) expect(await connectTo(cluster, node, 'test')).toBeTypeOf('object');
  const session = sessionOf(cluster.node('node-0'));
  const limits = { connectionsMax: 2, queuesMax: undefined };
  await cluster.world.answer('limit', session.changeAccess({ kind: 'set-vhost-limits', vhost: 'test', limits }));
  await cluster.world.run(200);
  expect(await connectTo(cluster, 'node-0', 'test')).toBe('access-refused');
  cluster.kill('node-2');
  await cluster.world.until('the death is noticed', () => session.load.total('vhost-connections', 'test') === 1);
  expect(await connectTo(cluster, 'node-0', 'test')).toBeTypeOf('object');
  expect(await connectTo(cluster, 'node-0', 'test')).toBe('access-refused');
});

it('answers a change when it holds on every node that may route', async () => {
  const cluster = await ShellCluster.formed();
  for (let round = 0; round < 10; round++) {
    const user = `user-${round}`;
    const session = sessionOf(cluster.node(`node-${round % 3}`));
    const change = { kind: 'put-user', user, mustBeNew: true, password: 'none', tags: [] } as const;
    await cluster.world.answer('user', session.changeAccess(change));
    for (const node of cluster.running()) expect(machineOf(node).access.user(user)).toBeDefined();
  }
});
