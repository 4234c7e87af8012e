import { beforeEach, describe, expect, it } from 'vitest';
import type {
  BrokerConnection,
  BrokerSession,
  Delivery,
  HoldReason,
  QueueDeclare,
  SessionListener,
} from '../../../src/broker/broker.ts';
import { BrokerFacade } from '../../../src/broker/broker-facade.ts';
import { BrokerService } from '../../../src/broker/broker-service.ts';
import { utf8Decode, utf8Encode } from '../../../src/lib/bytes.ts';
import { SystemPasswordHasher } from '../../../src/password-hasher.ts';
import { decodeMessageBlock } from '../../../src/queue/message-block.ts';
import { LocalGateway } from '../../support/local-gateway.ts';

const IDENTITY = { clusterName: 'c', nodeName: 'n', version: '1' };
const AHEAD = { messagesMax: 10, bytesMax: 1_000, bytesFirst: 1_000, nodeBytesMax: 1_000_000 };

let gateway: LocalGateway;
let service: BrokerService;

beforeEach(() => begin());

function begin(limits: { bytesMax?: number; commandsMax?: number } = {}): void {
  gateway = new LocalGateway(limits);
  service = new BrokerService(
    { identity: IDENTITY, bodyBytesMax: 50_000, connectionsMax: 10, loopbackUsers: ['guest'], ahead: AHEAD },
    {
      gateway,
      randomBytes: () => new Uint8Array(16),
      isLoopback: address => address === '127.0.0.1',
      passwords: new SystemPasswordHasher(),
      wallMs: () => 1_000,
    },
  );
}

interface Taken {
  readonly handle: number;
  readonly number: number;
  readonly body: string;
  readonly redelivered: boolean;
}

/** A client with one session, as an adapter keeps it. */
class Client implements SessionListener {
  connection!: BrokerConnection;
  session!: BrokerSession;
  readonly confirms: string[] = [];
  readonly taken: Taken[] = [];
  readonly cancelled: number[] = [];
  readonly holds: (HoldReason['kind'] | 'resumed')[] = [];
  closedReason: string | undefined;
  #sequence = 0;

  static async connect(to: Pick<BrokerService, 'connect'> = service): Promise<Client> {
    const client = new Client();
    const request = { user: 'guest', vhost: '/', protocol: 'test', peerAddress: '', clientName: undefined };
    const connected = await to.connect(request, {
      held: reason => client.holds.push(reason.kind),
      resumed: () => client.holds.push('resumed'),
      closed: reason => {
        client.closedReason = reason;
      },
      dismissed: reason => {
        client.closedReason = reason;
      },
    });
    if (!connected.ok) throw new Error(connected.error.code);
    client.connection = connected.value;
    client.session = client.connection.openSession(client);
    return client;
  }

  declare(name: string, more: Partial<QueueDeclare> = {}) {
    const request = { passive: false, durable: true, exclusive: false, autoDelete: false, arguments: new Map() };
    return gateway.answer(this.session.declareQueue({ name, ...request, ...more }));
  }

  publish(
    routingKey: string,
    body: string,
    more: { exchange?: string; isConfirmed?: boolean; expirationMs?: number } = {},
  ) {
    const bytes = utf8Encode(body);
    return this.session.publish({
      exchange: more.exchange ?? '',
      routingKey,
      properties: Uint8Array.of(0, 0),
      moreRoutingKeys: [],
      headers: () => undefined,
      property: () => undefined,
      body: [bytes],
      bodyBytes: bytes.length,
      expirationMs: more.expirationMs,
      sequence: more.isConfirmed === false ? 0 : ++this.#sequence,
    });
  }

  consume(queue: string, consumer: number, more: { autoAck?: boolean; exclusive?: boolean; window?: number } = {}) {
    const { autoAck = false, exclusive = false, window } = more;
    const request = { queue, consumer, tag: '', autoAck, exclusive, arguments: new Map(), window };
    return gateway.answer(this.session.consume(request));
  }

  async get(queue: string, consumer: number, autoAck = false): Promise<Taken | undefined> {
    const result = await gateway.answer(this.session.get({ queue, autoAck, consumer }));
    if (!result.ok) throw new Error(result.error.code);
    return result.value.empty ? undefined : takenOf(result.value.delivery);
  }

  /** The socket took everything. */
  async flush(): Promise<void> {
    this.connection.flushed(this.connection.deliveredMark());
    await gateway.settle();
  }

