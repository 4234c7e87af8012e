import { describe, expect, it } from 'vitest';
import { begin, Client, countOf, gateway } from '../../support/session-client.ts';

describe('consuming', () => {
  const fill = async (client: Client, count: number, body = 'x'): Promise<void> => {
    await client.declare('q');
    for (let i = 0; i < count; i++) client.publish('q', `${i}${body}`);
    await gateway.settle();
  };

  it('goes no further ahead of the socket than the bound, and on with every flush, to the last message', async () => {
    for (const size of [1, 200, 5_000]) {
      begin();
      const client = await Client.connect();
      await fill(client, 60, '.'.repeat(size));
      await client.consume('q', 1);
      let before = -1;
      while (before < client.taken.length) {
        const ahead = client.taken.length - Math.max(0, before);
        expect(ahead).toBeLessThanOrEqual(Math.max(1, Math.min(10, Math.ceil(1_000 / size))));
        before = client.taken.length;
        await client.flush();
      }
      expect(client.taken.map(({ number }) => number)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
    }
  });

  it('settles what is acknowledged automatically when it leaves for the socket, not before', async () => {
    const client = await Client.connect();
    await fill(client, 5);
    await client.consume('q', 1, { autoAck: true });
    expect(gateway.machine('shard').overview().messages).toMatchObject({ checkedOut: 5, settled: 0 });
    await client.flush();
    expect(gateway.machine('shard').overview().messages).toMatchObject({ checkedOut: 0, settled: 5 });
  });

  it('holds a prefetch, changed or not, until something is settled', async () => {
    const client = await Client.connect();
    await fill(client, 8);
    client.session.setPrefetch('consumer', 2);
    await client.consume('q', 1);
    await client.flush();
    expect(client.taken).toHaveLength(2);
    client.session.setWindow(1, 3);
    await gateway.settle();
    expect(client.taken).toHaveLength(3);
    client.session.settle(1, 1, 2, 'settle');
    await gateway.settle();
    expect(client.taken).toHaveLength(5);
  });

  it('shares a prefetch of its session: so many messages are with the client, whoever takes them', async () => {
    const client = await Client.connect();
    await fill(client, 20);
    client.session.setPrefetch('session', 4);
    await client.consume('q', 1);
    await client.flush();
    expect(client.taken).toHaveLength(4);
    await client.consume('q', 2);
    await client.flush();
    expect(client.taken).toHaveLength(4);
    client.session.settle(1, 1, 3, 'settle');
    await gateway.settle();
    await client.flush();
    expect(client.taken.map(({ handle }) => handle).slice(4)).toContain(2);
    expect(client.taken).toHaveLength(7);
  });

  it('keeps a prefetch of its session that is smaller than the number of its consumers', async () => {
    const client = await Client.connect();
    await fill(client, 6);
    client.session.setPrefetch('session', 1);
    for (const handle of [1, 2, 3]) await client.consume('q', handle);
    await client.flush();
    const seen: string[] = [];
    while (seen.length < client.taken.length) {
      expect(client.taken).toHaveLength(seen.length + 1);
      const { handle, number, body } = client.taken.at(-1)!;
      seen.push(body);
      client.session.settle(handle, number, number, 'settle');
      await gateway.settle();
      await client.flush();
    }
    expect(seen).toHaveLength(6);
    expect(new Set(seen).size).toBe(6);
  });

  it('neither counts automatic acknowledgements in the prefetch of its session, nor shares it with them', async () => {
    const client = await Client.connect();
    await fill(client, 5);
    client.session.setPrefetch('session', 2);
    await client.consume('q', 1, { autoAck: true });
    await client.flush();
    expect(client.taken).toHaveLength(5);
    await client.declare('other');
    await client.consume('other', 2);
    for (const body of ['a', 'b', 'c']) client.publish('other', body);
    await gateway.settle();
    expect(client.taken.slice(5).map(({ body }) => body)).toEqual(['a', 'b']);
  });

  it('keeps back what is acknowledged automatically while the client has all that the prefetch allows', async () => {
    const client = await Client.connect();
    await fill(client, 1);
    client.session.setPrefetch('session', 1);
    await client.consume('q', 1);
    await client.declare('other');
    await client.consume('other', 2, { autoAck: true });
    for (const body of ['a', 'b', 'c', 'd']) client.publish('other', body);
    await client.flush();
    expect(client.taken).toHaveLength(1);
    client.publish('q', 'next');
    await gateway.settle();
    client.session.settle(1, 1, 1, 'settle');
    await client.flush();
    expect(client.taken.map(({ body }) => body)).toEqual(['0x', 'a', 'b', 'c', 'd', 'next']);
    client.publish('other', 'e');
    client.publish('other', 'f');
    await client.flush();
    // Not handed over is not acknowledged.
    await gateway.answer(client.session.cancel(2));
    await client.flush();
    expect(client.taken).toHaveLength(6);
    expect(await countOf('other')).toBe('2/0');
  });

  it('hands replies over whatever the prefetch of its session allows', async () => {
    const client = await Client.connect();
    await fill(client, 1);
    client.session.setPrefetch('session', 1);
    await client.consume('q', 1);
    const replies = await gateway.answer(client.session.consumeReplies({ consumer: 2, tag: '' }));
    if (!replies.ok) throw new Error(replies.error.code);
    client.publish(replies.value.queue, 'reply');
    await gateway.settle();
    expect(client.taken.map(({ body }) => body)).toEqual(['0x', 'reply']);
  });

  it('gives back what waited for the prefetch of its session when the consumer is cancelled', async () => {
    const client = await Client.connect();
    await fill(client, 4);
    client.session.setPrefetch('session', 1);
    await client.consume('q', 1);
    await client.consume('q', 2);
    await client.flush();
    expect(await countOf('q')).toBe('2/2');
    await gateway.answer(client.session.cancel(2));
    await gateway.settle();
    expect(await countOf('q')).toBe('3/1');
    client.session.settle(1, 1, 1, 'settle');
    await gateway.settle();
    await client.flush();
    expect(client.taken).toHaveLength(2);
  });

  it('ends with a cancellation: what is unsettled can be settled, and then the shard forgets the consumer', async () => {
    const client = await Client.connect();
    await fill(client, 3);
    await client.consume('q', 1, { window: 2 });
    await gateway.answer(client.session.cancel(1));
    client.session.settle(1, 1, 1, 'return');
    client.session.settle(1, 2, 2, 'settle');
    await gateway.settle();
    expect(await countOf('q')).toBe('2/0');
    expect(client.taken).toHaveLength(2);
    expect(gateway.machine('shard').consumersOf(gateway.self.node, gateway.self.incarnation)).toEqual([]);
  });

  it('leaves nothing behind when a consumer with automatic acknowledgement is cancelled before its last flush', async () => {
    const client = await Client.connect();
    await fill(client, 3);
    await client.consume('q', 1, { autoAck: true });
    await gateway.answer(client.session.cancel(1));
    await client.flush();
    await gateway.settle();
    expect(await countOf('q')).toBe('0/0');
    expect(gateway.machine('shard').consumersOf(gateway.self.node, gateway.self.incarnation)).toEqual([]);
  });

  it('is cancelled with its queue, once', async () => {
    const client = await Client.connect();
    await fill(client, 1);
    await client.consume('q', 4);
    const other = await Client.connect();
    await gateway.answer(other.session.deleteQueue({ name: 'q', ifUnused: false, ifEmpty: false }));
    await gateway.settle();
    expect(client.cancelled).toEqual([4]);
    client.session.settle(4, 1, 1, 'settle');
    await gateway.answer(client.session.cancel(4));
    expect(client.cancelled).toEqual([4]);
  });

  it('refuses a consumer tag that no protocol could carry', async () => {
    const client = await Client.connect();
    await client.declare('q');
    const consumed = client.session.consume({
      queue: 'q',
      consumer: 1,
      tag: 'x'.repeat(100_000),
      autoAck: false,
      exclusive: false,
      arguments: new Map(),
      window: undefined,
    });
    expect(await consumed).toMatchObject({ ok: false, error: { code: 'invalid' } });
  });

  it('refuses a second consumer where one is exclusive, and leaves nothing of it', async () => {
    const client = await Client.connect();
    await fill(client, 1);
    expect(await client.consume('q', 1, { exclusive: true })).toEqual({ ok: true, value: undefined });
    expect(await client.consume('q', 2)).toMatchObject({ ok: false, error: { code: 'exclusive-consumer' } });
    await gateway.answer(client.session.cancel(1));
    expect(await client.consume('q', 3)).toEqual({ ok: true, value: undefined });
  });
});

describe('what is settled', () => {
  it('is known when the homes have decided everything before', async () => {
    const client = await Client.connect();
    await client.declare('q');
    client.publish('q', 'one', { isConfirmed: false });
    await client.consume('q', 1);
    client.publish('q', 'two');
    client.session.settle(1, 1, 1, 'settle');
    gateway.stalled.add('shard');
    let isSettled = false;
    void client.session.settled().then(() => {
      isSettled = true;
    });
    await gateway.settle();
    expect(isSettled).toBe(false);
    gateway.stalled.clear();
    await gateway.settle();
    expect(isSettled).toBe(true);
    expect(client.confirms).toEqual(['+1-1']);
    await gateway.answer(client.connection.close());
    expect(await countOf('q')).toBe('1/0');
  });

  it('is known at once when nothing was asked', async () => {
    const client = await Client.connect();
    await gateway.answer(client.session.settled());
  });
});

describe('a queue for replies', () => {
  const asked = async () => {
    const client = await Client.connect();
    const result = await gateway.answer(client.session.consumeReplies({ consumer: 1, tag: 'replies' }));
    if (!result.ok) throw new Error(result.error.code);
    return { client, queue: result.value.queue };
  };

  it('brings what anybody publishes to its name, and is otherwise not to be found', async () => {
    const { client, queue } = await asked();
    expect(queue).toMatch(/^amq\.rabbitmq\.reply-to\.warren\..{22}==$/);
    const server = await Client.connect();
    expect(server.publish(queue, 'answer')).toBe('routed');
    await gateway.settle();
    expect(client.taken.map(({ body }) => body)).toEqual(['answer']);
    expect(await countOf(queue)).toBe('0/1');
    for (const { session } of [client, server]) {
      expect(await gateway.answer(session.purgeQueue(queue))).toMatchObject({ error: { code: 'no-queue' } });
      const binding = { queue, exchange: 'amq.topic', routingKey: '', arguments: new Map() };
      expect(await gateway.answer(session.bindQueue(binding))).toMatchObject({ error: { code: 'no-queue' } });
    }
  });

  it.each(['cancel', 'close'] as const)('goes with its consumer: %s', async how => {
    const { client, queue } = await asked();
    if (how === 'cancel') await gateway.answer(client.session.cancel(1));
    else await gateway.answer(client.connection.close());
    await gateway.settle();
    const server = await Client.connect();
    // The cluster takes the name away once the home has deleted the queue; this gateway does so for a closed connection only.
    expect(server.publish(queue, 'too late')).toBe(how === 'close' ? 'unroutable' : 'routed');
    await gateway.settle();
    expect(client.taken).toEqual([]);
    expect(gateway.machine('volatile').overview().queues).toEqual([]);
  });
});
