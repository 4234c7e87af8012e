import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Decision } from '../../../src/broker/gateway.ts';
import { LocalShardLeader } from '../../../src/cluster/shard/local-shard.ts';
import { ShardClient } from '../../../src/cluster/shard/shard-client.ts';
import type { ShardLeaderPort } from '../../../src/cluster/shard/shard-link.ts';
import { utf8Decode } from '../../../src/lib/bytes.ts';
import { type ConsumerId, consumerId, incarnation, type NodeId, type QueueId, queueId } from '../../../src/lib/ids.ts';
import { Settlement, writeCount, writeDeleteQueue, writeNameRemoved } from '../../../src/queue/commands.ts';
import { checkBatch, writeLeaderBatch } from '../../../src/queue/entry-codec.ts';
import { decodeMessageBlock } from '../../../src/queue/message-block.ts';
import { LeadingShard } from '../../support/leading-shard.ts';
import { ALICE, BOB, encodeCommands, message, QUEUE } from '../../support/shard-driver.ts';

const CONFIG = { vhost: '/', name: 'q', autoDelete: false, exclusive: false, singleActive: false };
const UNLIMITED = { prefetch: 0, deliverThrough: 2 ** 40, bytesThrough: 2 ** 50 };
const ATTACH_TIMEOUT_MS = 100;
const REPORT_AFTER_MS = 5_000;
const TAG = { queue: QUEUE, tag: '', exclusive: false, priority: 0 };

/** A node's stream to a shard, whose leader it reaches by `port`; it runs when the test says so. */
class Node {
  readonly client: ShardClient;
  readonly decided: (readonly [number, string | undefined])[] = [];
  readonly received: string[] = [];
  readonly cancelled: ConsumerId[] = [];
  port: ShardLeaderPort | undefined;
  nowMs = 0;
  topologyIndex = 1;
  isFenced = false;
  mayServe = true;
  #numbers = 0;

  constructor(started = 1, node = ALICE) {
    this.client = new ShardClient(
      {
        node,
        incarnation: incarnation(started),
        batchBytesMax: 10_000,
        bytesMax: 100_000,
        commandsMax: 1_000,
        attachTimeoutMs: ATTACH_TIMEOUT_MS,
        reportAfterMs: REPORT_AFTER_MS,
      },
      {
        topologyIndex: () => this.topologyIndex,
        leader: () => this.port,
        wake: () => {},
        monotonicMs: () => this.nowMs,
        isShortOfMemory: () => false,
        mayServe: () => this.mayServe,
        fenced: () => {
          this.isFenced = true;
        },
      },
    );
  }

  publish(body: string, queue: QueueId = QUEUE): number {
    this.client.introduce(queue, CONFIG);
    this.client.publish([queue], message(body), this, ++this.#numbers);
    return this.#numbers;
  }

  published(first: number, last: number, outcome: Decision | undefined): void {
    for (let number = first; number <= last; number++) this.decided.push([number, outcome?.kind]);
  }

  consume(id: number): void {
    const consumer = consumerId(id);
    this.client.introduce(QUEUE, CONFIG);
    const receiver = {
      deliver: (_number: number, _count: number, _offset: number, content: Uint8Array) =>
        this.received.push(utf8Decode(decodeMessageBlock(content).body)),
      cancelled: () => this.cancelled.push(consumer),
    };
    this.client.consume(consumer, { ...TAG, ...UNLIMITED }, receiver, () => {});
  }

  turn(): void {
    this.client.process();
  }
}

/** A port whose words, in both directions, arrive when the test says so. */
class SlowPort implements ShardLeaderPort {
  readonly toLeader: (() => void)[] = [];
  readonly toClient: (() => void)[] = [];
  readonly #shard: LeadingShard;
  readonly #node: Node;

  constructor(shard: LeadingShard, node: Node) {
    this.#shard = shard;
    this.#node = node;
  }