  confirmed(first: number, last: number): void {
    this.confirms.push(`+${first}-${last}`);
  }
  rejected(first: number, last: number): void {
    this.confirms.push(`-${first}-${last}`);
  }
  deliver(delivery: Delivery): void {
    this.taken.push(takenOf(delivery));
  }
  consumerCancelled(handle: number): void {
    this.cancelled.push(handle);
  }
}

const takenOf = ({ consumer, number, content, redelivered }: Delivery): Taken => ({
  handle: consumer,
  number,
  body: utf8Decode(decodeMessageBlock(content).body),
  redelivered,
});
const countOf = async (queue: string): Promise<string> => {
  const client = await Client.connect();
  const result = await client.declare(queue, { passive: true });
  return result.ok ? `${result.value.messageCount}/${result.value.consumerCount}` : result.error.code;
};

describe('publishing', () => {
  it('is confirmed once all homes have the message, in neighbouring ranges', async () => {
    const client = await Client.connect();
    await client.declare('durable');
    await client.declare('volatile', { durable: false });
    for (const queue of ['durable', 'volatile']) {
      await client.session.bindQueue({ queue, exchange: 'amq.fanout', routingKey: '', arguments: new Map() });
    }
    gateway.stalled.add('volatile');
    expect(client.publish('', 'both', { exchange: 'amq.fanout' })).toBe('routed');
    expect(client.publish('durable', 'one')).toBe('routed');
    await gateway.settle();
    expect(client.confirms).toEqual(['+2-2']);
    gateway.stalled.clear();
    await gateway.settle();
    expect(client.confirms).toEqual(['+2-2', '+1-1']);
    for (const body of ['a', 'b', 'c']) client.publish('durable', body);
    await gateway.settle();
    expect(client.confirms.at(-1)).toBe('+3-5');
  });

  it('is refused when its volatile home is dead: nobody has the message', async () => {
    const client = await Client.connect();
    await client.declare('volatile', { durable: false });
    gateway.stalled.add('volatile');
    client.publish('volatile', 'under way');
    gateway.loseVolatileHome();
    client.publish('volatile', 'too late');
    await gateway.settle();
    expect(client.confirms).toEqual(['-1-1', '-2-2']);
  });

  it('is over when it matches no queue, and an error names what is wrong with it', async () => {
    const client = await Client.connect();
    await client.declare('q');
    expect(client.publish('nowhere', 'x')).toBe('unroutable');
    expect(client.publish('q', 'x', { exchange: 'none' })).toMatchObject({ code: 'no-exchange' });
    expect(client.publish('q', 'x'.repeat(50_001))).toMatchObject({ code: 'too-large', bytesMax: 50_000 });
    expect(client.publish('q'.repeat(100_000), 'x')).toMatchObject({ code: 'invalid' });
    expect(client.publish('q', 'x', { exchange: 'é'.repeat(128) })).toMatchObject({ code: 'invalid' });
    await gateway.settle();
    expect(client.confirms).toEqual([]);
    expect(await countOf('q')).toBe('0/0');
  });

  it('asks for no confirm with the number 0', async () => {
    const client = await Client.connect();
    await client.declare('q');
    client.publish('q', 'x', { isConfirmed: false });
    await gateway.settle();
    expect(client.confirms).toEqual([]);
    expect(await countOf('q')).toBe('1/0');
  });

  it('is refused, not confirmed, when the node loses its place before the answer', async () => {
    const client = await Client.connect();
    await client.declare('q');
    client.publish('q', 'x');
    gateway.end();
    expect(client.confirms).toEqual(['-1-1']);
    client.publish('q', 'y');
    await gateway.settle();
    expect(client.confirms).toEqual(['-1-1', '-2-2']);
  });
});

