import { describe, expect, it } from 'vitest';
import type { ConsumerReceiver, HomeStream, OnOutcome } from '../../../src/broker/gateway.ts';
import { SessionGetters } from '../../../src/broker/session-getters.ts';
import { assert } from '../../../src/lib/assert.ts';
import { type ConsumerId, incarnation, nodeId, type QueueId } from '../../../src/lib/ids.ts';
import { LocalGateway } from '../../support/local-gateway.ts';
import { Client, countOf, gateway } from '../../support/session-client.ts';

/** A home to which this node's topology is too old at first. What happens before it says so is given. */
class StaleHome implements HomeStream {
  readonly isFull = false;
  readonly hasRoom = true;
  readonly isShortOfMemory = false;
  readonly introduced: QueueId[] = [];
  readonly #before: () => void;
  #requests = 0;

  constructor(before: () => void) {
    this.#before = before;
  }

  introduce(queue: QueueId): void {
    this.introduced.push(queue);
  }
  request(_write: unknown, onOutcome: OnOutcome | undefined): void {
    if (this.#requests++ === 0) {
      this.#before();
      onOutcome?.({ kind: 'stale-topology' });
    } else onOutcome?.({ kind: 'empty' });
  }
  register(_consumer: ConsumerId, _receiver: ConsumerReceiver): void {}
  publish(): void {}
  consume(): void {}
  credit(): void {}
  settle(): void {}
  cancel(): void {}
  release(): void {}
}

const QUEUE = {
  vhost: '/',
  name: 'orders',
  durable: true,
  exclusive: false,
  autoDelete: false,
  arguments: new Map(),
  serverNamed: false,
  owner: { node: nodeId(1), incarnation: incarnation(1), connection: 1 },
};

async function getFrom(meanwhile: (gateway: LocalGateway, queue: QueueId) => void) {
  const gateway = new LocalGateway();
  const declared = await gateway.declareQueue(QUEUE);
  assert(declared.ok, 'the queue is there');
  const { queue } = declared.value;
  const home = new StaleHome(() => meanwhile(gateway, queue.id));
  const taken = await new SessionGetters(gateway).take(home, queue, { autoAck: false, consumer: 1 });
  return { taken, introduced: home.introduced, queue: queue.id };
}

describe('a get whose node was too far behind to introduce the queue', () => {
  it('is tried once more, with the queue introduced again', async () => {
    const { taken, introduced, queue } = await getFrom(() => {});
    expect(taken).toEqual({ empty: true });
    expect(introduced).toEqual([queue]);
  });

  it('finds no queue when the deletion is what the node had missed, and does not make it anew', async () => {
    const { taken, introduced } = await getFrom((gateway, queue) => gateway.topology.removeQueue(queue));
    expect(taken).toEqual({ kind: 'no-such-queue' });
    expect(introduced).toEqual([]);
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
