import { describe, expect, it } from 'vitest';
import { ShellCluster } from './shell-cluster.ts';

/** More than fits into an entry. */
const LARGE = 'x'.repeat(700_000);
const numbered = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

describe('a cluster of three', () => {
  it('forms once all configured nodes are there, and not before', async () => {
    const cluster = new ShellCluster();
    cluster.start('node-0');
    cluster.start('node-1');
    await cluster.world.run(5_000);
    expect(cluster.running().map(node => node.cluster)).toEqual([undefined, undefined]);
    cluster.start('node-2');
    await cluster.allReady();
    const ids = cluster.running().map(node => node.cluster!.replicas.metadata.machine.clusterId);
    expect(new Set(ids).size).toBe(1);
  });

  it('tells a client that a queue is declared and bound when it is so for every client on every node', async () => {
    const cluster = await ShellCluster.formed();
    const clients = await Promise.all(cluster.names.map(name => cluster.client(name)));
    for (let round = 0; round < 5; round++) {
      for (const declaring of clients) {
        const queue = `q-${round}-${declaring.node.name}`;
        expect(await declaring.declare(queue)).toMatchObject({ ok: true });
        for (const other of clients) expect(other.publish(queue, 'to the queue')).toBeTypeOf('number');
        expect(await declaring.bind(queue, 'amq.direct', queue)).toMatchObject({ ok: true });
        for (const other of clients) expect(other.publish(queue, 'bound', 'amq.direct')).toBeTypeOf('number');
        await cluster.world.until('all are confirmed', () => clients.every(other => other.unanswered === 0));
        for (const other of clients) expect(await other.count(queue)).toBe(6);
      }
    }
  });

  it('does not wait for a node that is gone when it answers a change', async () => {
    const cluster = await ShellCluster.formed();
    const leader = cluster.leaderOf()!;
    const gone = cluster.names.find(name => name !== leader.name)!;
    cluster.kill(gone);
    const client = await cluster.client(leader.name);
    const before = cluster.world.nowMs;
    expect(await client.declare('q')).toMatchObject({ ok: true });
    expect(cluster.world.nowMs - before).toBeLessThan(500);
  });

  it('carries messages from any node to any node, in order, and confirms them', async () => {
    const cluster = await ShellCluster.formed();
    const clients = await Promise.all(cluster.names.map(name => cluster.client(name)));
    for (const to of clients) {
      for (const from of clients) {
        const queue = `${from.node.name}-${to.node.name}`;
        await from.declare(queue);
        await to.consume(queue, to.received.length + 1);
        const sent = numbered(`${queue}/`, 50);
        for (const body of sent) from.publish(queue, body);
        await cluster.world.until('all are confirmed', () => from.unanswered === 0);
        await cluster.world.until('all arrive', () => to.bodies.at(-1) === sent.at(-1));
        expect(to.bodies.slice(-50)).toEqual(sent);
        for (const received of to.received.slice(-50)) to.settle(received);
        await cluster.world.run(100);
        expect(await from.count(queue)).toBe(0);
      }
    }
    expect(clients.map(client => client.rejectedNumbers.size)).toEqual([0, 0, 0]);
  });

  it('gives a message larger than an entry back as it was, on every node', async () => {
    const cluster = await ShellCluster.formed();
    const publisher = await cluster.client('node-0');
    await publisher.declare('q');
    for (const name of cluster.names) {
      publisher.publish('q', LARGE);
      await cluster.world.until('it is confirmed', () => publisher.unanswered === 0);
      const client = await cluster.client(name);
      const got = await client.get('q', true);
      expect(typeof got !== 'string' && got.body === LARGE && !got.redelivered).toBe(true);
      expect(await client.get('q')).toBe('empty');
    }
  });

  it('answers get with a message that is settled or comes back', async () => {
    const cluster = await ShellCluster.formed();
    for (const name of cluster.names) {
      const client = await cluster.client(name);
      await client.declare('q');
      expect(await client.get('q')).toBe('empty');
      client.publish('q', 'one');
      const got = await client.get('q');
      expect(got).toMatchObject({ body: 'one', redelivered: false });
      if (typeof got === 'string') throw new Error(got);
      client.settle(got, 'return');
      const again = await client.get('q');
      expect(again).toMatchObject({ body: 'one', redelivered: true });
      if (typeof again === 'string') throw new Error(again);
      client.settle(again);
      expect(await client.get('q')).toBe('empty');
    }
  });
});