describe('holding publishers', () => {
  it('begins at the bound of a stream and ends when half of it is free again', async () => {
    begin({ commandsMax: 20 });
    const client = await Client.connect();
    const other = await Client.connect();
    await client.declare('q');
    gateway.stalled.add('shard');
    while (client.connection.mayPublish) client.publish('q', 'x');
    expect(client.holds).toEqual(['backlog']);
    expect(other.connection.mayPublish).toBe(true);
    service.roomMade();
    expect(client.connection.mayPublish).toBe(false);
    gateway.stalled.clear();
    await gateway.settle();
    service.roomMade();
    expect(client.holds).toEqual(['backlog', 'resumed']);
    expect(client.connection.mayPublish).toBe(true);
    service.roomMade();
    expect(client.holds).toHaveLength(2);
  });

  it('does not end while another reason is left, whatever the order in which they pass', async () => {
    for (const first of ['alarm', 'backlog'] as const) {
      begin({ commandsMax: 20 });
      const client = await Client.connect();
      await client.declare('q');
      gateway.stalled.add('shard');
      while (client.connection.mayPublish) client.publish('q', 'x');
      service.hold({ kind: 'alarm', text: 'low on disk' });
      expect(client.holds).toEqual(['backlog', 'alarm']);
      const end = {
        alarm: async () => service.hold(undefined),
        backlog: async () => {
          gateway.stalled.clear();
          await gateway.settle();
          service.roomMade();
        },
      };
      await end[first]();
      expect(client.connection.mayPublish).toBe(false);
      await end[first === 'alarm' ? 'backlog' : 'alarm']();
      expect(client.connection.mayPublish).toBe(true);
      expect(client.holds.at(-1)).toBe('resumed');
    }
  });

  it('begins at the first look after the lease has ended, and ends when somebody sees the next one', async () => {
    const client = await Client.connect();
    const other = await Client.connect();
    gateway.isRouting = false;
    expect(client.connection.mayPublish).toBe(false);
    expect(client.holds).toEqual(['no-routing-lease']);
    expect(other.holds).toEqual(['no-routing-lease']);
    gateway.isRouting = true;
    service.hold(undefined);
    expect(client.holds.at(-1)).toBe('resumed');
    expect(client.connection.mayPublish).toBe(true);
  });
});

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

describe('getting one message', () => {
  it('hands it out until it is settled, returned or discarded', async () => {
    const client = await Client.connect();
    await client.declare('q');
    expect(await client.get('q', 9)).toBeUndefined();
    for (const body of ['a', 'b']) client.publish('q', body);
    await gateway.settle();
    const first = await client.get('q', 9);
    expect(first).toMatchObject({ body: 'a', redelivered: false });
    client.session.settle(9, first!.number, first!.number, 'return');
    const again = await client.get('q', 9);
    expect(again).toMatchObject({ body: 'a', redelivered: true });
    client.session.settle(9, again!.number, again!.number, 'discard');
    const second = await client.get('q', 9);
    expect(second).toMatchObject({ body: 'b', redelivered: false });
    client.session.settle(9, second!.number, second!.number, 'settle');
    await gateway.settle();
    expect(gateway.machine('shard').overview().messages).toMatchObject({
      ready: 0,
      checkedOut: 0,
      discarded: 1,
      settled: 1,
    });
  });

  it('is settled by its own handle only', async () => {
    const client = await Client.connect();
    await client.declare('q');
    client.publish('q', 'a');
    await gateway.settle();
    const got = await client.get('q', 9);
    client.session.settle(8, got!.number, got!.number, 'settle');
    await gateway.settle();
    expect(gateway.machine('shard').overview().messages).toMatchObject({ checkedOut: 1, settled: 0 });
  });

  it('settles by itself, if asked to, and needs no further command for it', async () => {
    const client = await Client.connect();
    await client.declare('q');
    for (const body of ['a', 'b']) client.publish('q', body);
    await gateway.settle();
    await client.get('q', 9, true);
    await gateway.settle();
    expect(gateway.machine('shard').overview().messages).toMatchObject({ checkedOut: 0, settled: 1 });
    await client.get('q', 9, true);
    expect(await client.get('q', 9)).toBeUndefined();
    await gateway.answer(client.connection.close());
    expect(await countOf('q')).toBe('0/0');
  });
});

describe('the end of a connection', () => {
  it('gives back everything unsettled, of consumers and of get', async () => {
    const client = await Client.connect();
    await client.declare('q');
    for (const body of ['a', 'b', 'c']) client.publish('q', body);
    await gateway.settle();
    await client.consume('q', 1, { window: 1 });
    await client.get('q', 9);
    await gateway.answer(client.connection.close());
    expect(await countOf('q')).toBe('3/0');
    expect(service.connectionCount).toBe(1);
    await gateway.answer(client.connection.close());
  });

  it('comes to its end also with a consumer that is just being opened', async () => {
    const client = await Client.connect();
    await client.declare('q');
    client.publish('q', 'a');
    const request = { queue: 'q', consumer: 1, tag: '', autoAck: false, exclusive: false, window: undefined };
    const opened = client.session.consume({ ...request, arguments: new Map() });
    await gateway.answer(Promise.all([client.connection.close(), opened]));
    expect(await countOf('q')).toBe('1/0');
    expect(client.taken).toEqual([]);
  });

  it('ends its exclusive queues, the one that is just being declared among them', async () => {
    const client = await Client.connect();
    const other = await Client.connect();
    await client.declare('mine', { exclusive: true });
    expect(await other.declare('mine', { passive: true })).toMatchObject({ ok: false, error: { code: 'locked' } });
    const request = { passive: false, durable: false, exclusive: true, autoDelete: false, arguments: new Map() };
    void client.session.declareQueue({ name: 'late', ...request });
    await gateway.answer(client.connection.close());
    expect(gateway.topology.queueCount).toBe(0);
  });

  it('asks nothing of group 0 if the connection had no queues of its own', async () => {
    const client = await Client.connect();
    await client.declare('q');
    await gateway.answer(client.connection.close());
    expect(gateway.closedOwners).toEqual([]);
  });
});

