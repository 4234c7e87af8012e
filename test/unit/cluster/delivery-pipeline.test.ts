import { beforeEach, describe, expect, it } from 'vitest';
import type { AttachRequest, ShardLink } from '../../../src/cluster/shard/shard-link.ts';
import { utf8Decode } from '../../../src/lib/bytes.ts';
import { consumerId, incarnation, queueId } from '../../../src/lib/ids.ts';
import { writeAssembledEnqueue, writeCancel, writeDeleteQueue, writePart } from '../../../src/queue/commands.ts';
import { decodeMessageBlock } from '../../../src/queue/message-block.ts';
import { LeadingShard } from '../../support/leading-shard.ts';
import {
  ALICE,
  concat,
  consume,
  declare,
  enqueue,
  get,
  message,
  ShardDriver,
  type Write,
} from '../../support/shard-driver.ts';

const OTHER = queueId(8);

/** Writes down what a leader says to an attached node. */
class Link implements ShardLink {
  isCongested = false;
  readonly heard: string[] = [];

  attached(_incarnation: number, attach: number, lastSequence: number): void {
    this.heard.push(`attached ${attach} after ${lastSequence}`);
  }
  answered(through: number, outcomes: readonly { outcome: { kind: string } }[]): void {
    this.heard.push(`answered ${[through, ...outcomes.map(({ outcome }) => outcome.kind)].join(' ')}`);
  }
  deliver(
    consumer: number,
    number: number,
    _count: number,
    _offset: number,
    _mayLeap: boolean,
    content: Uint8Array,
    more: readonly Uint8Array[],
  ): void {
    const body = utf8Decode(decodeMessageBlock(concat([content, ...more])).body);
    this.heard.push(`${consumer}: ${number} ${body.length > 20 ? `${body.length} bytes` : body}`);
  }
  consumerCancelled(consumer: number): void {
    this.heard.push(`cancelled ${consumer}`);
  }
  refused(): void {}
  detached(): void {
    this.heard.push('detached');
  }
  take(): string[] {
    return this.heard.splice(0);
  }
}

describe('what a leader sends to a node', () => {
  let shard: LeadingShard;
  let sender: ShardDriver;
  let link: Link;

  beforeEach(() => {
    shard = new LeadingShard();
    sender = new ShardDriver();
    link = new Link();
    shard.leader.attach(request({}), link);
    send(declare(), declare(OTHER));
    link.take();
  });

  const request = (more: Partial<AttachRequest>): AttachRequest => ({
    node: ALICE,
    incarnation: incarnation(1),
    attach: 1,
    answeredThrough: 0,
    consumers: [],
    ...more,
  });
  const send = (...writes: Write[]): void => {
    expect(shard.leader.batch(ALICE, sender.batch(ALICE, writes))).toBe(true);
    shard.commitAll();
  };

  it('keeps the order of deliveries when some bodies have to be read', () => {
    send(consume(1));
    link.take();
    shard.areBodiesAtHand = false;
    send(enqueue('a'));
    shard.areBodiesAtHand = true;
    send(enqueue('b'));
    expect(link.take()).toEqual(['answered 4', 'answered 5']);
    shard.readBodies();
    expect(link.take()).toEqual(['1: 1 a', '1: 2 b']);
  });

  it('keeps deliveries back while the network does not take what it has, and lets answers pass', () => {
    send(consume(1));
    link.take();
    link.isCongested = true;
    send(enqueue('a'), enqueue('b'));
    send(enqueue('c'));
    shard.leader.review();
    expect(link.take()).toEqual(['answered 5', 'answered 6']);
    link.isCongested = false;
    shard.leader.review();
    expect(link.take()).toEqual(['1: 1 a', '1: 2 b', '1: 3 c']);
  });

  it('lets an answer overtake deliveries that wait, but not the body of the message that it hands out', () => {
    send(enqueue('a'), enqueue('b', OTHER));
    link.take();
    shard.areBodiesAtHand = false;
    send(consume(1));
    send(get(2, OTHER));
    send(enqueue('c', OTHER));
    expect(link.take()).toEqual(['answered 5']);
    for (let i = 0; i < 3; i++) shard.readBodies();
    expect(link.take()).toEqual(['1: 1 a', '2: 1 b', 'answered 6 message', 'answered 7']);
  });

  it('tells of a lost queue behind the deliveries that came before', () => {
    send(consume(1));
    link.take();
    shard.areBodiesAtHand = false;
    send(enqueue('a'));
    send(out => writeDeleteQueue(out, { queue: queueId(7), ifUnused: false, ifEmpty: false }));
    expect(link.take()).toEqual(['answered 4', 'answered 5 deleted']);
    shard.readBodies();
    expect(link.take()).toEqual(['1: 1 a', 'cancelled 1']);
  });

  it('puts a large message together, however its parts are read', () => {
    send(
      consume(1),
      out => writePart(out, 9, new Uint8Array(600).fill(97)),
      out => writePart(out, 9, new Uint8Array(700).fill(98)),
    );
    shard.areBodiesAtHand = false;
    send(out => writeAssembledEnqueue(out, [queueId(7)], 9, { ...message(''), body: [] }));
    link.take();
    for (let i = 0; i < 5; i++) shard.readBodies();
    expect(link.take()).toEqual(['1: 1 1300 bytes']);
  });

  it('sends nothing more of an attach that was replaced, and everything again to the new one, behind its answer', () => {
    send(consume(1));
    shard.areBodiesAtHand = false;
    send(enqueue('a'));
    link.take();
    const second = new Link();
    shard.leader.attach(request({ attach: 2, consumers: [{ consumer: consumerId(1), last: 0 }] }), second);
    for (let i = 0; i < 3; i++) shard.readBodies();
    expect(link.take()).toEqual(['detached']);
    expect(second.take()).toEqual(['attached 2 after 4', 'answered 4', '1: 1 a']);
  });

  it('sends nothing more once its shard is led by somebody else', () => {
    send(consume(1));
    shard.areBodiesAtHand = false;
    send(enqueue('a'));
    link.take();
    shard.changeLeader();
    shard.readBodies();
    expect(link.take()).toEqual(['detached']);
  });

  it('lets a node that comes back have what it misses, and only that', () => {
    send(consume(1), ...['a', 'b', 'c'].map(body => enqueue(body)));
    link.take();
    const second = new Link();
    const known = [
      { consumer: consumerId(1), last: 2 },
      { consumer: consumerId(5), last: 7 },
    ];
    shard.leader.attach(request({ attach: 3, answeredThrough: 4, consumers: known }), second);
    expect(second.take()).toEqual(['attached 3 after 6', '1: 3 c', 'answered 6']);
  });

  it('hears a cancellation also when its node was not there', () => {
    send(consume(1));
    shard.leader.detach(ALICE);
    link.take();
    shard.leader.attach(request({}), link);
    send(out => writeCancel(out, consumerId(1)));
    expect(link.take()).toEqual(['attached 1 after 3', 'answered 3', 'answered 4']);
  });
});