describe('when the leader of a shard stops', () => {
  it('takes each publish once, confirms all of them, and goes on with living consumers where they were', async () => {
    const cluster = await ShellCluster.formed();
    const declaring = await cluster.client('node-0');
    await declaring.declare('q');
    const leader = cluster.leaderOf(cluster.homeOf('q'))!;
    const [first, second] = cluster.names.filter(name => name !== leader.name);
    const publisher = await cluster.client(first!);
    const consumer = await cluster.client(second!);
    consumer.onDelivery = received => consumer.settle(received);
    await consumer.consume('q', 1);
    const sent = numbered('m', 600);
    for (const [i, body] of sent.entries()) {
      publisher.publish('q', body);
      if (i % 3 === 0) await cluster.world.run(1);
      if (i === 300) cluster.kill(leader.name);
    }
    await cluster.world.until('all are confirmed', () => publisher.unanswered === 0);
    await cluster.world.until('all arrive', () => consumer.received.length >= sent.length);
    await cluster.world.run(1_000);
    expect(publisher.rejectedNumbers.size).toBe(0);
    expect(consumer.bodies).toEqual(sent);
    expect(consumer.received.some(({ redelivered }) => redelivered)).toBe(false);
    expect(await publisher.count('q')).toBe(0);
  });

  it('keeps what was confirmed when all nodes are killed at once', async () => {
    const cluster = await ShellCluster.formed();
    const publisher = await cluster.client('node-1');
    await publisher.declare('q');
    const sent = numbered('m', 200);
    for (const body of sent) {
      publisher.publish('q', body);
      await cluster.world.run(0.3);
    }
    const confirmed = sent.slice(0, publisher.confirmedNumbers.size);
    expect(confirmed.length).toBeGreaterThan(0);
    for (const name of cluster.names) cluster.kill(name);
    for (const name of cluster.names) cluster.start(name);
    await cluster.allReady();
    const consumer = await cluster.client('node-2');
    consumer.onDelivery = received => consumer.settle(received);
    await consumer.consume('q', 1);
    await cluster.world.run(2_000);
    expect(consumer.bodies).toEqual(sent.slice(0, consumer.bodies.length));
    expect(consumer.bodies.length).toBeGreaterThanOrEqual(confirmed.length);
  });

  it('goes on deleting the name of a queue that the stopped leader had deleted', async () => {
    const cluster = await ShellCluster.formed();
    const client = await cluster.client('node-0');
    await client.declare('q', { autoDelete: true });
    await client.consume('q', 1);
    const leader = cluster.leaderOf(cluster.homeOf('q'))!;
    void client.session.cancel(1);
    const { driver } = leader.cluster!.replicas.shard(cluster.homeOf('q'))!;
    const before = driver.applied.index;
    await cluster.world.until('the shard has deleted the queue', () => driver.applied.index > before);
    cluster.kill(leader.name);
    const other = await cluster.client(cluster.names.find(name => name !== leader.name)!);
    await cluster.world.run(5_000);
    expect(await other.count('q')).toBe('no-queue');
  });
});