describe('the broker of a node', () => {
  it('declares a queue anew that its home has deleted already, while its name is on the way out', async () => {
    const [client, other] = [await Client.connect(), await Client.connect()];
    await client.declare('q', { autoDelete: true });
    await client.consume('q', 1);
    await gateway.answer(client.session.cancel(1));
    expect(gateway.topology.queue('/', 'q')).toBeDefined();
    expect(await other.declare('q', { autoDelete: true })).toMatchObject({ ok: true, value: { messageCount: 0 } });
    other.publish('q', 'to the new one');
    await gateway.settle();
    expect(await other.get('q', 9)).toMatchObject({ body: 'to the new one' });
  });

  it('lets the guest in from the machine itself only', () => {
    expect(service.authenticate('guest', 'guest', '127.0.0.1')).toBeUndefined();
    expect(service.authenticate('guest', 'guest', '10.0.0.1')).toMatchObject({ code: 'access-refused' });
    expect(service.authenticate('guest', 'wrong', '127.0.0.1')).toMatchObject({ code: 'access-refused' });
  });

  it('has room for so many connections, and again for one when one ends', async () => {
    const clients = await Promise.all(Array.from({ length: 10 }, () => Client.connect()));
    await expect(Client.connect()).rejects.toThrow('access-refused');
    await gateway.answer(clients[0]!.connection.close());
    await Client.connect();
  });

  it('knows no other vhosts than those declared', async () => {
    const request = { user: 'guest', vhost: 'other', protocol: 'test', peerAddress: '', clientName: undefined };
    const listener = { held: () => {}, resumed: () => {}, closed: () => {}, dismissed: () => {} };
    expect(await service.connect(request, listener)).toMatchObject({ ok: false, error: { code: 'no-vhost' } });
  });

  it('gives all clients up when its incarnation is over, and lets nobody in before the next', async () => {
    const facade = new BrokerFacade(IDENTITY);
    await expect(Client.connect(facade)).rejects.toThrow('unavailable');
    facade.serve(service);
    const client = await Client.connect(facade);
    facade.serve(undefined);
    service.expel('this node has lost its lease');
    expect(client.closedReason).toBe('this node has lost its lease');
    expect(facade.authenticate('guest', 'guest', '127.0.0.1')).toMatchObject({ code: 'unavailable' });
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

describe('what expires', () => {
  const limited = (name: string, ms: number) => new Map([[name, { type: 'int32' as const, value: ms }]]);
  const pass = async (ms: number): Promise<void> => {
    gateway.clock.advance(ms);
    await gateway.settle();
  };

  const queueId = () => gateway.topology.queue('/', 'q')?.id ?? 0;

  it.each([true, false])('is a message, by its queue or by itself (durable: %s)', async durable => {
    const client = await Client.connect();
    await client.declare('q', { durable, arguments: limited('x-message-ttl', 100) });
    client.publish('q', 'a');
    client.publish('q', 'b', { expirationMs: 10 });
    client.publish('q', 'c', { expirationMs: 1_000 });
    await gateway.settle();
    await pass(50);
    expect((await client.get('q', 1))?.body).toBe('a');
    await pass(50);
    expect(await client.get('q', 1)).toBeUndefined();
  });

  it.each([true, false])('is a queue that nobody uses, from its declaration on (durable: %s)', async durable => {
    const client = await Client.connect();
    const declare = () => client.declare('q', { durable, arguments: limited('x-expires', 100) });
    await declare();
    const first = queueId();
    for (let i = 0; i < 3; i++) {
      await pass(60);
      expect(await declare()).toMatchObject({ ok: true });
      await pass(60);
      expect(await client.declare('q', { passive: true })).toMatchObject({ ok: true });
    }
    expect(queueId()).toBe(first);
    client.publish('q', 'a');
    await pass(100);
    expect(await declare()).toMatchObject({ ok: true, value: { messageCount: 0 } });
    expect(queueId()).toBeGreaterThan(first);
  });
});