  attach(request: Parameters<ShardLeaderPort['attach']>[0]): void {
    const { client } = this.#node;
    const later = (call: () => void): void => void this.toClient.push(call);
    this.toLeader.push(() =>
      this.#shard.leader.attach(request, {
        isCongested: false,
        attached: (...given) => later(() => client.attached(...given)),
        answered: (through, outcomes) => later(() => client.answered(through, outcomes)),
        deliver: (consumer, number, count, offset, mayLeap, content, more) => {
          const copy = content.slice();
          later(() => client.deliver(consumer, number, count, offset, mayLeap, copy, more));
        },
        consumerCancelled: consumer => later(() => client.consumerCancelled(consumer)),
        refused: refusal => later(() => client.refused(refusal)),
        detached: () => {},
      }),
    );
  }

  batch(bytes: Uint8Array): boolean {
    const copy = bytes.slice();
    this.toLeader.push(() => {
      if (!this.#shard.leader.batch(ALICE, copy)) this.toClient.push(() => this.#node.client.turnedAway());
    });
    return true;
  }

  step(direction: 'toLeader' | 'toClient'): void {
    this[direction].shift()?.();
  }

  settle(): void {
    while (this.toLeader.length + this.toClient.length > 0 || this.#shard.hasProposals) {
      this.step('toLeader');
      this.#shard.commitAll();
      this.step('toClient');
      this.#node.turn();
    }
  }
}

let shard: LeadingShard;
let node: Node;

beforeEach(() => {
  shard = new LeadingShard();
  node = new Node();
});

const local = (): LocalShardLeader => new LocalShardLeader(shard.leader, ALICE, node.client);
const settleAll = (): void => {
  for (let i = 0; i < 5; i++) {
    node.turn();
    shard.commitAll();
  }
};
const bodies = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/** Another node that is attached to the shard. */
function attachedNode(id: NodeId): Node {
  const other = new Node(1, id);
  other.port = new LocalShardLeader(shard.leader, id, other.client);
  return other;
}

/** Group 0 has removed the queue's name, at this index of its log. */
function removeName(queue: QueueId, topologyIndex: number): void {
  const removed = encodeCommands([out => writeNameRemoved(out, queue, topologyIndex)]);
  const batch = encodeCommands([writer => writeLeaderBatch(writer, 1, removed)]);
  expect(shard.leader.batch(BOB, batch)).toBe(true);
  shard.commitAll();
}

/** A queue came and went; the shard remembers of it only that senders behind index 90 of group 0 may know it. */
function forgetAQueue(): void {
  const other = attachedNode(BOB);
  other.topologyIndex = 100;
  const gone = queueId(99);
  other.publish('x', gone);
  other.client.request(out => writeDeleteQueue(out, { queue: gone, ifUnused: false, ifEmpty: false }), undefined);
  other.turn();
  shard.commitAll();
  removeName(gone, 90);
}