describe('a node that is cut off', () => {
  it('stops routing within its lease, gives its clients up before it is fenced, and starts anew when it is back', async () => {
    const cluster = await ShellCluster.formed();
    const alone = cluster.names.find(name => name !== cluster.leaderOf()!.name)!;
    const other = cluster.names.find(name => name !== alone)!;
    const client = await cluster.client(alone);
    const cutAtMs = cluster.world.nowMs;
    cluster.isolate(alone, 1_000);
    await cluster.world.until('its publishers are held', () => client.isHeld);
    expect(cluster.world.nowMs - cutAtMs).toBeLessThan(2_100);
    const members = () => cluster.node(other).cluster!.replicas.metadata.machine.members;
    await cluster.world.until('its clients are given up', () => client.closedReason !== undefined);
    expect(members().fencedThrough(cluster.idOf(alone))).toBe(0);
    await cluster.world.until('it is fenced', () => members().fencedThrough(cluster.idOf(alone)) === 1);
    expect(cluster.world.nowMs - cutAtMs).toBeLessThan(12_000);
    cluster.healAll();
    await cluster.allReady();
    const anew = await cluster.client(alone);
    await cluster.world.until('its clients may publish again', () => anew.connection.mayPublish, 100);
  });

  it('misses no binding: a change is answered only when the silent node can no longer route by what it knew', async () => {
    const cluster = await ShellCluster.formed();
    const alone = cluster.names.find(name => name !== cluster.leaderOf()!.name)!;
    const client = await cluster.client(cluster.names.find(name => name !== alone)!);
    const silent = await cluster.client(alone);
    await client.declare('q');
    cluster.isolate(alone, 60_000);
    expect(await client.bind('q', 'amq.fanout', '')).toMatchObject({ ok: true });
    expect(cluster.node(alone).hold()).toMatchObject({ kind: 'no-routing-lease' });
    expect(silent.connection.mayPublish).toBe(false);
  });

  it('routes nothing by what it knew before its event loop stood still', async () => {
    const cluster = await ShellCluster.formed();
    const stalled = cluster.names.find(name => name !== cluster.leaderOf()!.name)!;
    const client = await cluster.client(stalled);
    expect(client.connection.mayPublish).toBe(true);
    cluster.world.pause(cluster.node(stalled).life);
    await cluster.world.run(3_000);
    expect(client.connection.mayPublish).toBe(false);
    expect(client.isHeld).toBe(true);
    cluster.world.resume(cluster.node(stalled).life);
    await cluster.world.until('its publishers go on', () => !client.isHeld);
    expect(client.connection.mayPublish).toBe(true);
  });

  it('loses the messages of its consumers to others, marked as redelivered, and cannot settle them any more', async () => {
    const cluster = await ShellCluster.formed();
    const client = await cluster.client('node-0');
    await client.declare('q');
    const leader = cluster.leaderOf(cluster.homeOf('q'))!.name;
    const alone = cluster.names.find(name => name !== leader && name !== cluster.leaderOf()!.name)!;
    const publisher = await cluster.client(leader);
    const silent = await cluster.client(alone);
    await silent.consume('q', 1, { window: 5 });
    for (const body of numbered('m', 10)) publisher.publish('q', body);
    await cluster.world.until('five arrive', () => silent.received.length === 5);
    const heir = await cluster.client(leader);
    heir.onDelivery = received => heir.settle(received);
    await heir.consume('q', 1);
    await cluster.world.until('the rest arrives elsewhere', () => heir.received.length === 5);
    cluster.world.pause(cluster.node(alone).life);
    await cluster.world.until('its messages arrive elsewhere', () => heir.received.length === 10);
    expect(heir.received.slice(5)).toMatchObject(silent.received.map(({ body }) => ({ body, redelivered: true })));
    cluster.world.resume(cluster.node(alone).life);
    for (const received of silent.received) silent.settle(received);
    await cluster.world.until('it has given its client up', () => silent.closedReason !== undefined);
    await cluster.allReady();
    expect(silent.received).toHaveLength(5);
    expect(await publisher.count('q')).toBe(0);
  });

  it('never confirms what nobody but itself may have', async () => {
    const cluster = await ShellCluster.formed();
    const client = await cluster.client('node-0');
    await client.declare('q');
    const alone = cluster.names.find(name => name !== cluster.leaderOf(cluster.homeOf('q'))!.name)!;
    const publisher = await cluster.client(alone);
    cluster.isolate(alone, 1_000);
    for (const body of numbered('m', 20)) publisher.publish('q', body);
    await cluster.world.until('its client is given up', () => publisher.closedReason !== undefined);
    expect(publisher.confirmedNumbers.size).toBe(0);
    cluster.healAll();
    await cluster.allReady();
    const consumer = await cluster.client(alone);
    await consumer.consume('q', 1);
    await cluster.world.run(2_000);
    expect(consumer.received).toEqual([]);
    expect(publisher.confirmedNumbers.size).toBe(0);
  });
});

describe('queues in the memory of one node', () => {
  it('serve clients everywhere, and end with their node: their consumers elsewhere are told', async () => {
    const cluster = await ShellCluster.formed();
    const host = cluster.names.find(name => name !== cluster.leaderOf()!.name)!;
    const [elsewhere, third] = cluster.names.filter(name => name !== host);
    const owner = await cluster.client(host);
    const consumer = await cluster.client(elsewhere!);
    const publisher = await cluster.client(third!);
    consumer.onDelivery = received => consumer.settle(received);
    await owner.declare('volatile', { durable: false });
    await consumer.consume('volatile', 7);
    for (const body of numbered('m', 30)) publisher.publish('volatile', body);
    await cluster.world.until('all arrive', () => consumer.received.length === 30);
    expect(consumer.bodies).toEqual(numbered('m', 30));
    await cluster.world.until('all are confirmed', () => publisher.confirmedNumbers.size === 30);
    cluster.kill(host);
    await cluster.world.until('the consumer is told', () => consumer.cancelledHandles.length > 0);
    expect(consumer.cancelledHandles).toEqual([7]);
    await cluster.world.run(100);
    expect(publisher.publish('volatile', 'too late')).toBe('unroutable');
    expect(await consumer.count('volatile')).toBe('no-queue');
  });

  it('of a connection end with it, also when it closes while they are being declared', async () => {
    const cluster = await ShellCluster.formed();
    for (const name of cluster.names) {
      const client = await cluster.client(name);
      const other = await cluster.client(name);
      await client.declare('mine', { exclusive: true });
      void client.declare('mine too', { exclusive: true });
      await client.answer('the connection closes', client.connection.close());
      expect(await other.count('mine')).toBe('no-queue');
      expect(await other.count('mine too')).toBe('no-queue');
    }
  });
});

describe('credit', () => {
  it('gives a client that reads again everything that waited meanwhile, and others their share at once', async () => {
    const cluster = await ShellCluster.formed();
    for (const name of cluster.names) {
      const queue = `q-${name}`;
      const publisher = await cluster.client('node-0');
      await publisher.declare(queue);
      const deaf = await cluster.client(name);
      deaf.isReading = false;
      await deaf.consume(queue, 1, { autoAck: true });
      for (const body of numbered('m', 200)) publisher.publish(queue, body.padEnd(900, '.'));
      await cluster.world.until('all are confirmed', () => publisher.unanswered === 0);
      await cluster.world.run(500);
      expect(deaf.received.length).toBeLessThan(20);
      deaf.isReading = true;
      deaf.flush();
      await cluster.world.until('the rest arrives', () => deaf.received.length === 200);
      await cluster.world.run(200);
      expect(await publisher.count(queue)).toBe(0);
    }
  });

  it('keeps a prefetch for the session beside those of its consumers', async () => {
    const cluster = await ShellCluster.formed();
    const client = await cluster.client('node-0');
    await client.declare('a');
    await client.declare('b');
    client.session.setPrefetch('consumer', 2);
    client.session.setPrefetch('session', 10);
    await client.consume('a', 1);
    await client.consume('b', 2);
    for (const body of numbered('m', 10)) for (const queue of ['a', 'b']) client.publish(queue, body);
    await cluster.world.run(500);
    expect(client.received).toHaveLength(4);
    client.session.setPrefetch('session', 0);
    await cluster.world.run(500);
    expect(client.received).toHaveLength(4);
  });
});

describe('a consumer that is cancelled', () => {
  it('sees nothing after the answer, and nothing of what was under way is lost', async () => {
    const cluster = await ShellCluster.formed();
    for (const name of cluster.names) {
      const queue = `q-${name}`;
      const publisher = await cluster.client('node-0');
      await publisher.declare(queue);
      const client = await cluster.client(name);
      await client.consume(queue, 1);
      const sent = numbered('m', 100);
      for (const [i, body] of sent.entries()) {
        publisher.publish(queue, body);
        if (i === 50) {
          await cluster.world.run(0.5);
          await client.answer('cancel', client.session.cancel(1));
          const seen = client.received.length;
          await cluster.world.run(200);
          expect(client.received.length).toBe(seen);
        }
      }
      for (const received of client.received) client.settle(received);
      await cluster.world.run(300);
      expect(await publisher.count(queue)).toBe(100 - client.received.length);
      const { machine } = cluster.leaderOf(cluster.homeOf(queue))!.cluster!.replicas.shard(cluster.homeOf(queue))!;
      const { node, incarnation } = client.node.cluster!.session!.self;
      expect(machine.consumersOf(node, incarnation).filter(view => view.state === 'cancelled')).toEqual([]);
    }
  });
});