describe('a stream to a shard', () => {
  it('sends what was not answered to the next leader, once', () => {
    node.port = local();
    for (const body of bodies('a', 3)) node.publish(body);
    node.turn();
    shard.commit();
    for (const body of bodies('b', 3)) node.publish(body);
    node.turn();
    shard.changeLeader();
    node.port = local();
    settleAll();
    expect(node.decided).toEqual([1, 2, 3, 4, 5, 6].map(number => [number, undefined]));
    expect(shard.machine.overview().messages.enqueued).toBe(6);
  });

  it('repeats a decision that got lost with its leader', () => {
    node.port = local();
    node.publish('a');
    node.turn();
    const port = new SlowPort(shard, node);
    shard.leader.detach(ALICE);
    shard.commit();
    expect(node.decided).toEqual([]);
    shard.changeLeader();
    node.port = port;
    node.turn();
    port.settle();
    expect(node.decided).toEqual([[1, undefined]]);
    expect(shard.machine.overview().messages.enqueued).toBe(1);
  });

  it('takes nothing behind a delivery that got lost, and has both sent again', () => {
    const port = new SlowPort(shard, node);
    node.port = port;
    node.consume(1);
    node.turn();
    port.settle();
    const other = attachedNode(BOB);
    for (const body of ['lost', 'next']) {
      other.publish(body);
      other.turn();
      shard.commitAll();
      if (body === 'lost') expect(port.toClient.splice(0)).toHaveLength(1);
    }
    port.settle();
    expect(node.received).toEqual(['lost', 'next']);
  });

  it('offers again by itself what a full leader could not take', () => {
    node.port = local();
    settleAll();
    shard.isFull = true;
    node.publish('a');
    node.turn();
    shard.isFull = false;
    expect(node.client.isWaiting).toBe(true);
    settleAll();
    expect(node.decided).toEqual([[1, undefined]]);
    expect(node.client.isWaiting).toBe(false);
  });

  it('asks a leader that turns it away again after a while, not at once, and a new leader at once', () => {
    let attaches = 0;
    const silent: ShardLeaderPort = { attach: () => attaches++, batch: () => false };
    node.port = silent;
    node.publish('a');
    node.turn();
    node.client.turnedAway();
    node.turn();
    node.turn();
    expect(attaches).toBe(1);
    node.nowMs += ATTACH_TIMEOUT_MS;
    node.turn();
    expect(attaches).toBe(2);
    node.port = local();
    settleAll();
    expect(node.decided).toEqual([[1, undefined]]);
  });

  it('gives a slow leader more and more time to answer an attach', () => {
    const port = new SlowPort(shard, node);
    node.port = port;
    node.publish('a');
    let attaches = 0;
    for (; node.decided.length === 0 && attaches < 20; node.nowMs += 10) {
      node.turn();
      attaches = Math.max(attaches, port.toLeader.length);
      // Each word takes half a second in either direction.
      if (node.nowMs % 1_000 === 500) for (let i = port.toLeader.length; i > 0; i--) port.step('toLeader');
      shard.commitAll();
      if (node.nowMs % 1_000 === 0) for (let i = port.toClient.length; i > 0; i--) port.step('toClient');
    }
    expect(node.decided).toEqual([[1, undefined]]);
  });

  it('takes no word that was said to an earlier incarnation of its node', () => {
    const old = new Node();
    const port = new SlowPort(shard, old);
    old.port = port;
    for (const body of bodies('old', 10)) old.publish(body);
    old.consume(1);
    old.turn();
    port.step('toLeader');
    port.step('toClient');
    old.turn();
    while (port.toLeader.length > 0) port.step('toLeader');
    shard.commitAll();

    // The same words reach the client of the next incarnation, which counts commands and consumers anew.
    node = new Node(2);
    node.port = { attach: () => {}, batch: () => true };
    node.publish('new');
    node.consume(1);
    node.turn();
    node.client.attached(incarnation(1), 1, 11, []);
    node.client.answered(1, []);
    node.client.deliver(consumerId(1), 1, 0, -1, false, new Uint8Array(20), []);
    node.client.consumerCancelled(consumerId(1));
    node.client.refused({ reason: 'fenced', node: ALICE, incarnation: incarnation(1) });
    expect(node.decided).toEqual([]);
    expect(node.received).toEqual([]);
    expect(node.cancelled).toEqual([]);
    expect(node.isFenced).toBe(false);
  });

  it('goes on after a fence of an earlier incarnation only', () => {
    const old = new Node(1);
    old.port = new LocalShardLeader(shard.leader, ALICE, old.client);
    old.publish('old');
    old.turn();
    shard.commitAll();
    node = new Node(2);
    node.port = local();
    node.consume(1);
    settleAll();
    shard.fenced = [{ node: ALICE, through: 1 }];
    shard.leader.review();
    shard.commitAll();
    node.publish('new');
    settleAll();
    expect(node.received).toEqual(['old', 'new']);
    expect(node.isFenced).toBe(false);
    expect(shard.machine.isFenced(ALICE, incarnation(1))).toBe(true);
  });

  it('tells its node that the incarnation is over, though it has nothing to send', () => {
    node.port = local();
    node.consume(1);
    settleAll();
    shard.fenced = [{ node: ALICE, through: 1 }];
    shard.leader.review();
    expect(node.isFenced).toBe(true);
  });

  it('cancels a consumer whose queue went while nobody led, and not one that is on its way', () => {
    node.port = local();
    node.consume(1);
    settleAll();
    shard.leader.detach(ALICE);
    node.port = undefined;
    node.turn();
    const other = new Node(1, BOB);
    other.port = new LocalShardLeader(shard.leader, BOB, other.client);
    other.client.request(out => writeDeleteQueue(out, { queue: QUEUE, ifUnused: false, ifEmpty: false }), undefined);
    other.turn();
    shard.commitAll();
    shard.changeLeader();
    node.port = local();
    node.turn();
    expect(node.cancelled).toEqual([1]);
    settleAll();
    expect(node.cancelled).toEqual([1]);
  });

  it('hands nothing to its clients once the lease of its node is over, though it was sent in time', () => {
    node.port = local();
    node.consume(1);
    settleAll();
    node.publish('sent in time');
    node.turn();
    node.mayServe = false;
    shard.commitAll();
    expect(node.received).toEqual([]);
  });

  it('refuses a publish to a queue that it could not introduce, because its topology was too old', () => {
    forgetAQueue();
    node.topologyIndex = 50;
    node.port = local();
    node.publish('too early');
    settleAll();
    expect(node.decided).toEqual([[1, 'stale-topology']]);
    node.topologyIndex = 100;
    node.publish('in time');
    settleAll();
    expect(node.decided).toEqual([
      [1, 'stale-topology'],
      [2, undefined],
    ]);
    expect(shard.machine.overview().queues.map(({ ready }) => ready)).toEqual([1]);
  });

  it('refuses a publish to several queues if it could not introduce one of them, though another took it', () => {
    const taking = queueId(5);
    forgetAQueue();
    node.topologyIndex = 100;
    node.port = local();
    node.publish('first', taking);
    settleAll();
    // Its session began anew, and it lags behind.
    node = new Node(2);
    node.topologyIndex = 50;
    node.port = local();
    node.publish('too early', QUEUE);
    node.client.publish([taking], message('to one'), node, 2);
    node.client.publish([taking, QUEUE], message('to both'), node, 3);
    node.client.publish([QUEUE, taking], message('x'.repeat(300_000)), node, 4);
    node.topologyIndex = 100;
    settleAll();
    expect(node.decided).toEqual([
      [1, 'stale-topology'],
      [2, undefined],
      [3, 'stale-topology'],
      [4, 'stale-topology'],
    ]);
  });

  it('creates no queue that was deleted, and forgotten by the shard, while the command waited for a leader', () => {
    const other = attachedNode(BOB);
    other.publish('x');
    other.turn();
    shard.commitAll();
    node.topologyIndex = 50;
    node.publish('routed before the queue was deleted');
    other.client.request(out => writeDeleteQueue(out, { queue: QUEUE, ifUnused: false, ifEmpty: false }), undefined);
    other.turn();
    shard.commitAll();
    removeName(QUEUE, 90);
    other.topologyIndex = 90;
    other.publish('y', queueId(3));
    other.turn();
    shard.commitAll();
    expect(shard.machine.overview().tombstones).toBe(0);
    node.topologyIndex = 90;
    node.port = local();
    settleAll();
    expect(node.decided).toEqual([[1, 'stale-topology']]);
    expect(shard.machine.overview().queues.map(({ id }) => id)).toEqual([3]);
  });

  it('that falls silent tells the shard once what it has seen, so that outcomes and tombstones go', () => {
    const other = attachedNode(BOB);
    for (const one of [node, other]) {
      one.port = new LocalShardLeader(shard.leader, one === node ? ALICE : BOB, one.client);
      one.publish('x', one === node ? QUEUE : queueId(2));
      one.turn();
      shard.commitAll();
    }
    node.client.request(out => writeDeleteQueue(out, { queue: QUEUE, ifUnused: false, ifEmpty: false }), undefined);
    node.turn();
    shard.commitAll();
    removeName(QUEUE, 90);
    expect(shard.machine.outcomesAfter(ALICE, incarnation(1), 0)).toMatchObject([{ outcome: { kind: 'deleted' } }]);
    expect(shard.machine.overview().tombstones).toBe(1);

    for (const one of [node, other]) one.topologyIndex = 90;
    const before = shard.index;
    for (let i = 0; i < 10; i++) {
      for (const one of [node, other]) {
        if (one.client.isWaiting) one.turn();
        one.nowMs += REPORT_AFTER_MS / 2;
      }
      shard.commitAll();
    }
    expect(shard.machine.outcomesAfter(ALICE, incarnation(1), 0)).toEqual([]);
    expect(shard.machine.overview().tombstones).toBe(0);
    expect(shard.index).toBe(before + 1);
  });

  it('answers what is asked of it after its end', () => {
    node.port = local();
    node.publish('a');
    node.client.abandon('abandoned');
    expect(node.decided).toEqual([[1, 'abandoned']]);
    let outcome: Decision | undefined;
    node.client.request(
      out => writeCount(out, QUEUE),
      given => {
        outcome = given;
      },
    );
    expect(outcome).toEqual({ kind: 'abandoned' });
  });

  it('makes batches that every leader takes, also for many queues and large messages', () => {
    const queues = Array.from({ length: 10_000 }, (_, i) => queueId(i + 1));
    const batches: Uint8Array[] = [];
    node.port = {
      attach: ({ attach }) => node.client.attached(incarnation(1), attach, 0, []),
      batch: bytes => batches.push(bytes) > 0,
    };
    node.client.publish(queues, message('x'.repeat(150_000)), node, 1);
    node.client.publish(queues.slice(0, 2), message('x'.repeat(900_000)), node, 2);
    node.turn();
    for (const batch of batches) {
      expect(checkBatch(batch)).toMatchObject({ ok: true });
      expect(batch.length).toBeLessThan(240 * 1024 - 9);
    }
  });

  it('loses nothing and repeats nothing over leaders and links that change at any moment', () => {
    const action = fc.constantFrom(
      'publish',
      'turn',
      'toLeader',
      'commit',
      'toClient',
      'leader',
      'link',
      'settle',
      'time',
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120, size: 'max' }), actions => {
        shard = new LeadingShard();
        node = new Node();
        let port = new SlowPort(shard, node);
        node.port = port;
        node.consume(1);
        let settled = 0;
        for (const [i, what] of actions.entries()) {
          if (what === 'publish') node.publish(`m${i}`);
          else if (what === 'turn') node.turn();
          else if (what === 'toLeader' || what === 'toClient') port.step(what);
          else if (what === 'commit') shard.commit();
          else if (what === 'time') node.nowMs += 60;
          else if (what === 'settle' && settled < node.received.length) {
            settled++;
            node.client.settle(consumerId(1), Settlement.settle, [settled, settled]);
          } else if (what === 'leader' || what === 'link') {
            if (what === 'leader') shard.changeLeader();
            else shard.leader.detach(ALICE);
            port = new SlowPort(shard, node);
            node.port = port;
          }
        }
        for (let i = 0; i < 10; i++) {
          node.nowMs += 10_000;
          node.turn();
          port.settle();
        }
        const sent = actions.flatMap((what, i) => (what === 'publish' ? [`m${i}`] : []));
        expect(node.received).toEqual(sent);
        expect(node.decided).toEqual(sent.map((_, i) => [i + 1, undefined]));
        expect(shard.machine.overview().messages).toMatchObject({ enqueued: sent.length, settled });
      }),
      { numRuns: 300 },
    );
  });
});
